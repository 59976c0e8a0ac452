"""The mean vector of every task: what laws over tasks look at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from smartx.engine import sum_rows
from smartx.progress import Progress, Silent, step

if TYPE_CHECKING:
    from smartx.embed import Embeddings

CHUNK = 65_536  # rows read at a time


class Runs(Protocol):
    """Anything that says where its units begin and how many rows they hold: Tasks, Ground."""

    @property
    def start(self) -> NDArray[np.int64]:
        """(M,) first row id of each unit."""

    @property
    def rows(self) -> NDArray[np.int64]:
        """(M,) rows of each unit."""


def task_means(
    embeddings: Embeddings, tasks: Runs, *, progress: Progress | None = None
) -> NDArray[np.float64]:
    """The plain mean of the stored rows of each task.

    Returns (M, d) float64 in Q12 units. The sums are whole numbers and hence exact; the one
    rounding is the division by the number of rows.
    """
    means = np.zeros((len(tasks.rows), embeddings.dimensions), dtype=np.float64)
    with step(progress or Silent(), "task means", int(tasks.rows.sum()), "rows") as advance:
        for place, (start, rows) in enumerate(
            zip(tasks.start.tolist(), tasks.rows.tolist(), strict=True)
        ):
            total = np.zeros(embeddings.dimensions, dtype=np.int64)
            for first in range(start, start + rows, CHUNK):
                stop = min(first + CHUNK, start + rows)
                total += sum_rows(embeddings.rows(first, stop))
                advance(stop - first)
            means[place] = total / rows
    return means
