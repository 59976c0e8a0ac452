"""The ingested corpus: rows in group order, read back by place without loading the rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from smartx.corpus.extra import POSITION, others_name
from smartx.corpus.pieces import in_order
from smartx.corpus.tokens import COLUMNS as TOKEN_COLUMNS
from smartx.errors import InputError, StoreError
from smartx.files import file_digest
from smartx.store import Stage

SCHEMA = 3  # raised when the same sources give another corpus folder
ROWS_PER_FILE = 65_536
STAGE = "corpus"
GROUPS_FILE = "groups.parquet"
DROPPED_FILE = "dropped.parquet"
ROW_COLUMNS = (
    *("row_id", "group_id", "prompt", "response", "messages"),
    *("origin_file", "origin_row"),
)


def rows_file(number: int) -> str:
    """Name of the file that holds rows number * ROWS_PER_FILE and following."""
    return f"rows-{number:05d}.parquet"


@dataclass(frozen=True, slots=True, eq=False)
class Tasks:
    """The tasks of a corpus: what one (source, task) has, in all its templates.

    start, rows: (m,) int64, the row ids start..start+rows-1.
    first_group: (m + 1,) int64, the groups of task t are first_group[t]..first_group[t + 1] - 1.
    """

    source: list[str]
    task: list[str]
    start: NDArray[np.int64]
    rows: NDArray[np.int64]
    first_group: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.task)


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """The groups of a corpus, by group_id: ordered by (source, task, template) in codepoint order.

    start, rows: (g,) int64, the row ids start..start+rows-1; together they are 0..n-1.
    """

    source: list[str]
    task: list[str]
    template: list[str]
    start: NDArray[np.int64]
    rows: NDArray[np.int64]

    def __post_init__(self) -> None:
        self.start.flags.writeable = self.rows.flags.writeable = False

    def __len__(self) -> int:
        return len(self.task)

    def resized(self, rows: NDArray[np.int64]) -> Groups:
        """The groups of a corpus with only so many rows of each. rows: (g,) int64."""
        return replace(self, start=np.cumsum(rows) - rows, rows=rows)

    def of_rows(self, row_ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """(k,) int64, the group of each row."""
        groups: NDArray[np.int64] = np.searchsorted(self.start, row_ids, side="right") - 1
        return groups

    def tasks(self) -> Tasks:
        """The runs of groups that share source and task."""
        names = list(zip(self.source, self.task, strict=True))
        first = [g for g in range(len(names)) if g == 0 or names[g] != names[g - 1]]
        start = self.start[first]
        stop = np.append(start[1:], self.start[-1] + self.rows[-1] if len(self) else 0)
        rows = stop[: len(first)] - start
        bounds = np.array([*first, len(self)], dtype=np.int64)
        for array in (start, rows, bounds):
            array.flags.writeable = False
        return Tasks(
            [names[g][0] for g in first], [names[g][1] for g in first], start, rows, bounds
        )


@dataclass(frozen=True, slots=True, eq=False)
class Corpus:
    """An ingested corpus on disk.

    digest: names the content; corpora with the same digest hold the same rows in the same order.
    num_source_rows: rows read from the sources, dropped ones included.
    """

    folder: Path
    digest: str
    num_rows: int
    num_source_rows: int
    groups: Groups
    manifest: dict[str, Any]
    _verified: set[str] = field(default_factory=set, repr=False)

    def prompts(self, start: int, stop: int) -> list[str]:
        """The texts to embed of rows start..stop-1."""
        return list(self._range(start, stop, ["prompt"]).column("prompt").to_pylist())

    def rows(self, row_ids: NDArray[np.int64]) -> pa.Table:
        """Full rows (columns ROW_COLUMNS) in the order asked for; reads only where they lie.

        row_ids: (k,) integers in 0..num_rows-1, any order. Memory: k rows and one row group.
        """
        wanted = np.asarray(row_ids)
        if wanted.ndim != 1 or (wanted.size and wanted.dtype.kind not in "iu"):
            raise InputError(
                f"row ids must be one row of integers, not {wanted.dtype}{wanted.shape}"
            )
        wanted = wanted.astype(np.int64)
        bad = wanted[(wanted < 0) | (wanted >= self.num_rows)]
        if bad.size:
            raise InputError(f"row id {bad[0]} is outside 0..{self.num_rows - 1}")
        return in_order(self.rising, wanted)

    def rising(
        self, row_ids: NDArray[np.int64], columns: Sequence[str] = ROW_COLUMNS
    ) -> Iterator[pa.Table]:
        """Rows of rising ids, one table for each row group that holds any, or an empty one."""
        if len(row_ids) and not 0 <= row_ids[0] <= row_ids[-1] < self.num_rows:
            ends = f"{row_ids[0]}..{row_ids[-1]}"
            raise InputError(f"row ids {ends} are not within 0..{self.num_rows - 1}")
        if not len(row_ids):
            return iter([self._range(0, 0, list(columns))])
        return self._take(row_ids, list(columns))

    def source_positions(self, start: int, stop: int) -> NDArray[np.int64]:
        """Place of rows start..stop-1 among all rows of the sources, dropped ones counted."""
        positions = self._range(start, stop, ["source_position"]).column("source_position")
        return np.asarray(positions.to_numpy(), dtype=np.int64)

    def others(self, positions: NDArray[np.int64]) -> Iterator[pa.Table]:
        """What rows carry besides: tables of those of them that carry anything, as `extra` says.

        positions: rising, places among all rows of the sources. A table holds at most a row group.
        """
        ends = np.cumsum([source["rows"] for source in self.manifest["sources"]])
        names = {entry["name"] for entry in self.manifest["files"]}
        number = np.searchsorted(ends, positions, side="right")
        for part in _runs(number):
            path = self.folder / others_name(int(number[part.start]))
            if path.name in names:
                yield from self._reading(path, _found_in(path, positions[part]))

    def token_counts(self, start: int, stop: int) -> NDArray[np.int32]:
        """(n, 2) tokens of the prompt and of the response of rows start..stop-1.

        manifest["tokens"] says whether they were counted or estimated.
        """
        counts = self._range(start, stop, list(TOKEN_COLUMNS))
        return np.stack([counts[name].to_numpy() for name in TOKEN_COLUMNS], axis=1)

    def _range(self, start: int, stop: int, columns: list[str]) -> pa.Table:
        if not 0 <= start <= stop <= self.num_rows:
            raise InputError(f"rows {start}..{stop} are not within 0..{self.num_rows}")
        # Where no row is asked for, one is read all the same, for the types of the columns.
        first = min(start, self.num_rows - 1)
        ids = np.arange(first, max(stop, first + 1), dtype=np.int64)
        parts = list(self._take(ids, columns))
        return pa.concat_tables(parts).slice(0, stop - start)

    def _take(self, row_ids: NDArray[np.int64], columns: list[str]) -> Iterator[pa.Table]:
        """The rows of rising ids, one table per row group."""
        number = row_ids // ROWS_PER_FILE
        for part in _runs(number):
            path = self.folder / rows_file(int(number[part.start]))
            inside = row_ids[part] - number[part.start] * ROWS_PER_FILE
            yield from self._reading(path, _take_from(path, inside, columns))

    def _reading(self, path: Path, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
        """Tables that are read from a file of the corpus."""
        with reading(path):
            self._verify(path)
            yield from tables

    def _verify(self, path: Path) -> None:
        """Compare a file with its digest on first reading; page checksums guard it from then on."""
        if path.name not in self._verified:
            wanted = [e["sha256"] for e in self.manifest["files"] if e["name"] == path.name]
            if wanted != [file_digest(path)]:
                raise OSError("its bytes are not those that were written")
            self._verified.add(path.name)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever is wrong with a file of the corpus into a StoreError that names it."""
    try:
        yield
    except (OSError, pa.ArrowException) as problem:
        raise StoreError(
            f"it cannot be read ({problem})",
            place=str(path),
            fix="delete the corpus folder and run `smartx ingest` again",
        ) from None


def _take_from(path: Path, inside: NDArray[np.int64], columns: list[str]) -> Iterator[pa.Table]:
    with pq.ParquetFile(path, pre_buffer=False, page_checksum_verification=True) as file:
        sizes = [file.metadata.row_group(g).num_rows for g in range(file.num_row_groups)]
        starts = np.cumsum([0, *sizes])
        group = np.searchsorted(starts, inside, side="right") - 1
        for part in _runs(group):
            g = int(group[part.start])
            table = file.read_row_group(g, columns=columns).select(columns)
            local = inside[part] - starts[g]
            many = 2 * len(local) > table.num_rows  # a slice keeps the whole row group
            if many and bool((np.diff(local) == 1).all()):
                yield table.slice(int(local[0]), len(local))
            else:
                yield table.take(pa.array(local))


def _found_in(path: Path, positions: NDArray[np.int64]) -> Iterator[pa.Table]:
    """The rows of a file of other columns at some positions, one table per row group."""
    with pq.ParquetFile(path, pre_buffer=False, page_checksum_verification=True) as file:
        for g in range(file.num_row_groups):
            held = file.metadata.row_group(g).column(0).statistics
            first, stop = np.searchsorted(positions, [held.min, held.max + 1])
            if first < stop:
                table = file.read_row_group(g)
                there = table[POSITION].to_numpy()
                at = np.searchsorted(there, positions[first:stop])
                found = at[there[at] == positions[first:stop]]
                if len(found):
                    yield table.take(pa.array(found))


def _runs(values: NDArray[np.int64]) -> Iterator[slice]:
    """Slices of equal values in a sorted array."""
    if not len(values):
        return
    cuts = np.flatnonzero(np.diff(values)) + 1
    for start, stop in zip([0, *cuts.tolist()], [*cuts.tolist(), len(values)], strict=True):
        yield slice(start, stop)


def open_corpus(folder: Path) -> Corpus:
    """Open a finished corpus folder. Raises StoreError if there is none or it is damaged."""
    stage = Stage(STAGE, Path(folder))
    manifest = stage.manifest(SCHEMA)
    _check_files(stage, manifest)
    table = pq.read_table(stage.folder / GROUPS_FILE, page_checksum_verification=True)
    groups = Groups(
        *(table.column(name).to_pylist() for name in ("source", "task", "template")),
        *(table.column(name).to_numpy().astype(np.int64) for name in ("start", "rows")),
    )
    return Corpus(
        stage.folder,
        manifest["digest"],
        manifest["num_rows"],
        manifest["rows"]["read"],
        groups,
        manifest,
    )


def _check_files(stage: Stage, manifest: dict[str, Any]) -> None:
    """Every file is there with its size; the small one that is read here has its digest too."""
    if stage.is_done(manifest.get("key", "")):
        digests: Sequence[str] = [
            e["sha256"] for e in manifest["files"] if e["name"] == GROUPS_FILE
        ]
        if digests == [file_digest(stage.folder / GROUPS_FILE)]:
            return
    raise StoreError(
        "its files are not what its manifest says",
        place=str(stage.folder),
        fix="delete the folder and run `smartx ingest` again",
    )
