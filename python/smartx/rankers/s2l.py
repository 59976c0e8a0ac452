"""Rows from all clusters of loss trajectories alike, as S2L has it.

Rows whose losses fall in the same way while a small model trains have similar gradients. K-means
over the trajectories, clusters from the smallest to the largest:
    quota of a cluster = what is left of the budget // clusters that are left, its size at most
    rows of a cluster are drawn uniformly; clusters of one or two rows are drawn from last
Source: Yang et al. 2024 (S2L, arXiv 2403.07384), schedules/s2l.py. There the sources of a corpus
share the budget by the same rule; here they are tasks, and that is the weight law `equal`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from smartx.draws import CLUSTER_ROWS, draws_at
from smartx.engine import NOMINAL, Speed
from smartx.needs import Need
from smartx.options import one_of, whole
from smartx.rankers.clusters import clusters_of, spread_starts
from smartx.rankers.pool import Pool
from smartx.rankers.ranker import Order, Ranker

TINY = 2  # rows of a cluster that is drawn from last


@dataclass(frozen=True)
class S2lRanker(Ranker):
    """Clusters of loss trajectories in turn. It claims no gain: every gain is 0.

    losses: a feature, (n, c): the loss of each row at c checkpoints; NaN counts as 0.
    `smartx features trajectories` collects it.
    clusters, iterations: of K-means, with squared distances.  seed: of its start and of the draws.
    starts: the first centres: random rows, as published, or spread: rows far from each other
    (k-means++), which find few clusters more surely.
    Published: the clusters (by another library), the quotas for every budget, and that rows are
    drawn uniformly. Ours: one order of which every prefix has the published quotas.
    """

    losses: str = "losses"
    clusters: Annotated[int, whole(1)] = 100
    iterations: Annotated[int, whole(1)] = 20
    seed: int = 0
    starts: Annotated[str, one_of("random", "spread")] = "random"
    per: Annotated[str, one_of("template", "task", "corpus")] = field(default="task", kw_only=True)

    name: ClassVar[str] = "s2l"

    @property
    def needs(self) -> tuple[Need, ...]:
        """The trajectories."""
        return (Need(self.losses, "matrix"),)

    def seconds(
        self, sizes: NDArray[np.int64], dimensions: int, speed: Speed = NOMINAL
    ) -> NDArray[np.float64]:
        """K-means on one thread."""
        clusters = np.minimum(sizes, self.clusters)
        step = 1e-10 * max(1, dimensions) + 6e-9
        return np.asarray(
            (step * clusters * self.iterations + 1e-6) / speed.greedy * sizes + 3e-3,
            dtype=np.float64,
        )

    def memory(self, sizes: NDArray[np.int64], dimensions: int, threads: int) -> int:
        """The trajectories twice, and what sorts the rows."""
        return int(sizes.max(initial=0)) * (16 * max(1, dimensions) + 100)

    def rank(self, pool: Pool, *, threads: int) -> Order:
        """Each unit by itself."""
        losses = np.asarray(pool.feature(self.losses), dtype=np.float64)
        order = np.empty(len(pool), dtype=np.int32)
        for part in pool.parts():
            ids, own = pool.row_ids[part], losses[part]
            own = np.where(np.isnan(own), 0.0, own)
            count, starts = min(self.clusters, len(own)), None
            if self.starts == "spread" and count > 1 and np.isfinite(own).all():
                starts = spread_starts(own, count, seed=self.seed)
            labels = clusters_of(
                own, count, ids, seed=self.seed, iterations=self.iterations, starts=starts
            )
            order[part] = by_quota(labels, draws_at(self.seed, CLUSTER_ROWS, ids))
        return order, np.zeros(len(pool))


def by_quota(labels: NDArray[np.int32], keys: NDArray[np.uint64]) -> NDArray[np.int32]:
    """The order of which every prefix has the published quotas.

    A budget larger by one gives one cluster one more row: of those that a round has not reached,
    the last in the order by size. So rounds run over the clusters from the largest to the smallest
    (of equal ones the higher number first), each round taking one row of each that has any left.
    labels: (n,) cluster of each row.  keys: (n,) draws, by which the rows of a cluster come.
    """
    sizes = np.bincount(labels)
    place = np.empty(len(sizes), dtype=np.int64)
    place[np.argsort(sizes, kind="stable")] = np.arange(len(sizes))
    together = np.lexsort((keys, labels))
    turn = np.empty(len(labels), dtype=np.int64)
    turn[together] = np.arange(len(labels)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    tiny = sizes[labels] <= TINY
    turn, behind = np.where(tiny, 0, turn), np.where(tiny, 0, -place[labels])
    return np.lexsort((keys, behind, turn, tiny)).astype(np.int32)
