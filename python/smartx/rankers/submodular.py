"""Greedy order under a set function: SMART's choice of rows is facility location."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from smartx.engine import (
    DENSE_BYTES,
    GRAPH_NEIGHBOURS,
    FacilityLocation,
    GraphCut,
    LogDet,
    rank_groups,
    ranking_seconds,
)
from smartx.errors import InputError
from smartx.progress import Progress
from smartx.weights import described


@dataclass(frozen=True)
class SubmodularRanker:
    """The row with the largest marginal gain first, then again and again until none is left.

    dense_limit: facility location over a group uses its dense kernel up to this size, and a graph
    of nearest neighbours above it. It decides the order of such groups, so it is a parameter like
    any other, and does not follow the memory of the machine.
    """

    function: FacilityLocation | GraphCut | LogDet = field(default_factory=FacilityLocation)
    dense_limit: int = DENSE_BYTES

    needs_embeddings: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """The name of the set function."""
        return str(described(self.function)["name"])

    def parameters(self) -> dict[str, Any]:
        """The options of the set function, and what decides which engine runs it."""
        options = asdict(self.function)
        if isinstance(self.function, FacilityLocation):
            options.update(dense_bytes=self.dense_limit, graph_neighbours=GRAPH_NEIGHBOURS)
        return options

    def seconds(self, sizes: NDArray[np.int64], dimensions: int) -> NDArray[np.float64]:
        """By the cost model of the engines, at nominal speed."""
        return ranking_seconds(sizes, dimensions, self.function, self.dense_limit)

    def rank(
        self,
        rows: NDArray[np.int16] | None,
        sizes: NDArray[np.int64],
        first_row: int,
        *,
        threads: int,
        progress: Progress,
    ) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Greedy order and gains of every group."""
        if rows is None:
            raise InputError(f"the ranker {self.name} needs embeddings", place="rows")
        return rank_groups(
            rows,
            sizes,
            self.function,
            threads=threads,
            memory_bytes=self.dense_limit,
            progress=progress,
        )
