"""Rows of a corpus as texts that `leave_out.words` takes, a few thousand at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from smartx.corpus import Corpus
from smartx.leave_out.texts import BLOCK_ROWS, Block
from smartx.leave_out.words import plain


def blocks_of(corpus: Corpus, rows: NDArray[np.int64]) -> Iterator[Block]:
    """Some rows, of rising ids."""
    for start in range(0, len(rows), BLOCK_ROWS):
        for table in corpus.rising(rows[start : start + BLOCK_ROWS], ("prompt", "response")):
            if table.num_rows:
                yield Block(*(plain(_array(table, name)) for name in ("prompt", "response")))


def _array(table: pa.Table, name: str) -> pa.Array:
    column = table[name].cast(pa.large_string()).combine_chunks()
    return pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column
