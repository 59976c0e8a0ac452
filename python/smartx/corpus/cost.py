"""How large the rows of a corpus are, for the stages that say what they will take."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from smartx.corpus.corpus import Corpus, reading


@dataclass(frozen=True)
class RowSizes:
    """Bytes. held: of a row in memory.  stored: in the files.  together: of rows read at once."""

    held: int
    stored: float
    together: int

    @property
    def reading(self) -> int:
        """What reading rows takes at its peak: Arrow's pool keeps several of what it has read."""
        return min((16 << 20) + 8 * self.together, (128 << 20) + 3 * self.together)


def row_sizes(corpus: Corpus, *, others: bool = False) -> RowSizes:
    """Means, and the largest row group, from the heads of some files.

    others: with the other columns, as if all rows had those of rows that have any.
    """
    held, stored, together = 0, 0.0, 0
    for kind in ("rows-*.parquet", "others-*.parquet")[: 1 + others]:
        paths = sorted(corpus.folder.glob(kind))
        heads = [_head(path) for path in paths[:: max(1, len(paths) // 8)]]
        groups = [head.row_group(g) for head in heads for g in range(head.num_row_groups)]
        sizes = [group.total_byte_size for group in groups]
        held += sum(sizes) // max(1, sum(group.num_rows for group in groups))
        stored += sum(path.stat().st_size for path in paths) / max(1, corpus.num_rows)
        together = max(together, *sizes, 0)
    return RowSizes(held, stored, together)


def _head(path: Path) -> pq.FileMetaData:
    with reading(path):
        return pq.read_metadata(path)
