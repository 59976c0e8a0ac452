"""How large the rows of a corpus are, for the stages that say what they will take."""

from __future__ import annotations

import pyarrow.parquet as pq

from smartx.corpus.corpus import Corpus


def row_bytes(corpus: Corpus) -> tuple[int, float]:
    """Mean bytes of a row in memory, and in the corpus's files, from the heads of some files."""
    rows = held = 0
    paths = sorted(corpus.folder.glob("rows-*.parquet"))
    for path in paths[:: max(1, len(paths) // 8)]:
        head = pq.read_metadata(path)
        rows += head.num_rows
        held += sum(head.row_group(g).total_byte_size for g in range(head.num_row_groups))
    stored = sum(path.stat().st_size for path in paths) / max(1, corpus.num_rows)
    return held // max(1, rows), stored
