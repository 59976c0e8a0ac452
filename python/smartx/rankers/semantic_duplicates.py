"""Rows that repeat others come last: SemDeDup, and D4 upon it.

SemDeDup: K-means; the rows of a cluster stand from the farthest to the nearest to its centre; what
counts for a row is its largest cosine with one that stands before it. Rows above a bound are left
out, so that by this number rows are in order for every bound.
D4: SemDeDup leaves out a part of the rows; the others are clustered anew, and those nearest to
their centre are left out first (SSL prototypes).
Source: Abbas et al. 2023 (SemDeDup, arXiv 2303.09540), semdedup.py and clustering/sort_clusters.py;
Tirumala et al. 2023 (D4, arXiv 2308.12284), whose own code was never published.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from smartx.draws import CLUSTER_ROWS, draws_at
from smartx.engine import NOMINAL, SCALE, Speed, sum_rows
from smartx.options import number, one_of, optional, whole
from smartx.rankers.clusters import clusters_of
from smartx.rankers.one_by_one import one_by_one
from smartx.rankers.pool import Pool
from smartx.rankers.ranker import Order, Ranker

_BLOCK_ROWS = 2048
_UNIT = SCALE * SCALE


@dataclass(frozen=True)
class SemDeDupRanker(Ranker):
    """The rows that repeat others least first; gains are 1 less the largest cosine with a row that
    is kept rather.

    clusters: of K-means; none: the square root of a unit's rows, to the nearest.
    keep: which of near rows is kept: "hard", the farther from the centre; "easy", the nearer;
    "random", by a draw.
    iterations: of K-means.  seed: of its start, and of the draws.
    Published: the number of each row, given clusters. Ours: K-means by another library, with
    squared distances of rows of length 1; one order for every bound; ties go to the lower row.
    """

    clusters: Annotated[int | None, optional(whole(1))] = None
    keep: Annotated[str, one_of("hard", "easy", "random")] = "hard"
    iterations: Annotated[int, whole(1)] = 20
    seed: int = 0
    per: Annotated[str, one_of("template", "task", "corpus")] = field(default="task", kw_only=True)

    name: ClassVar[str] = "semdedup"

    def seconds(
        self, sizes: NDArray[np.int64], dimensions: int, speed: Speed = NOMINAL
    ) -> NDArray[np.float64]:
        """K-means on one thread, and the pairs of each cluster."""
        rows = sizes.astype(np.float64)
        clusters = np.sqrt(rows) if self.clusters is None else np.minimum(rows, self.clusters)
        step = 1e-10 * max(1, dimensions) + 6e-9
        means = (step * clusters * self.iterations + 3e-6) * rows + 1e-2
        pairs = (3e-11 * max(1, dimensions) + 1e-9) * rows * rows / np.maximum(clusters, 1)
        return np.asarray((means + pairs + 1e-4 * clusters) / speed.greedy, dtype=np.float64)

    def memory(self, sizes: NDArray[np.int64], dimensions: int, threads: int) -> int:
        """The rows as floats some times, and a block of products."""
        rows = int(sizes.max(initial=0))
        return rows * (20 * max(1, dimensions) + 4 * _BLOCK_ROWS + 100)

    def rank(self, pool: Pool, *, threads: int) -> Order:
        """Each unit by itself."""

        def ranked(part: slice) -> Order:
            near = self.repeats(pool.vectors[part], pool.row_ids[part])
            order = np.argsort(near, kind="stable")
            return order.astype(np.int32), 1.0 - near[order] / _UNIT

        return one_by_one(pool, ranked)

    def repeats(
        self, vectors: NDArray[np.int16], row_ids: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """(n,) the largest product of each row with one that is kept rather; at least 0."""
        labels = self.labels(vectors, row_ids)
        if self.keep == "random":
            first = draws_at(self.seed, CLUSTER_ROWS, row_ids).astype(np.float64)
        else:
            first = centrality(vectors, labels)
            first = -first if self.keep == "easy" else first
        return repeats(vectors, labels, first)

    def labels(self, vectors: NDArray[np.int16], row_ids: NDArray[np.int64]) -> NDArray[np.int32]:
        """(n,) clusters of some rows."""
        count = self.clusters or max(1, round(math.sqrt(len(vectors))))
        rows = vectors.astype(np.float32) / np.float32(SCALE)
        return clusters_of(rows, count, row_ids, seed=self.seed, iterations=self.iterations)


@dataclass(frozen=True)
class D4Ranker(SemDeDupRanker):
    """Rows that repeat none, the farthest from their centre first; then the others, from those that
    repeat least.

    kept: the part of the rows that SemDeDup leaves; in the paper 0.75.
    Gains are 1 less the cosine with the centre; of rows that repeat others 0.
    Published: both steps for one size; a mixture of a part R of the rows has the first R / 0.75 of
    what is left. Ours: what follows upon these.
    """

    kept: Annotated[float, number(0, 1, above=True)] = 0.75

    name: ClassVar[str] = "d4"

    def seconds(
        self, sizes: NDArray[np.int64], dimensions: int, speed: Speed = NOMINAL
    ) -> NDArray[np.float64]:
        """Clusters are made twice."""
        return np.asarray(super().seconds(sizes, dimensions, speed) * (1 + self.kept))

    def rank(self, pool: Pool, *, threads: int) -> Order:
        """Each unit by itself."""

        def ranked(part: slice) -> Order:
            vectors, row_ids = pool.vectors[part], pool.row_ids[part]
            by_repeats = np.argsort(self.repeats(vectors, row_ids), kind="stable")
            count = max(1, round(self.kept * len(vectors)))
            stay, others = np.sort(by_repeats[:count]), by_repeats[count:]
            own = np.ascontiguousarray(vectors[stay])
            near = centrality(own, self.labels(own, row_ids[stay]))
            far = np.argsort(near, kind="stable")
            gains = np.concatenate([1.0 - near[far], np.zeros(len(others))])
            return np.concatenate([stay[far], others]).astype(np.int32), gains

        return one_by_one(pool, ranked)


def centrality(vectors: NDArray[np.int16], labels: NDArray[np.int32]) -> NDArray[np.float64]:
    """(n,) cosine of each row with the mean of its cluster. Products with a sum of Q12 rows are
    whole numbers below 2^53, so that one rounding is all there is.
    """
    found = np.empty(len(vectors))
    for rows in _members(labels):
        own = np.ascontiguousarray(vectors[rows])
        total = sum_rows(own)
        length = math.sqrt(sum(value * value for value in total.tolist()))
        found[rows] = own.astype(np.float64) @ total.astype(np.float64) / (SCALE * max(length, 1.0))
    return found


def repeats(
    vectors: NDArray[np.int16], labels: NDArray[np.int32], first: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(n,) the largest product of each row with one of its cluster that stands before it, at least
    0. first: (n,) rows with less stand first; of equal ones the lower row.
    """
    found = np.zeros(len(vectors))
    for rows in _members(labels):
        rows = rows[np.argsort(first[rows], kind="stable")]
        own = vectors[rows].astype(np.float32)
        best = np.zeros(len(rows), dtype=np.float32)
        for start in range(0, len(rows), _BLOCK_ROWS):
            stop = min(len(rows), start + _BLOCK_ROWS)
            near = own[:stop] @ own[start:stop].T  # exact: whole numbers up to 2^24
            before = np.arange(stop)[:, None] < np.arange(start, stop)
            best[start:stop] = np.where(before, near, 0.0).max(axis=0)
        found[rows] = best
    return found


def _members(labels: NDArray[np.int32]) -> Iterator[NDArray[np.int64]]:
    """The rows of each cluster, rising."""
    order = np.argsort(labels, kind="stable")
    yield from np.split(order, np.cumsum(np.bincount(labels))[:-1])
