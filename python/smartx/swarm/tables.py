"""ratios.csv and metrics.csv: what was mixed, and what training on it measured.

Both have a line a run, and a column `run` (or `run_id`, as olmix has it, or `mixture`) by which
they are joined. ratios.csv has a column a unit, of shares that sum to 1; metrics.csv a column a
metric. `name`, `index` and columns without a name are not read. A run that stands in several lines
of metrics.csv was trained several times.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smartx.errors import InputError
from smartx.files import commit_bytes

RUN = "run"
_IDS = (RUN, "run_id", "mixture")
_BESIDES = {*_IDS, "name", "index", ""}
_OFF = 0.01  # by which a sum of shares may miss 1: people round


@dataclass(frozen=True, eq=False)
class Ratios:
    """runs: names of the mixtures.  units: of the columns.  shares: (n, p), rows that sum to 1."""

    runs: tuple[str, ...]
    units: tuple[str, ...]
    shares: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Metrics:
    """One metric: runs, a name a line, and (m,) values.  lines: (m,) where each stands."""

    path: Path
    name: str
    runs: tuple[str, ...]
    values: NDArray[np.float64]
    lines: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class _Table:
    path: Path
    head: tuple[str, ...]
    lines: tuple[tuple[int, list[str]], ...]

    def place(self, line: int) -> str:
        return f"{self.path}:{line}"

    def column(self, name: str) -> int:
        return self.head.index(name)

    @property
    def id_column(self) -> int:
        for name in _IDS:
            if name in self.head:
                return self.column(name)
        raise InputError(
            f"it has no column {RUN!r} that names the runs",
            place=self.place(1),
            fix=f"name them in a column {RUN!r}, as ratios.csv does",
        )

    def runs(self) -> list[str]:
        at = self.id_column
        for line, cells in self.lines:
            if not cells[at].strip():
                raise InputError(f'column "{self.head[at]}" is empty', place=self.place(line))
        return [cells[at].strip() for _, cells in self.lines]

    def number(self, line: int, cells: list[str], column: int) -> float:
        """The finite number of a cell. Raises InputError with line and column."""
        text = cells[column].strip()
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            given = "is empty" if not text else f"is {text!r}, not a finite number"
            raise InputError(f'column "{self.head[column]}" {given}', place=self.place(line))
        return value


def read_ratios(path: Path) -> Ratios:
    """The mixtures of a swarm. Raises InputError with line and column."""
    table = _read(path)
    runs = table.runs()
    first: dict[str, int] = {}
    for (line, _), run in zip(table.lines, runs, strict=True):
        if run in first:
            raise InputError(
                f"run {run!r} stands in line {first[run]} too",
                place=table.place(line),
                fix="one line a mixture; runs of one mixture are several lines of metrics.csv",
            )
        first[run] = line
    columns = [i for i, name in enumerate(table.head) if _is_value(name)]
    if len(columns) < 2:
        raise InputError("it has fewer than two columns of shares", place=table.place(1))
    shares = np.empty((len(table.lines), len(columns)))
    for row, (line, cells) in enumerate(table.lines):
        shares[row] = [table.number(line, cells, column) for column in columns]
        negative = np.flatnonzero(shares[row] < 0)
        if len(negative):
            name = table.head[columns[int(negative[0])]]
            raise InputError(f'column "{name}" is below 0', place=table.place(line))
        total = math.fsum(shares[row].tolist())
        if abs(total - 1) > _OFF:
            raise InputError(
                f"the shares of run {runs[row]!r} sum to {total:.4g}, not to 1",
                place=table.place(line),
                fix="give shares of the whole, and no other columns of numbers",
            )
        shares[row] /= total
    return Ratios(tuple(runs), tuple(table.head[i] for i in columns), shares)


def read_metric(path: Path, name: str | None = None) -> Metrics:
    """One metric of trained runs. name: its column; None: the only one that there is.

    Raises InputError with line and column.
    """
    table = _read(path)
    runs = table.runs()
    columns = [column for column in table.head if _is_value(column)]
    if name is None and len(columns) == 1:
        name = columns[0]
    if name is None or name not in columns:
        fault = "it has several metrics" if name is None else f'it has no metric "{name}"'
        if not columns:
            fault = "it has no column of a metric"
        there = f"one of: {', '.join(columns)}" if columns else "give it a column of numbers"
        raise InputError(fault, place="metric" if columns else str(path), fix=there)
    at = table.column(name)
    values = [table.number(line, cells, at) for line, cells in table.lines]
    return Metrics(
        path, name, tuple(runs), np.array(values), tuple(line for line, _ in table.lines)
    )


def joined(
    ratios: Ratios, metrics: Metrics, ratios_path: Path, *, allow_missing: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.float64], list[str]]:
    """(m, p) shares and (m,) values of the trained runs in the order of the mixtures, their names.

    Raises InputError for a run that is no mixture of the swarm, and, unless `allow_missing`, for a
    mixture that was not trained.
    """
    place = {run: row for row, run in enumerate(ratios.runs)}
    for run, line in zip(metrics.runs, metrics.lines, strict=True):
        if run not in place:
            raise InputError(
                f"run {run!r} has no line in {ratios_path}",
                place=f"{metrics.path}:{line}",
                fix="remove the line, or correct the name",
            )
    trained = set(metrics.runs)
    missing = [run for run in ratios.runs if run not in trained]
    if missing and not allow_missing:
        some = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        raise InputError(
            f"{len(missing):,} of {len(ratios.runs):,} mixtures have no line: {some}",
            place=str(metrics.path),
            fix="add their metrics, or pass `allow_missing` to fit without them",
        )
    rows = np.array([place[run] for run in metrics.runs], dtype=np.int64)
    order = np.argsort(rows, kind="stable")
    return (
        ratios.shares[rows[order]],
        metrics.values[order],
        [metrics.runs[i] for i in order.tolist()],
    )


def write_table(path: Path, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A CSV file, whole or not at all; numbers so that they are read back to the bit."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([[repr(float(v)) if isinstance(v, float) else v for v in row] for row in rows])
    commit_bytes(path, text.getvalue().encode())


def _is_value(name: str) -> bool:
    return name not in _BESIDES and not name.startswith("Unnamed")


def _read(path: Path) -> _Table:
    """Head and lines of a CSV file. Raises InputError where it is none, or a line has another
    number of cells.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            lines = [(reader.line_num, cells) for cells in reader if cells]
    except (OSError, UnicodeDecodeError, csv.Error) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else str(problem)
        raise InputError(f"it cannot be read as CSV ({reason})", place=str(path)) from None
    if len(lines) < 2:
        raise InputError("it holds no line below the names of columns", place=str(path))
    head = tuple(name.strip() for name in lines[0][1])
    twice = [name for name in head if name and head.count(name) > 1]
    if twice:
        raise InputError(f'two columns are called "{twice[0]}"', place=f"{path}:1")
    for line, cells in lines[1:]:
        if len(cells) != len(head):
            raise InputError(
                f"it has {len(cells)} cells, and the first line {len(head)}",
                place=f"{path}:{line}",
            )
    return _Table(path, head, tuple(lines[1:]))
