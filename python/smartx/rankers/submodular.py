"""Greedy order under a set function: SMART's choice of rows is facility location."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

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
    Objective,
    Speed,
    engine_of,
    rank_groups,
    ranking_bytes,
    ranking_seconds,
)
from smartx.engine.objectives import PENALTIES, RIDGES
from smartx.options import Takes, number, size_in_bytes
from smartx.rankers.pool import Pool
from smartx.rankers.ranker import Order, Ranker


@dataclass(frozen=True)
class SubmodularRanker(Ranker):
    """The row with the largest marginal gain first, then again and again until none is left.

    balance: where tasks are ranked, each template keeps to its share of its task in every prefix
    (see `engine.rank_groups`). Elsewhere it has no meaning.
    """

    balance: bool = field(default=True, kw_only=True)

    @property
    def function(self) -> Objective:
        """The set function."""
        raise NotImplementedError

    @property
    def _dense_bytes(self) -> int:
        return DENSE_BYTES

    def parameters(self) -> dict[str, Any]:
        """The values by name; `balance` where tasks are ranked."""
        own = super().parameters()
        return own if self.per == "task" else {n: own[n] for n in own if n != "balance"}

    def seconds(
        self, sizes: NDArray[np.int64], dimensions: int, speed: Speed = NOMINAL
    ) -> NDArray[np.float64]:
        """By the cost model of the engines."""
        return ranking_seconds(sizes, dimensions, self.function, self._dense_bytes, speed)

    def memory(self, sizes: NDArray[np.int64], dimensions: int, threads: int) -> int:
        """Of the largest group of each engine, or of those that are ranked side by side."""

        def held(rows: int) -> int:
            return ranking_bytes(rows, dimensions, self.function, self._dense_bytes, threads)

        beside = sizes
        if isinstance(self.function, FacilityLocation):
            beside = sizes[2 * sizes * sizes <= TOGETHER_BYTES // threads]
        together = sum(map(held, np.sort(beside)[-threads:].tolist()))
        largest = {self.engine(rows): rows for rows in np.unique(sizes).tolist()}
        return max(together, *map(held, largest.values()))

    def engine(self, rows: int) -> str:
        """As the engine room decides by the size of the group."""
        return engine_of(rows, self.function, self._dense_bytes)

    def rank(self, pool: Pool, *, threads: int) -> Order:
        """Greedy order and gains of every unit, given the rows that were trained on before: these
        are its first places, with a gain of 0.
        """
        return rank_groups(
            pool.vectors,
            pool.sizes,
            self.function,
            templates=pool.templates if self.balance and self.per == "task" else None,
            first=pool.trained,
            threads=threads,
            memory_bytes=self._dense_bytes,
        )


@dataclass(frozen=True)
class FacilityLocationRanker(SubmodularRanker):
    """By how well the first rows cover their group.

    dense_limit: a group uses its dense kernel up to this size, and a graph of nearest neighbours
    above it. It decides the order of such groups, so it is a parameter like any other, and does not
    follow the memory of the machine.
    """

    dense_limit: Annotated[int, Takes("a size such as 4G", size_in_bytes)] = DENSE_BYTES

    name: ClassVar[str] = "facility-location"

    @property
    def function(self) -> FacilityLocation:
        """Facility location."""
        return FacilityLocation()

    @property
    def _dense_bytes(self) -> int:
        return self.dense_limit

    def parameters(self) -> dict[str, Any]:
        """What decides which engine runs it."""
        own = super().parameters()
        del own["dense_limit"]
        return {**own, "dense_bytes": self.dense_limit, "graph_neighbours": GRAPH_NEIGHBOURS}


@dataclass(frozen=True)
class GraphCutRanker(SubmodularRanker):
    """By how near a row is to its group, less `penalty` times how near it is to those before it."""

    penalty: Annotated[float, number(*PENALTIES)] = 0.4

    name: ClassVar[str] = "graph-cut"

    @property
    def function(self) -> GraphCut:
        """Graph cut."""
        return GraphCut(self.penalty)


@dataclass(frozen=True)
class LogDetRanker(SubmodularRanker):
    """By how much room the first rows span; a smaller `ridge` rewards variety more."""

    ridge: Annotated[float, number(*RIDGES)] = 1.0

    name: ClassVar[str] = "log-det"

    @property
    def function(self) -> LogDet:
        """Log-det."""
        return LogDet(self.ridge)
