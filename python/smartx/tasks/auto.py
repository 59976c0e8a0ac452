"""How tasks are found where rows do not name them: a choice, with its parameters."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

from smartx.options import Options, optional, whole

MOST_CLUSTERS = 1_840  # the tasks of FLAN 2022, the largest collection that SMART was shown on
CLUSTER_ROWS = 256  # rows a cluster that are looked at to find it, as Faiss takes them
ITERATIONS = 25


@dataclass(frozen=True)
class AutoTasks(Options):
    """Clusters of the rows' vectors, by k-means, named after their typical words.

    clusters: how many; none: the square root of the rows, from 2 to 1,840: as many tasks as rows in
    each.
    sample: of so many rows at most they are found; then every row goes to the nearest.
    """

    clusters: Annotated[int | None, optional(whole(1, 65_536))] = None
    sample: Annotated[int, whole(1, 10_000_000)] = 100_000
    seed: Annotated[int, whole()] = 0

    name: ClassVar[str] = "auto"

    def clusters_of(self, rows: int) -> int:
        """How many clusters are looked for among so many rows."""
        if self.clusters is not None:
            return min(self.clusters, rows)
        return min(rows, max(2, min(MOST_CLUSTERS, round(math.sqrt(rows)))))

    def sampled(self, rows: int) -> int:
        """Of how many rows they are found."""
        clusters = self.clusters_of(rows)
        return min(rows, max(clusters, min(self.sample, CLUSTER_ROWS * clusters)))
