"""Greedy order under a set function: SMART's choice of rows is facility location."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from smartx.amounts import Amount, amount
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
    balanced,
    engine_of,
    rank_groups,
    ranking_bytes,
    ranking_seconds,
)
from smartx.engine.objectives import PENALTIES, RIDGES
from smartx.needs import VECTORS
from smartx.options import Takes, number, optional, size_in_bytes
from smartx.rankers.parts import (
    ROW_BYTES,
    Ordered,
    Vectors,
    Way,
    by_gain,
    centres_of,
    cut,
    in_turn,
    taken,
)
from smartx.rankers.pool import Pool
from smartx.rankers.ranker import Order, Ranker


def _rows(value: Any) -> Amount:
    found = amount(value, low=2)
    if not isinstance(found, int):
        raise ValueError
    return found


@dataclass(frozen=True)
class SubmodularRanker(Ranker):
    """The row with the largest marginal gain first, then again and again until none is left.

    balance: where tasks are ranked, each template keeps to its share of its task in every prefix
    (see `engine.rank_groups`). Elsewhere it has no meaning.
    part_rows: groups of more rows are ranked in parts of at most so many, and put together
    (parts.py), which is another ranking. None: every group is ranked whole.
    part_seed: of what is drawn for that.
    """

    balance: bool = field(default=True, kw_only=True)
    part_rows: Annotated[int | None, optional(Takes("a number of rows such as 500k", _rows))] = (
        field(default=None, kw_only=True)
    )
    part_seed: int = field(default=0, kw_only=True)

    way: ClassVar[Way]

    @property
    def function(self) -> Objective:
        """The set function."""
        raise NotImplementedError

    @property
    def _dense_bytes(self) -> int:
        return DENSE_BYTES

    def parameters(self) -> dict[str, Any]:
        """The values by name; `balance` where tasks are ranked, and those of parts where groups may
        be ranked in such.
        """
        own = super().parameters()
        gone = set() if self.per == "task" else {"balance"}
        gone |= {"part_rows", "part_seed"} if self.part_rows is None else set()
        return {name: value for name, value in own.items() if name not in gone}

    def parts(self, rows: int) -> int:
        """As few as hold at most `part_rows` each."""
        return 1 if self.part_rows is None else max(1, -(-rows // self.part_rows))

    def held_rows(self, rows: int) -> int:
        """Those of the largest part."""
        return -(-rows // self.parts(rows))

    def seconds(
        self, sizes: NDArray[np.int64], dimensions: int, speed: Speed = NOMINAL
    ) -> NDArray[np.float64]:
        """By the cost model of the engines."""
        parts, largest = self._parted(sizes)
        took = ranking_seconds(largest, dimensions, self.function, self._dense_bytes, speed)
        if self.part_rows is None:
            return took
        near = np.array([centres_of(n, p) for n, p in zip(sizes.tolist(), parts, strict=True)])
        looked_at = sizes * near * (dimensions / speed.products + 1e-9 / speed.greedy)
        again = took if self.way == "chosen again" else 0.0
        cutting = np.where(parts > 1, looked_at if self.way == "near" else again, 0.0)
        return np.asarray(parts * took + cutting, dtype=np.float64)

    def memory(self, sizes: NDArray[np.int64], dimensions: int, threads: int) -> int:
        """Of the largest group of each engine, or of those that are ranked side by side; of a
        group in parts, that of a part.
        """

        def held(rows: int) -> int:
            return ranking_bytes(rows, dimensions, self.function, self._dense_bytes, threads)

        parts, whole = self._parted(sizes)
        beside = whole
        if isinstance(self.function, FacilityLocation):
            beside = whole[2 * whole * whole <= TOGETHER_BYTES // threads]
        together = sum(map(held, np.sort(beside)[-threads:].tolist()))
        largest = {self._engine(rows): rows for rows in np.unique(whole).tolist()}
        cutting = ROW_BYTES * int(sizes[parts > 1].max(initial=0))
        return max(together, *map(held, largest.values())) + cutting

    def engine(self, rows: int) -> str:
        """As the engine room decides by the size of the group, or of its parts."""
        engine = self._engine(self.held_rows(rows))
        return engine if self.parts(rows) == 1 else f"{engine} in parts"

    def rank(self, pool: Pool, *, threads: int) -> Order:
        """Greedy order and gains of every unit, given the rows that were trained on before: these
        are its first places, with a gain of 0.
        """
        if all(self.parts(rows) == 1 for rows in pool.sizes.tolist()):
            return self._ranked(pool, threads)
        ranked = [self._unit(pool, own, threads) for own in pool.parts()]
        orders, gains = zip(*ranked, strict=True)
        return np.concatenate(orders).astype(np.int32), np.concatenate(gains)

    def cut(self, vectors: Vectors, row_ids: NDArray[np.int64], threads: int) -> NDArray[np.int32]:
        """(n,) the part of each row of a group, from 0; see parts.cut."""
        count = self.parts(len(row_ids))
        return cut(vectors, row_ids, count, self.way, seed=self.part_seed, threads=threads)

    def rank_part(
        self, rows: NDArray[np.int16], trained: NDArray[np.bool_] | None, threads: int
    ) -> Order:
        """A part of a group, by itself; its templates are balanced where parts are put together."""
        sizes = np.array([len(rows)])
        own, memory = self.function, self._dense_bytes
        return rank_groups(rows, sizes, own, first=trained, threads=threads, memory_bytes=memory)

    def join(
        self,
        parts: Sequence[Ordered],
        vectors: Vectors,
        trained: NDArray[np.bool_] | None,
        templates: NDArray[np.int32],
        threads: int,
    ) -> Ordered:
        """A group of its parts, each with its rows as places in the group, best first, and gains.

        A gain is what the row adds to its part given the rows of the part before it; times the
        number of parts for graph cut, and for log-det, of rows that were chosen again, what it adds
        to these.
        """
        rows = sum(len(order) for order, _ in parts)
        first = np.flatnonzero(np.zeros(rows, np.bool_) if trained is None else trained)
        if trained is not None:
            stays = [~trained[order] for order, _ in parts]
            parts = [(o[own], g[own]) for (o, g), own in zip(parts, stays, strict=True)]
        order, gains = by_gain(parts) if self.way == "near" else in_turn(parts)
        if self.way == "drawn":
            gains = gains * len(parts)
        elif self.way == "chosen again":
            head = self._again(order[: rows // len(parts)], vectors, first, rows, threads)
            order = np.concatenate([head[0], order[len(head[0]) :]])
            gains = np.concatenate([head[1], gains[len(head[1]) :]])
        if self._balances:
            order, gains = _in_balance(order, gains, templates, threads)
        return np.concatenate([first, order]), np.concatenate([np.zeros(len(first)), gains])

    def _again(
        self,
        best: NDArray[np.int64],
        vectors: Vectors,
        first: NDArray[np.int64],
        rows: int,
        threads: int,
    ) -> Ordered:
        """The best rows of all parts in greedy's order, given those that come first."""
        places = np.union1d(best, first)
        order, gains = self.rank_part(
            taken(vectors, places, rows), np.isin(places, first) if len(first) else None, threads
        )
        return places[order[len(first) :]], gains[len(first) :]

    def _unit(self, pool: Pool, own: slice, threads: int) -> Order:
        """A unit of a pool, in parts where it is large."""
        rows, templates = pool.vectors[own], pool.templates[own]
        trained = None if pool.trained is None else pool.trained[own]
        ids = pool.row_ids[own]
        if self.parts(len(ids)) == 1:
            sizes = np.array([len(ids)])
            return self._ranked(Pool(sizes, ids, templates, {VECTORS.key: rows}, trained), threads)

        def vectors(start: int, stop: int) -> NDArray[np.int16]:
            return rows[start:stop]

        part = self.cut(vectors, ids, threads)
        parts = []
        for one in range(self.parts(len(ids))):
            places = np.flatnonzero(part == one)
            before = None if trained is None else trained[places]
            order, gains = self.rank_part(rows[places], before, threads)
            parts.append((places[order], gains))
        joined = self.join(parts, vectors, trained, templates, threads)
        return joined[0].astype(np.int32), joined[1]

    def _ranked(self, pool: Pool, threads: int) -> Order:
        return rank_groups(
            pool.vectors,
            pool.sizes,
            self.function,
            templates=pool.templates if self._balances else None,
            first=pool.trained,
            threads=threads,
            memory_bytes=self._dense_bytes,
        )

    @property
    def _balances(self) -> bool:
        return self.balance and self.per == "task"

    def _engine(self, rows: int) -> str:
        return engine_of(rows, self.function, self._dense_bytes)

    def _parted(self, sizes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(u,) parts of each unit, and rows of its largest part."""
        parts = np.maximum(1, -(-sizes // (self.part_rows or max(1, int(sizes.max(initial=1))))))
        return parts, -(-sizes // parts)


def _in_balance(
    order: NDArray[np.int64],
    gains: NDArray[np.float64],
    templates: NDArray[np.int32],
    threads: int,
) -> Ordered:
    """Rows of a group such that each template keeps to its share, its own rows in order."""
    places = np.sort(order)
    inside = np.searchsorted(places, order)
    _, numbers = np.unique(templates[places], return_inverse=True)
    chosen = balanced(inside, numbers.astype(np.int32), threads=threads)
    gain = np.empty(len(order))
    gain[inside] = gains
    return places[chosen], gain[chosen]


@dataclass(frozen=True)
class FacilityLocationRanker(SubmodularRanker):
    """By how well the first rows cover their group.

    dense_limit: a group uses its dense kernel up to this size, and a graph of nearest neighbours
    above it. It decides the order of such groups, so it is a parameter like any other, and does not
    follow the memory of the machine.
    """

    dense_limit: Annotated[int, Takes("a size such as 4G", size_in_bytes)] = DENSE_BYTES

    name: ClassVar[str] = "facility-location"
    way: ClassVar[Way] = "near"

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
    way: ClassVar[Way] = "drawn"

    @property
    def function(self) -> GraphCut:
        """Graph cut."""
        return GraphCut(self.penalty)


@dataclass(frozen=True)
class LogDetRanker(SubmodularRanker):
    """By how much room the first rows span; a smaller `ridge` rewards variety more."""

    ridge: Annotated[float, number(*RIDGES)] = 1.0

    name: ClassVar[str] = "log-det"
    way: ClassVar[Way] = "chosen again"

    @property
    def function(self) -> LogDet:
        """Log-det."""
        return LogDet(self.ridge)
