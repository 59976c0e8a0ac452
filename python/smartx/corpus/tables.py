"""How Parquet is written, same rows as same bytes with a checksum on every page, and how a file of
a finished stage is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from smartx.errors import StoreError
from smartx.files import committing, unchanged_digest
from smartx.store import FileEntry

ROW_GROUP = 8_192


class TableWriter:
    """Writes tables one below the other; `rows` counts them."""

    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer, self.rows = writer, 0

    def write(self, table: pa.Table) -> None:
        """Append a table of the file's schema."""
        self._writer.write_table(table.combine_chunks(), row_group_size=ROW_GROUP)
        self.rows += table.num_rows


@contextmanager
def table_file(path: Path, schema: pa.Schema, *, sought: str = "") -> Iterator[TableWriter]:
    """A Parquet file that appears under its name when the block ends well.

    sought: the column by which rows are looked for; in such a file columns keep their Arrow types.
    """
    with (
        committing(path) as temporary,
        pq.ParquetWriter(
            temporary,
            schema,
            version="2.6",
            data_page_version="1.0",
            compression="zstd",
            compression_level=3,
            use_dictionary=False,
            write_statistics=[sought] if sought else False,
            store_schema=bool(sought),
            write_page_checksum=True,
        ) as writer,
    ):
        yield TableWriter(writer)


def write_table(path: Path, table: pa.Table) -> FileEntry:
    """Write one table as a whole file."""
    with table_file(path, table.schema) as writer:
        writer.write(table)
    return FileEntry.of(path, table.num_rows)


@contextmanager
def as_written(folder: Path, manifest: Mapping[str, Any], name: str, *, fix: str) -> Iterator[Path]:
    """A file of a finished stage, to be read in this block: it is what the manifest says.

    Raises StoreError, with the fix, where it is not, or cannot be read.
    """
    path = folder / name
    wanted = [entry["sha256"] for entry in manifest["files"] if entry["name"] == name]
    try:
        if wanted != [unchanged_digest(path)]:
            raise OSError("its bytes are not those that were written")
        yield path
    except (OSError, ValueError, pa.ArrowException) as problem:
        fault = f"it cannot be read ({problem})"
        raise StoreError(fault, place=str(path), fix=fix) from None
