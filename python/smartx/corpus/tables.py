"""How the corpus writes Parquet: same rows, same bytes, and a checksum on every page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from smartx.files import committing
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
