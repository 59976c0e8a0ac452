"""What a file says: the rows of one source file as blocks of columns, with their line numbers.

A format is a class with `sample` (the first rows, to find out which column is what) and `blocks`
(all rows of the wanted columns). A new format is one more class here and its endings in sources.py.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Protocol

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from smartx.corpus.sources import SourceFile
from smartx.errors import CorpusError

LINE_LIMIT = (
    64 << 20
)  # bytes; a longer line is a dropped row, so a gzip bomb cannot fill the memory
SAMPLE_ROWS = 1_000
_BLOCK_ROWS = 4_096
_BLOCK_BYTES = 8 << 20
_READ_BYTES = 1 << 20
_NEITHER: list[Any] = []  # a cell that is neither text nor a name nor turns


@dataclass(frozen=True)
class Drop:
    """A row that cannot be used. reason: a stable name.  detail: what exactly, short."""

    reason: str
    detail: str = ""


@dataclass(frozen=True)
class Sample:
    """The first rows of a file.

    names: every column found, in the order found.  values: the first cells of each.
    """

    names: tuple[str, ...]
    values: Mapping[str, list[Any]]


@dataclass(frozen=True)
class Block:
    """Some consecutive rows of a file, unreadable ones left out of the cells and listed in `drops`.

    places: (n,) int64, 0-based place of each row in its file.
    lines: (n,) int64, 1-based line or row.
    cells: by column, n values: an Arrow array or a list.  drops: (place, line, why).
    labels: by column, the names that its integers stand for.
    read: bytes of the file that this block took.
    """

    places: NDArray[np.int64]
    lines: NDArray[np.int64]
    cells: Mapping[str, pa.Array | list[Any]]
    drops: list[tuple[int, int, Drop]] = field(default_factory=list)
    labels: Mapping[str, list[str]] = field(default_factory=dict)
    read: int = 0


class SourceReader(Protocol):
    """One open way of reading a file; every method starts from the file's beginning."""

    def sample(self) -> Sample:
        """The first rows."""

    def blocks(self, columns: Sequence[str]) -> Iterator[Block]:
        """All rows in order. A column that a row lacks is null there."""


def open_source(source: SourceFile) -> SourceReader:
    """The reader for a source file's format."""
    return ParquetRows(source) if source.format == "parquet" else JsonLines(source)


class JsonLines:
    """JSON Lines: an object per line, blank lines ignored. Of a repeated key the last counts."""

    def __init__(self, source: SourceFile) -> None:
        self._source = source

    def sample(self) -> Sample:
        """The first objects, from however far down they are."""
        rows: list[dict[str, Any]] = []
        for block in self._parsed(SAMPLE_ROWS):
            rows += block.rows
            if len(rows) >= SAMPLE_ROWS:
                break
        names = tuple(dict.fromkeys(name for row in rows[:SAMPLE_ROWS] for name in row))
        return Sample(
            names, {name: [row.get(name) for row in rows[:SAMPLE_ROWS]] for name in names}
        )

    def blocks(self, columns: Sequence[str]) -> Iterator[Block]:
        """All rows in order."""
        for block in self._parsed(_BLOCK_ROWS):
            yield Block(
                np.array(block.places, dtype=np.int64),
                np.array(block.lines, dtype=np.int64),
                {name: [row.get(name) for row in block.rows] for name in columns},
                block.drops,
                read=block.read,
            )

    def _parsed(self, block_rows: int) -> Iterator[_Parsed]:
        with self._source.path.open("rb") as raw, _opened(self._source, raw) as read:
            block, place, size, done = _Parsed(), 0, 0, 0
            for number, line in read_lines(read, LINE_LIMIT):
                if line is not None and not line.strip():
                    continue
                block.add(place, number, line)
                place, size = place + 1, size + len(line or b"")
                if len(block.rows) + len(block.drops) >= block_rows or size >= _BLOCK_BYTES:
                    block.read, done, size = raw.tell() - done, raw.tell(), 0
                    yield block
                    block = _Parsed()
            block.read = raw.tell() - done
            yield block


@dataclass
class _Parsed:
    places: list[int] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    drops: list[tuple[int, int, Drop]] = field(default_factory=list)
    read: int = 0

    def add(self, place: int, number: int, line: bytes | None) -> None:
        row = parse_object(line)
        if isinstance(row, Drop):
            self.drops.append((place, number, row))
        else:
            self.places.append(place)
            self.lines.append(number)
            self.rows.append(row)


def parse_object(line: bytes | None) -> dict[str, Any] | Drop:
    """One line of JSON Lines, or why it is none: NaN or a lone surrogate, for one, is not JSON."""
    if line is None:
        return Drop("line too long", f"more than {LINE_LIMIT:,} bytes")
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as problem:
        try:
            line.decode()
        except UnicodeDecodeError as bad:
            return Drop("not UTF-8", f"byte {bad.start}: {bad.reason}")
        return Drop("not JSON", problem.msg)
    if not isinstance(value, dict):
        return Drop("not an object", json_kind(value))
    return value


def json_kind(value: Any) -> str:
    """What a JSON value is, in words for a message."""
    if value is None:
        return "null"
    names = {bool: "a boolean", int: "a number", float: "a number", str: "text", list: "a list"}
    return names.get(type(value), "an object" if isinstance(value, dict) else type(value).__name__)


def read_lines(read: Callable[[int], bytes], limit: int) -> Iterator[tuple[int, bytes | None]]:
    """Numbered lines (from 1) without their newline; None for one of more than `limit` bytes.

    Holds at most one block and one line of `limit` bytes.
    """
    held: list[bytes] = []
    size = number = 0
    while block := read(_READ_BYTES):
        *whole, tail = block.split(b"\n")
        for piece in whole:
            number, size = number + 1, size + len(piece)
            line = b"".join((*held, piece)) if size <= limit else None
            yield number, _without_bom(line) if number == 1 else line
            held, size = [], 0
        size += len(tail)
        held = [*held, tail] if size <= limit else []
    if size:
        line = b"".join(held) if size <= limit else None
        yield number + 1, _without_bom(line) if number == 0 else line


def _without_bom(line: bytes | None) -> bytes | None:
    return line.removeprefix(b"\xef\xbb\xbf") if line else line


@contextmanager
def _opened(source: SourceFile, raw: BinaryIO) -> Iterator[Callable[[int], bytes]]:
    """A reading function over the plain bytes; damage found while reading becomes a CorpusError."""
    try:
        if source.compression == "gzip":
            with gzip.GzipFile(fileobj=raw) as file:
                yield _watched(source, file.read)
        elif source.compression == "zstd":
            with pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd") as stream:
                yield _watched(source, stream.read)
        else:
            yield _watched(source, raw.read)
    except OSError as problem:
        raise CorpusError(source.path, 0, f"it cannot be read ({problem})") from None


def _watched(source: SourceFile, read: Callable[[int], bytes]) -> Callable[[int], bytes]:
    lines = 0

    def watched(size: int) -> bytes:
        nonlocal lines
        try:
            block = read(size)
        except (OSError, EOFError, zlib.error) as problem:
            raise CorpusError(
                source.path,
                lines + 1,
                f"the file is damaged or cut off here ({problem})",
                fix="fetch or write the file again",
            ) from None
        lines += block.count(b"\n")
        return block

    return watched


class ParquetRows:
    """Parquet, read by columns in batches of bounded size."""

    def __init__(self, source: SourceFile) -> None:
        self._source = source

    def sample(self) -> Sample:
        """The first rows; a column of no use as text, name or turns has a cell that is neither."""
        with self._open() as file:
            schema = file.schema_arrow
            labels = _class_labels(schema)
            wanted = [f.name for f in schema if _may_matter(f.type)]
            values: dict[str, list[Any]] = {name: [_NEITHER] for name in schema.names}
            for batch in file.iter_batches(
                min(SAMPLE_ROWS, _batch_rows(file, wanted)), columns=wanted
            ):
                for name, column in zip(batch.schema.names, batch.columns, strict=True):
                    values[name] = [_named(value, labels.get(name)) for value in _plain(column)]
                break
            return Sample(tuple(schema.names), values)

    def blocks(self, columns: Sequence[str]) -> Iterator[Block]:
        """All rows in order."""
        with self._open() as file:
            schema, rows = file.schema_arrow, file.metadata.num_rows
            for name in columns:
                if schema.names.count(name) > 1:
                    raise CorpusError(
                        self._source.path, 0, f'column "{name}" is there more than once'
                    )
            size, start, done = self._source.path.stat().st_size, 0, 0
            present = [name for name in columns if name in schema.names]
            for batch in file.iter_batches(_batch_rows(file, present), columns=present):
                places = np.arange(start, start + batch.num_rows, dtype=np.int64)
                start += batch.num_rows
                behind = size * start // rows
                cells = {name: _cells(batch, name) for name in columns}
                yield Block(
                    places, places + 1, cells, labels=_class_labels(schema), read=behind - done
                )
                done = behind

    @contextmanager
    def _open(self) -> Iterator[pq.ParquetFile]:
        try:
            with pq.ParquetFile(
                self._source.path,
                pre_buffer=False,
                buffer_size=_READ_BYTES,
                page_checksum_verification=True,
            ) as file:
                yield file
        except (OSError, pa.ArrowException) as problem:
            raise CorpusError(
                self._source.path,
                0,
                f"it cannot be read as Parquet ({problem})",
                fix="fetch or write the file again",
            ) from None


def _cells(batch: pa.RecordBatch, name: str) -> pa.Array:
    if name not in batch.schema.names:
        return pa.nulls(batch.num_rows)
    return batch.column(name)


def _plain(column: pa.Array) -> Iterable[Any]:
    """Python values of a column; all null here if some are not valid text (dropped later)."""
    try:
        return list(column.to_pylist())
    except UnicodeDecodeError:
        return [None] * len(column)


def _named(value: Any, labels: list[str] | None) -> Any:
    if labels is not None and isinstance(value, int):
        return labels[value] if 0 <= value < len(labels) else None
    return value


def _may_matter(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _may_matter(kind.value_type)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return bool(pa.types.is_struct(kind.value_type))
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_null(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or str(kind) == "string_view"
    )


def _batch_rows(file: pq.ParquetFile, columns: Sequence[str]) -> int:
    """So many rows that a batch of the columns takes about _BLOCK_BYTES."""
    wanted = {name.split(".")[0] for name in columns} | set(columns)
    metadata, largest = file.metadata, 1.0
    for index in range(metadata.num_row_groups):
        group = metadata.row_group(index)
        size = sum(
            group.column(c).total_uncompressed_size
            for c in range(group.num_columns)
            if group.column(c).path_in_schema.split(".")[0] in wanted
        )
        largest = max(largest, size / max(group.num_rows, 1))
    return int(min(_BLOCK_ROWS * 2, max(1, _BLOCK_BYTES // largest)))


def _class_labels(schema: pa.Schema) -> dict[str, list[str]]:
    """Names of integer labels, from the note that Hugging Face `datasets` leaves in a schema."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {
            name: [str(label) for label in feature["names"]]
            for name, feature in features.items()
            if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
        }
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}
