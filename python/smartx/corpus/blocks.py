"""What a file says, whatever its format: blocks of columns with the places the rows came from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

LINE_LIMIT = 64 << 20  # bytes; a longer line or element is not held
SAMPLE_ROWS = 1_000
BLOCK_ROWS = 4_096
BLOCK_BYTES = 8 << 20
NEITHER: list[Any] = []  # a cell that is neither text nor a name nor turns


@dataclass(frozen=True)
class Drop:
    """A row that cannot be used. reason: a stable name.  detail: what exactly, short."""

    reason: str
    detail: str = ""


@dataclass(frozen=True)
class Sample:
    """The first rows of a file.

    names: every column found, in the order found.  values: the first cells of each.
    more: whether rows behind them may have other columns.
    """

    names: tuple[str, ...]
    values: Mapping[str, list[Any]]
    more: bool = False

    @classmethod
    def of_rows(cls, rows: Sequence[Mapping[str, Any]], *, more: bool) -> Sample:
        """Of rows that each have their own columns."""
        cells = RowCells(rows)
        return cls(tuple(cells), dict(cells), more)


class RowCells(Mapping[str, list[Any]]):
    """Rows that each have their own columns, seen by column: null where a row lacks one.

    big: by index, the JSON of rows that may hold whole numbers of more than 64 bits.
    """

    def __init__(
        self, rows: Sequence[Mapping[str, Any]], big: Mapping[int, bytes] | None = None
    ) -> None:
        self.rows, self.big = rows, big or {}
        self._columns: dict[str, list[Any]] = {}

    def exact(self, index: int) -> Mapping[str, Any]:
        """A row, in which whole numbers of any size keep their digits."""
        if index not in self.big:
            return self.rows[index]
        found: dict[str, Any] = json.loads(self.big[index])
        return found

    def names_in(self, name: str) -> list[Any]:
        """A column, in which whole numbers of more than 64 bits are texts of all their digits."""
        values = self[name]
        large = [i for i in self.big if isinstance(values[i], float) and abs(values[i]) >= 2**63]
        if large:
            values = list(values)
            for index in large:
                values[index] = json.loads(self.big[index], parse_int=str)[name]
        return values

    def take(self, indices: Sequence[int]) -> RowCells:
        """Some of the rows."""
        big = {at: self.big[i] for at, i in enumerate(indices) if i in self.big}
        return RowCells([self.rows[i] for i in indices], big)

    def __getitem__(self, name: str) -> list[Any]:
        if name not in self._columns:
            self._columns[name] = [row.get(name) for row in self.rows]
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        names: dict[str, Any] = {}
        for row in self.rows:
            if not row.keys() <= names.keys():
                names.update(row)
        return iter(names)

    def __len__(self) -> int:
        return sum(1 for _ in self)


@dataclass(frozen=True)
class Block:
    """Some consecutive rows of a file, unreadable ones left out of the cells and listed in `drops`.

    places: (n,) int64, 0-based place of each row in its file.
    lines: (n,) int64, 1-based line or row.
    cells: by column, n values: an Arrow array or a list.  drops: (place, line, why).
    read: bytes of the file that this block took.
    """

    places: NDArray[np.int64]
    lines: NDArray[np.int64]
    cells: Mapping[str, pa.Array | list[Any]]
    drops: list[tuple[int, int, Drop]] = field(default_factory=list)
    read: int = 0

    def take(self, indices: Sequence[int]) -> Block:
        """Some of its rows, without the drops."""
        where = np.asarray(indices, dtype=np.int64)
        if isinstance(self.cells, RowCells):
            cells: Mapping[str, Any] = self.cells.take(indices)
        else:
            cells = {name: _taken(cell, where) for name, cell in self.cells.items()}
        return replace(
            self, places=self.places[where], lines=self.lines[where], cells=cells, drops=[]
        )


class SourceReader(Protocol):
    """One open way of reading a file; every method starts from the file's beginning."""

    def sample(self) -> Sample:
        """The first rows."""

    def blocks(self, columns: Sequence[str]) -> Iterator[Block]:
        """All rows in order. A column that a row lacks is null there."""


def json_kind(value: Any) -> str:
    """What a JSON value is, in words for a message."""
    if value is None:
        return "null"
    names = {bool: "a boolean", int: "a number", float: "a number", str: "text", list: "a list"}
    return names.get(type(value), "an object" if isinstance(value, dict) else type(value).__name__)


def _taken(cells: pa.Array | list[Any], where: NDArray[np.int64]) -> pa.Array | list[Any]:
    return [cells[i] for i in where] if isinstance(cells, list) else cells.take(pa.array(where))
