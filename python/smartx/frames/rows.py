"""Rows that a caller holds in memory -> a file that ingest reads as it reads any other.

Frames and tables become an Arrow stream, written batch by batch; lists of dicts become JSON lines,
so that rows may differ in their keys as they may in a file. No package is imported for that: what
is handed over says by its own methods what it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from smartx.errors import InputError, first_line
from smartx.files import committing

BATCH_ROWS = 8_192  # rows that are written at a time
KINDS = (
    "a data frame of pandas or polars, an Arrow table, a Dataset of Hugging Face, a list of dicts, "
    "or the name of a file"
)


def is_rows(value: object) -> bool:
    """Whether this is rows in memory, and not the name of a file or a list of several sources."""
    if isinstance(value, str | Path | bytes):
        return False
    if isinstance(value, list | tuple):
        return bool(value) and isinstance(value[0], Mapping) and not _is_split(value[0])
    return _is_table(value) or isinstance(value, Iterator)


def ending_of(rows: Any) -> str:
    """Of the file that `write_rows` makes of rows."""
    return ".arrow" if _is_table(rows) else ".jsonl"


def write_rows(rows: Any, path: Path, place: str) -> None:
    """Write rows to a file. rows: what `is_rows` takes.  place: the argument, for messages.

    Raises InputError where there are none, or they cannot be written.
    """
    if _is_table(rows):
        schema, batches = _opened(rows, place)
        with committing(path) as temporary:
            _write_stream(schema, batches, temporary, place)
    else:
        with committing(path) as temporary, temporary.open("wb") as file:
            file.writelines(_lines(rows, place))


def train_of(value: Any) -> Any:
    """Of a data set in several splits `train`, or its only one; anything else as it is.

    Raises InputError where none is called `train`.
    """
    if not _is_split(value):
        return value
    if "train" in value:
        return value["train"]
    if len(value) == 1:
        return next(iter(value.values()))
    names = ", ".join(map(repr, value))
    raise InputError(
        f"the data set is in several splits ({names}), and none is called train",
        place="sources",
        fix="give one of them, or all by name: sources=dict(dataset)",
    )


def _is_split(value: object) -> bool:
    """Whether this is a DatasetDict: a dict of its own kind."""
    return isinstance(value, dict) and _module(value) == "datasets"


def _module(value: object) -> str:
    return type(value).__module__.partition(".")[0]


def _is_table(value: object) -> bool:
    if _module(value) == "datasets":
        return hasattr(value, "with_format") and hasattr(value, "features")
    if _module(value) == "pandas":
        return hasattr(value, "columns")
    wanted = ("__arrow_c_stream__", "collect_schema", "to_batches")
    return not isinstance(value, type) and any(hasattr(value, name) for name in wanted)


def _opened(rows: Any, place: str) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Schema and batches of a table of anybody's."""
    module = _module(rows)
    try:
        if module == "datasets":
            return _of_dataset(rows)
        if module == "pandas":
            table = pa.Table.from_pandas(rows, preserve_index=False).replace_schema_metadata(None)
        elif hasattr(rows, "collect_schema"):  # a polars frame, lazy or not
            table = (rows.collect() if hasattr(rows, "collect") else rows).to_arrow()
        elif hasattr(rows, "__arrow_c_stream__"):
            reader = pa.RecordBatchReader.from_stream(rows)
            return reader.schema, iter(reader)
        else:
            return rows.schema, iter(rows.to_batches())
    except (pa.ArrowException, TypeError) as problem:
        raise _not_written(place, problem) from None
    return table.schema, iter(table.to_batches())


def _of_dataset(rows: Any) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """A Dataset or IterableDataset. Its schema says the names of labels that are numbers."""
    tables = iter(rows.with_format("arrow").iter(batch_size=BATCH_ROWS))
    if rows.features is None:
        first = next(tables, pa.table({}))
        tables, schema = chain([first], tables), first.schema
    else:
        schema = rows.features.arrow_schema
    fitted = (table.select(schema.names).cast(schema) for table in tables)
    return schema, (batch for table in fitted for batch in table.to_batches())


def _write_stream(
    schema: pa.Schema, batches: Iterable[pa.RecordBatch], path: Path, place: str
) -> None:
    rows = 0
    try:
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
            for batch in batches:
                for start in range(0, batch.num_rows, BATCH_ROWS):
                    writer.write_batch(batch.slice(start, BATCH_ROWS))
                rows += batch.num_rows
    except pa.ArrowException as problem:
        raise _not_written(place, problem) from None
    if not rows:
        raise InputError("there are no rows in it", place=place)


def _lines(rows: Iterable[Any], place: str) -> Iterator[bytes]:
    empty = True
    for number, row in enumerate(rows):
        empty = False
        yield _line(row, number, place)
    if empty:
        raise InputError("there are no rows in it", place=place)


def _line(row: Any, number: int, place: str) -> bytes:
    if not isinstance(row, Mapping):
        raise InputError(
            f"row {number} (from 0) is {type(row).__name__} and not a dict",
            place=place,
            fix=f"give {KINDS}",
        )
    row = row if isinstance(row, dict) else dict(row)
    try:
        return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY)
    except TypeError:  # numbers of more than 64 bits, halves of characters, or what is not JSON
        pass
    try:
        return json.dumps(row).encode() + b"\n"
    except (TypeError, ValueError, RecursionError) as problem:
        fault = f"row {number} (from 0) cannot be written as JSON ({str(problem)[:200]})"
        raise InputError(fault, place=place, fix="leave the value out, or make it text") from None


def _not_written(place: str, problem: BaseException) -> InputError:
    return InputError(
        f"it cannot be had as an Arrow table ({first_line(problem)})",
        place=place,
        fix="give each column values of one type",
    )
