"""What making a mixture will take."""

from __future__ import annotations

from pathlib import Path

from smartx.corpus import Corpus
from smartx.corpus.cost import row_sizes
from smartx.costs import BASE_BYTES, StagePlan
from smartx.engine import DENSE_TASKS
from smartx.mixture.write import PART_ROWS, columns_of

STREWN_BYTES = 192 << 20
TASK_BYTES = 4_000
ROW_BYTES = 130  # ranking, tokens, and what sorting them takes: 1.8 GB of 17.6 million rows
TASK_PAIR_BYTES = 14  # of the cosines of all tasks, where they are computed


def mix_cost(
    corpus: Corpus, rows: int, dimensions: int, out: Path, *, by_row: bool = False
) -> StagePlan:
    """rows: of the mixture.  dimensions: of the vectors that the weight law may look at, or 0.

    by_row: all rows of the corpus are looked at, for a budget in tokens or one that names rows.
    """
    size = row_sizes(corpus, others=True)
    tasks, d = len(corpus.groups.tasks()), dimensions
    memory = BASE_BYTES + size.reading
    memory += min(rows, PART_ROWS) * (4 * size.held + 100) + 60 * rows
    memory += ROW_BYTES * corpus.num_rows if by_row else 0
    memory += tasks * (TASK_BYTES + 20 * d)  # what the manifest says of it, and its mean
    memory += TASK_PAIR_BYTES * tasks**2 if d and tasks <= DENSE_TASKS else 0
    seconds = 0.2 + 2e-5 * rows + 2e-7 * corpus.num_rows + 1e-4 * tasks
    seconds += 1e-6 * corpus.num_rows if by_row else 0
    disk = int(rows * (size.stored + 30)) + (1 << 20) + 400 * tasks
    _, meant = columns_of(corpus)
    if meant["tools"] or meant["calls"]:
        disk += int(rows * size.stored)  # the copy of the turns
    if rows > PART_ROWS:
        disk += rows * size.held  # strewn beside the result while it is made,
        memory += STREWN_BYTES  # in bundles
    return StagePlan("mix", out, seconds, memory, disk)
