"""What a row carries besides the columns that smartx knows: it travels along untouched.

The other columns of a source lie in the corpus in the order of the source, one file for each: those
of a table as columns of their types, those of JSON rows, each of which has its own, as an object a
row. What types they have is noted while reading, so a mixture has all columns of all sources,
whichever rows it takes. A column whose values have no type in common is one of JSON texts there.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from smartx.corpus.arrow_types import (
    JSON,
    MixedError,
    json_text,
    plain,
    plain_type,
    said,
    type_of,
    unify,
)
from smartx.corpus.blocks import BLOCK_BYTES, Block, Drop, RowCells
from smartx.corpus.tables import ROW_GROUP, table_file
from smartx.store import FileEntry

TOO_DEEP = "nested too deeply"
MOST = 1_000  # columns of their own in a mixture; what is beyond lies in one column of JSON texts
_VECTOR = 64  # a longer list of floats is a vector, and belongs in a file of vectors
# Of the file of a source. columns: a struct of those that all its rows have; absent if there are
# none.  rest: an object of what single rows have besides, as JSON.
POSITION, COLUMNS, REST = "source_position", "columns", "rest"


def others_name(source: int) -> str:
    """Name of the file that holds the other columns of the rows of a source."""
    return f"others-{source:05d}.parquet"


class Kinds:
    """The types of columns, by name, as more and more of their values are seen."""

    def __init__(self) -> None:
        self.by_name: dict[str, pa.DataType] = {}
        self.more = False  # whether there are names beyond MOST, which get no column of their own

    def facts(self) -> dict[str, Any]:
        """For a manifest; `types_of` reads it. types: for people."""
        schema = pa.schema(list(self.by_name.items()))
        words = {n: "json" if t == JSON else str(plain_type(t)) for n, t in self.by_name.items()}
        exact = base64.b64encode(schema.serialize()).decode()
        return {"types": words, "schema": exact, "more": self.more}

    def see(self, name: str, kind: pa.DataType) -> None:
        """A column has values of this type, too."""
        if len(self.by_name) >= MOST and name not in self.by_name:
            self.more = True
            return
        try:
            self.by_name[name] = unify(self.by_name.get(name, pa.null()), kind)
        except MixedError:
            self.by_name[name] = JSON

    def see_all(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Rows of JSON values."""
        columns: dict[str, list[Any]] = {}
        for row in rows:
            for name, value in row.items():
                columns.setdefault(name, []).append(value)
        for name, values in columns.items():
            if self.by_name.get(name) != JSON:
                try:
                    kind = type_of(values)
                except MixedError:
                    kind = JSON
                self.see(name, kind)


def types_of(facts: Mapping[str, Any]) -> dict[str, pa.DataType]:
    """The types of columns by name, from the facts in a manifest."""
    schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(facts["schema"])))
    return {field.name: field.type for field in schema}


@dataclass(frozen=True)
class Taken:
    """Which columns of a block's rows are used already.

    usual: in every row but those of `special`, which are by index.
    """

    usual: frozenset[str]
    special: Mapping[int, frozenset[str]]

    def of(self, index: int) -> frozenset[str]:
        """The columns that a row uses."""
        return self.special.get(index, self.usual)

    def rows(self, name: str, count: int) -> Sequence[int]:
        """Which of so many rows use a column."""
        if not self.special:
            return range(count) if name in self.usual else ()
        return [index for index in range(count) if name in self.of(index)]


class TooDeepError(Exception):
    """Values that hold each other too deeply to be written as JSON."""


def other_columns(
    block: Block, kept: Sequence[int], names: Sequence[str], taken: Taken, kinds: Kinds
) -> tuple[pa.Table | None, dict[int, Drop]]:
    """The columns of a block that are not taken, as the file of its source has them; None if no row
    has any. And by index, rows whose values cannot be kept.

    kept: the indices of the rows that are kept; what others hold is not looked at.
    names: the columns that are other columns in every block of a table.
    kinds: learns what is in them.
    Raises ArrowInvalid for a value that Parquet does not hold.
    """
    cells, count, drops = block.cells, len(block.places), dict[int, Drop]()
    if isinstance(cells, RowCells):
        left = {i: _rest(cells.exact(i), taken.of(i)) for i in kept}
        rest = _objects(left, count, kinds, drops)
        return None if rest.null_count == count else pa.table({REST: rest}), drops
    columns = {name: _column(block, name, drops) for name in names}
    for name, column in columns.items():
        used = taken.rows(name, count)
        columns[name] = _without(column, used) if used else column
        if set(kept).difference(used):
            kinds.see(name, column.type)
    single = {i: cells.keys() - columns.keys() - taken.of(i) for i in kept if i in taken.special}
    beside = {n: _column(block, n, drops) for n in sorted(set().union(*single.values()))}
    left = {
        i: {n: v for n in sorted(found) if (v := beside[n][i].as_py()) is not None}
        for i, found in single.items()
    }
    rest = _objects(left, count, kinds, drops)
    if columns:
        made = pa.StructArray.from_arrays(list(columns.values()), list(columns))
        return pa.table({COLUMNS: made, REST: rest}), drops
    return None if rest.null_count == count else pa.table({REST: rest}), drops


def _column(block: Block, name: str, drops: dict[int, Drop]) -> pa.Array:
    """A column of a table as it stands in files. Rows where it is not UTF-8 go into the drops."""
    cells = block.cells[name]
    if isinstance(cells, list):
        return pa.array(cells, pa.string())
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    if not _is_valid(cells):
        wrong = [row for row in range(len(cells)) if not _is_valid(cells.take(pa.array([row])))]
        drops.update(dict.fromkeys(wrong, Drop("not UTF-8", f'in the column "{name}"')))
        cells = _without(cells, wrong)
    return plain(cells)


def _rest(row: Mapping[str, Any], taken: frozenset[str]) -> dict[str, Any]:
    if row.keys() <= taken:
        return {}
    return {name: value for name, value in row.items() if value is not None and name not in taken}


def _objects(
    rows: Mapping[int, dict[str, Any]], count: int, kinds: Kinds, drops: dict[int, Drop]
) -> pa.Array:
    """Objects as a column of `count` JSON texts; those too deep to be written go into the drops."""
    kinds.see_all(rows.values())
    texts: list[bytes | None] = [None] * count
    for index, row in rows.items():
        try:
            texts[index] = json_bytes(row)
        except TooDeepError:
            drops[index] = Drop(TOO_DEEP, "in a column that is not used")
    return pa.array(texts, pa.large_string())


def json_bytes(value: Mapping[str, Any]) -> bytes | None:
    """An object as JSON, for `parsed`; None for an empty one. Raises TooDeepError."""
    try:
        text = orjson.dumps(value, default=said) if value else None
    except orjson.JSONEncodeError as problem:
        if "Integer" not in str(problem):
            raise TooDeepError from None
        text = None
    if value and (text is None or b"null" in text):  # which may be an infinity
        text = json_text(value).encode()
    return text


def parsed(text: str | bytes | None, *, exact: bool) -> dict[str, Any]:
    """The object that a text is of. exact: whole numbers of any size keep their digits."""
    found: Any = {}
    try:
        if text:
            found = json.loads(text) if exact else orjson.loads(text)
    except orjson.JSONDecodeError:  # NaN and infinities
        found = json.loads(text or "")
    assert isinstance(found, dict)
    return found


def _without(cells: pa.Array, rows: Sequence[int]) -> pa.Array:
    """The same cells, null in some rows."""
    mask = np.zeros(len(cells), dtype=np.bool_)
    mask[rows] = True
    return cells.take(pa.array(np.arange(len(cells)), mask=mask))


def _is_valid(cells: pa.Array) -> bool:
    """Whether all text in the cells is UTF-8."""
    try:
        cells.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def is_vector(cells: pa.Array | list[Any]) -> bool:
    """Whether a column holds vectors: lists of many floats."""
    if not isinstance(cells, list):
        kind = cells.type
        if not (hasattr(kind, "value_type") and pa.types.is_floating(kind.value_type)):
            return False
        cells = cells.drop_null().slice(0, 1).to_pylist()
    first = next((value for value in cells if value is not None), None)
    return (
        isinstance(first, list)
        and len(first) > _VECTOR
        and all(isinstance(number, float) for number in first)
    )


class RowsWriter(Protocol):
    """Writes tables one below the other; `rows` counts them."""

    rows: int

    def write(self, table: pa.Table) -> None:
        """Append a table."""


Opened = Callable[[Path, pa.Schema], AbstractContextManager[RowsWriter]]


def table_of_others(path: Path, schema: pa.Schema) -> AbstractContextManager[RowsWriter]:
    """The file of other columns as it stands in a corpus."""
    return table_file(path, schema, sought=POSITION)


class OthersFile:
    """The file of the other columns of a source; it appears if any row has one.

    entry: of the finished file, or None.
    """

    def __init__(self, path: Path, opened: Opened, held: ExitStack) -> None:
        self._path, self._opened, self._stack = path, opened, held
        self._held: list[pa.Table] = []
        self.writer: RowsWriter | None = None
        self.entry: FileEntry | None = None

    def add(self, positions: NDArray[np.int64], others: pa.Table) -> None:
        """Rows that are kept. positions: rising, among all rows of the sources."""
        self._held.append(others.add_column(0, POSITION, pa.array(positions)))
        rows, held = (sum(getattr(t, size) for t in self._held) for size in ("num_rows", "nbytes"))
        if rows >= ROW_GROUP or held >= BLOCK_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        if self._held:
            table, self._held = pa.concat_tables(self._held), []
            self.write(table)

    def write(self, table: pa.Table) -> None:
        """Write a table, which nothing is joined to."""
        if self.writer is None:
            self.writer = self._stack.enter_context(self._opened(self._path, table.schema))
        self.writer.write(table)


@contextmanager
def others_file(path: Path, opened: Opened = table_of_others) -> Iterator[OthersFile]:
    """The file of a source; whole, or absent, when the block ends. opened: how it is written."""
    with ExitStack() as held:
        file = OthersFile(path, opened, held)
        yield file
        file.flush()
    if file.writer is not None:
        file.entry = FileEntry.of(path, file.writer.rows)
