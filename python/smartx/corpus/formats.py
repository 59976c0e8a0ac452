"""Which reader reads which format.

A format is a class with `sample` (the first rows, to find out which column is what) and `blocks`
(all rows of the wanted columns). A new format is one more class, its line here, and its endings in
sources.py.
"""

from __future__ import annotations

from collections.abc import Callable

from smartx.corpus.arrow_rows import ArrowRows, ParquetRows
from smartx.corpus.blocks import SourceReader
from smartx.corpus.delimited import DelimitedRows
from smartx.corpus.json_rows import JsonLines, json_reader
from smartx.corpus.room import UNLIMITED, Room
from smartx.corpus.sources import SourceFile

READERS: dict[str, Callable[[SourceFile, Room], SourceReader]] = {
    "parquet": ParquetRows,
    "arrow": ArrowRows,
    "jsonl": JsonLines,
    "json": json_reader,
    "csv": DelimitedRows,
    "tsv": DelimitedRows,
}


def open_source(source: SourceFile, room: Room = UNLIMITED) -> SourceReader:
    """The reader for a source file's format. room: what its rows may take."""
    return READERS[source.format](source, room)
