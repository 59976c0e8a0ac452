"""Rows that are near to query sets, each set in turn, as RDS+ has it.

    score of a row for a set = the largest cosine with one of its queries
    the sets take turns; each names the next row of its own list, best first
Source: Ivison et al. 2025 (arXiv 2503.01807), compute_influence_cosinesim.py and
get_top_aggregated_influences.py. What makes it RDS+ is the vectors: hidden states of a language
model, averaged with weights 1..length; any encoder's will do here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from smartx.engine import NOMINAL, Speed
from smartx.rankers.pool import Pool
from smartx.rankers.query_sets import COSINE, TYPICAL_QUERIES, QuerySetRanker, nearest, queries_of
from smartx.rankers.ranker import Order


@dataclass(frozen=True)
class RdsRanker(QuerySetRanker):
    """Round robin over query sets; gains are the cosines by which rows came to their turn.

    queries: tables of query vectors, one of each set, by the encoder of the rows.
    A set whose next row was already taken names no other in that turn. Published: all but `per`;
    there the whole corpus is one pool.
    """

    name: ClassVar[str] = "rds"

    def seconds(
        self, sizes: NDArray[np.int64], dimensions: int, speed: Speed = NOMINAL
    ) -> NDArray[np.float64]:
        """Products with a thousand queries."""
        per_row = 5e-11 * max(1, dimensions) * TYPICAL_QUERIES + 1e-6
        return np.asarray(per_row / speed.greedy * sizes, dtype=np.float64)

    def memory(self, sizes: NDArray[np.int64], dimensions: int, threads: int) -> int:
        """A block of products, and what sorts the lists."""
        return (1 << 28) + 64 * len(self.queries) * int(sizes.max(initial=0))

    def rank(self, pool: Pool, *, threads: int) -> Order:
        """Ties in a list go to the lower row."""
        tables = queries_of(pool, self.queries)
        scores = np.stack([nearest(pool.vectors, table) for table in tables], axis=1)
        order = np.empty(len(pool), dtype=np.int32)
        gains = np.empty(len(pool))
        for part in pool.parts():
            order[part], gains[part] = round_robin(scores[part].astype(np.float64) / COSINE)
        return order, gains


def round_robin(scores: NDArray[np.float64]) -> Order:
    """The lists of S sets taking turns, and the score by which each row came.

    scores: (n, S) float64 of n rows for each set.
    """
    count, sets = scores.shape
    turns = np.empty((count, sets), dtype=np.int64)
    for place in range(sets):
        turns[np.argsort(-scores[:, place], kind="stable"), place] = np.arange(count)
    turns = turns * sets + np.arange(sets)  # no two are equal
    first = turns.argmin(axis=1)
    rows = np.arange(count)
    order = np.argsort(turns[rows, first], kind="stable")
    return order.astype(np.int32), scores[rows, first][order]
