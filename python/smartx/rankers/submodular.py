"""Greedy order under a set function: SMART's choice of rows is facility location."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from smartx.engine import (
    DENSE_BYTES,
    GRAPH_NEIGHBOURS,
    NOMINAL,
    TOGETHER_BYTES,
    FacilityLocation,
    GraphCut,
    LogDet,
    Speed,
    engine_of,
    rank_groups,
    ranking_bytes,
    ranking_seconds,
)
from smartx.errors import InputError
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

    def seconds(
        self, sizes: NDArray[np.int64], dimensions: int, speed: Speed = NOMINAL
    ) -> NDArray[np.float64]:
        """By the cost model of the engines."""
        return ranking_seconds(sizes, dimensions, self.function, self.dense_limit, speed)

    def memory(self, sizes: NDArray[np.int64], dimensions: int, threads: int) -> int:
        """Of the largest group of each engine, or of those that are ranked side by side."""

        def held(rows: int) -> int:
            return ranking_bytes(rows, dimensions, self.function, self.dense_limit)

        beside = sizes
        if isinstance(self.function, FacilityLocation):
            beside = sizes[2 * sizes * sizes <= TOGETHER_BYTES // threads]
        together = sum(map(held, np.sort(beside)[-threads:].tolist()))
        largest = {self.engine(rows): rows for rows in np.unique(sizes).tolist()}
        return max(together, *map(held, largest.values()))

    def engine(self, rows: int) -> str:
        """As the engine room decides by the size of the group."""
        return engine_of(rows, self.function, self.dense_limit)

    def rank(
        self,
        rows: NDArray[np.int16] | None,
        sizes: NDArray[np.int64],
        first_row: int,
        *,
        threads: int,
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
        )
