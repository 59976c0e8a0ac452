"""Parquet and Arrow files: columns that have types, read in batches of bounded size."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from smartx.corpus.arrow_types import MixedError, bytes_type
from smartx.corpus.blocks import BLOCK_BYTES, BLOCK_ROWS, NEITHER, SAMPLE_ROWS, Block, Sample
from smartx.corpus.remote import BLOCK_BYTES as FETCHED
from smartx.corpus.remote import RemotePath, arrow_file, for_arrow
from smartx.corpus.room import UNLIMITED, Room
from smartx.corpus.sources import SourceFile
from smartx.corpus.streams import READ_BYTES
from smartx.errors import CorpusError


class ParquetRows:
    """Parquet, read by columns in batches of bounded size."""

    def __init__(self, source: SourceFile, room: Room = UNLIMITED) -> None:
        self._source, self._room = source, room

    def sample(self) -> Sample:
        """The first rows; a column of no use as text, name or turns has a cell that is neither."""
        with self._open() as file:
            schema = file.schema_arrow
            wanted = [f.name for f in schema if _may_matter(f.type)]
            rows = min(SAMPLE_ROWS, _batch_rows(file, wanted))
            first = next(file.iter_batches(rows, columns=wanted), None)
            return _sample(schema, first)

    def blocks(self, columns: Sequence[str]) -> Iterator[Block]:
        """All rows in order."""
        with self._open() as file:
            schema, rows = file.schema_arrow, file.metadata.num_rows
            _once(self._source, schema, columns)
            size, start, done = self._source.path.stat().st_size, 0, 0
            present = [name for name in columns if name in schema.names]
            for batch in file.iter_batches(_batch_rows(file, present), columns=present):
                self._room.check_batch(self._source.path, start + 1, batch.num_rows, batch.nbytes)
                for part in _parts(batch) if batch.nbytes > 4 * BLOCK_BYTES else [batch]:
                    block = _block(self._source, self._room, schema, part, start, columns)
                    start += part.num_rows
                    behind = size * start // rows
                    yield replace(block, read=behind - done)
                    done = behind

    @contextmanager
    def _open(self) -> Iterator[pq.ParquetFile]:
        path = self._source.path
        try:
            with (
                (
                    closing(for_arrow(path)) if isinstance(path, RemotePath) else nullcontext(path)
                ) as raw,
                pq.ParquetFile(
                    raw,
                    pre_buffer=False,
                    buffer_size=FETCHED if isinstance(path, RemotePath) else READ_BYTES,
                    page_checksum_verification=True,
                ) as file,
            ):
                yield file
        except (OSError, pa.ArrowException) as problem:
            raise CorpusError(
                self._source.path,
                0,
                f"it cannot be read as Parquet ({problem})",
                fix="fetch or write the file again",
            ) from None


class ArrowRows:
    """Arrow IPC, as a file or as a stream: one batch in memory at a time, each checked in full."""

    def __init__(self, source: SourceFile, room: Room = UNLIMITED) -> None:
        self._source, self._room = source, room

    def sample(self) -> Sample:
        """The first rows, as for Parquet."""
        for schema, batch, _ in self._batches():
            if batch is None or batch.num_rows:
                return _sample(schema, batch.slice(0, SAMPLE_ROWS) if batch else None)
        return Sample((), {})

    def blocks(self, columns: Sequence[str]) -> Iterator[Block]:
        """All rows in order."""
        start = done = 0
        for schema, batch, behind in self._batches():
            _once(self._source, schema, columns)
            if batch is None:
                continue
            self._room.check_batch(self._source.path, start + 1, batch.num_rows, batch.nbytes)
            for part in _parts(batch):
                block = _block(self._source, self._room, schema, part, start, columns)
                start += part.num_rows
                yield replace(block, read=behind - done)
                done = behind

    def _batches(self) -> Iterator[tuple[pa.Schema, pa.RecordBatch | None, int]]:
        """(schema, batch, bytes read so far), at the end once more with an empty batch or None."""
        path, row = self._source.path, 0
        try:
            with arrow_file(path) as raw:
                is_file = raw.read(6) == b"ARROW1"
                raw.seek(0)
                with (pa.ipc.open_file if is_file else pa.ipc.open_stream)(raw) as reader:
                    batch, seen = None, 0
                    for batch in _each(reader) if is_file else reader:
                        _check(batch)
                        seen = max(seen, raw.tell())
                        yield reader.schema, batch, seen
                        row += batch.num_rows
                    whole = path.stat().st_size
                    yield reader.schema, batch.slice(0, 0) if batch else None, whole
        except (OSError, pa.ArrowException) as problem:
            fault = f"it cannot be read as Arrow ({_first_line(problem)})"
            raise CorpusError(path, row + 1, fault, fix="fetch or write the file again") from None


def _parts(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """A batch in pieces of about BLOCK_BYTES; an empty one is one piece."""
    step = min(BLOCK_ROWS * 2, max(1, BLOCK_BYTES * batch.num_rows // max(batch.nbytes, 1)))
    for at in range(0, batch.num_rows or 1, step):
        yield batch.slice(at, step)


def _block(
    source: SourceFile,
    room: Room,
    schema: pa.Schema,
    part: pa.RecordBatch,
    start: int,
    columns: Sequence[str],
) -> Block:
    """The columns of some rows, the first of them row `start` of its file."""
    if part.nbytes > BLOCK_BYTES and part.num_rows == 1:
        room.check_row(source.path, start + 1, part.nbytes)
    places = np.arange(start, start + part.num_rows, dtype=np.int64)
    labels = _class_labels(schema)
    cells = {name: _cells(part, name, labels.get(name)) for name in columns}
    return Block(places, places + 1, cells)


def _each(reader: pa.ipc.RecordBatchFileReader) -> Iterator[pa.RecordBatch]:
    for number in range(reader.num_record_batches):
        yield reader.get_batch(number)


def _check(batch: pa.RecordBatch) -> None:
    """Raise ArrowInvalid where a batch lies about itself. Text that is not UTF-8 costs one row."""
    for column in batch.columns:
        try:
            seen = column.view(bytes_type(column.type))
        except (MixedError, pa.ArrowException):
            seen = column
        seen.validate(full=True)


def _first_line(problem: BaseException) -> str:
    return str(problem).split("\n", 1)[0][:200]


def _sample(schema: pa.Schema, batch: pa.RecordBatch | None) -> Sample:
    labels = _class_labels(schema)
    values: dict[str, list[Any]] = {name: [NEITHER] for name in schema.names}
    if batch is not None:
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            if _may_matter(column.type):
                values[name] = list(_plain(_named(column, labels.get(name))))
    return Sample(tuple(schema.names), values)


def _once(source: SourceFile, schema: pa.Schema, columns: Sequence[str]) -> None:
    for name in columns:
        if schema.names.count(name) > 1:
            fault = f'column "{name}" is there more than once'
            raise CorpusError(source.path, 0, fault, fix="rename one of them")


def _cells(batch: pa.RecordBatch, name: str, labels: list[str] | None) -> pa.Array:
    if name not in batch.schema.names:
        return pa.nulls(batch.num_rows)
    return _named(batch.column(name), labels)


def _plain(column: pa.Array) -> Iterable[Any]:
    """Python values of a column; all null here if some are not valid text (dropped later)."""
    try:
        return list(column.to_pylist())
    except UnicodeDecodeError:
        return [None] * len(column)


def _named(column: pa.Array, labels: list[str] | None) -> pa.Array:
    """Integers that stand for labels as those; -1 is none, a number without a label is its text."""
    if labels is None or not pa.types.is_integer(column.type):
        return column
    numbers = column.cast(pa.int64())
    is_named = pc.and_(pc.greater_equal(numbers, 0), pc.less(numbers, len(labels)))
    names = pa.array(labels, pa.string()).take(pc.if_else(is_named, numbers, None))
    return pc.if_else(pc.greater_equal(numbers, len(labels)), numbers.cast(pa.string()), names)


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
    """So many rows that a batch of the columns takes about BLOCK_BYTES."""
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
    return int(min(BLOCK_ROWS * 2, max(1, BLOCK_BYTES // largest)))


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
