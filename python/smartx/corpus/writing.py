"""The files of rows and groups in a corpus folder: the same rows give the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from smartx.corpus.corpus import GROUPS_FILE, ROWS_PER_FILE, rows_file
from smartx.corpus.tables import ROW_GROUP, table_file, write_table
from smartx.store import FileEntry

PIECES = ROWS_PER_FILE // ROW_GROUP  # of a file


def write_rows(
    pieces: Iterator[pa.Table], folder: Path, advance: Callable[[int], None]
) -> list[FileEntry]:
    """pieces: of ROW_GROUP rows each, so that files are cut at whole pieces."""
    entries: list[FileEntry] = []
    for first in pieces:
        path = folder / rows_file(len(entries))
        with table_file(path, first.schema) as writer:
            for piece in chain([first], islice(pieces, PIECES - 1)):
                writer.write(piece)
                advance(piece.num_rows)
        entries.append(FileEntry.of(path, writer.rows))
    return entries


def write_groups(
    names: Sequence[tuple[str, str, str]], sizes: NDArray[np.int64], folder: Path
) -> FileEntry:
    """names: source, task and template of each group, in codepoint order.  sizes: (g,) rows."""
    source, task, template = (list(part) for part in zip(*names, strict=True))
    return write_table(
        folder / GROUPS_FILE,
        pa.table(
            {
                "group_id": pa.array(np.arange(len(names), dtype=np.int32)),
                "source": pa.array(source, pa.string()),
                "task": pa.array(task, pa.string()),
                "template": pa.array(template, pa.string()),
                "start": pa.array(np.cumsum(sizes) - sizes),
                "rows": pa.array(sizes),
            }
        ),
    )
