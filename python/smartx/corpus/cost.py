"""How large the rows of a corpus are, for the stages that say what they will take."""

from __future__ import annotations

import pyarrow.parquet as pq

from smartx.corpus.corpus import Corpus


def row_bytes(corpus: Corpus, *, others: bool = False) -> tuple[int, float]:
    """Mean bytes of a row in memory, and in the corpus's files, from the heads of some files.

    others: with the other columns, as if all rows had those of rows that have any.
    """
    held, stored = 0, 0.0
    for kind in ("rows-*.parquet", "others-*.parquet")[: 1 + others]:
        paths = sorted(corpus.folder.glob(kind))
        heads = [pq.read_metadata(path) for path in paths[:: max(1, len(paths) // 8)]]
        groups = [head.row_group(g) for head in heads for g in range(head.num_row_groups)]
        size = sum(group.total_byte_size for group in groups)
        held += size // max(1, sum(group.num_rows for group in groups))
        stored += sum(path.stat().st_size for path in paths) / max(1, corpus.num_rows)
    return held, stored
