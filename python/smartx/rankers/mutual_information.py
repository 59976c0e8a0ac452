"""Greedy orders by what rows tell of queries: submodular mutual information.

Q: the queries, V: the rows of a unit, A: the chosen ones, s: cosines.
    FLQMI: sum over q in Q of max(0, largest s(q, a), a in A) + eta sum over a of largest s(a, q)
    FLVMI: sum over v in V of min(max(0, largest s(v, a), a in A), eta largest s(v, q))
    GCMI:  sum over a in A, q in Q of s(a, q), which is modular: relevance alone (the factor
           2 lambda of the paper changes no order)
Source: Kothawade et al. 2021 (SIMILAR, arXiv 2107.00717); the values that submodlib gives to
FacilityLocationVariantMutualInformation, FacilityLocationMutualInformation and
GraphCutMutualInformation, in this order.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from smartx.engine import DENSE_BYTES, NOMINAL, DenseKernel, FacilityLocation, Speed, maximize
from smartx.errors import InputError
from smartx.options import number
from smartx.rankers.by_score import by_score
from smartx.rankers.pool import Pool
from smartx.rankers.query_sets import (
    COSINE,
    TYPICAL_QUERIES,
    QuerySetRanker,
    check_room,
    nearest,
    queries_of,
    similarities,
)
from smartx.rankers.ranker import Order

MOST_ROWS = int((DENSE_BYTES / 4) ** 0.5)  # of a unit whose cosines of all pairs have room


@dataclass(frozen=True)
class QueryRanker(QuerySetRanker):
    """What these rankers have in common: the queries, all of them one set.

    queries: tables of query vectors, by the encoder of the rows.
    What rows that a model was trained on cover is covered, for those that cover anything.
    """

    def seconds(
        self, sizes: NDArray[np.int64], dimensions: int, speed: Speed = NOMINAL
    ) -> NDArray[np.float64]:
        """Products with a thousand queries, and some looks at each row."""
        per_row = 5e-11 * max(1, dimensions) * TYPICAL_QUERIES + 5e-5
        return np.asarray(per_row / speed.greedy * sizes, dtype=np.float64)

    def memory(self, sizes: NDArray[np.int64], dimensions: int, threads: int) -> int:
        """The similarities with a thousand queries."""
        return (4 * TYPICAL_QUERIES + 64) * int(sizes.max(initial=0)) + (1 << 27)

    def rank(self, pool: Pool, *, threads: int) -> Order:
        """Each unit by itself."""
        queries = np.concatenate(queries_of(pool, self.queries))
        order = np.empty(len(pool), dtype=np.int32)
        gains = np.empty(len(pool))
        for part in pool.parts():
            if part.stop > part.start:
                own = pool.vectors[part]
                trained = (
                    np.zeros(len(own), np.bool_) if pool.trained is None else pool.trained[part]
                )
                order[part], gains[part] = self._ranked(own, queries, trained, threads)
        return order, gains / COSINE

    def _ranked(
        self,
        vectors: NDArray[np.int16],
        queries: NDArray[np.int16],
        trained: NDArray[np.bool_],
        threads: int,
    ) -> Order:
        """Order and gains in units of Q12 products."""
        raise NotImplementedError


@dataclass(frozen=True)
class FlqmiRanker(QueryRanker):
    """By how well the first rows cover the queries, and `eta` times how near each is to one.

    eta: with 0 queries alone are covered: few rows do that, and of the others the nearest to a
    query come first (that is ours). Large: relevance alone.
    """

    eta: Annotated[float, number(0, 1e6)] = 1.0

    name: ClassVar[str] = "flqmi"

    def _ranked(
        self,
        vectors: NDArray[np.int16],
        queries: NDArray[np.int16],
        trained: NDArray[np.bool_],
        threads: int,
    ) -> Order:
        check_room(len(vectors), len(queries))
        return cover_queries(similarities(vectors, queries), self.eta, trained)


@dataclass(frozen=True)
class FlvmiRanker(QueryRanker):
    """By how well the first rows cover all rows, each as far as it is near to a query.

    eta: how far that is. Once rows are covered so far no row has a gain: the nearest to a query
    come first then (that is ours; published greedy takes any).
    Needs the cosines of all pairs of a unit: units above MOST_ROWS rows are refused.
    """

    eta: Annotated[float, number(0, 1e6)] = 1.0

    name: ClassVar[str] = "flvmi"

    def seconds(
        self, sizes: NDArray[np.int64], dimensions: int, speed: Speed = NOMINAL
    ) -> NDArray[np.float64]:
        """All pairs, and lazy greedy over them."""
        pairs = (5e-11 * max(1, dimensions) + 1e-8) / speed.greedy * sizes.astype(np.float64) ** 2
        return np.asarray(super().seconds(sizes, dimensions, speed) + pairs)

    def memory(self, sizes: NDArray[np.int64], dimensions: int, threads: int) -> int:
        """The cosines of all pairs of the largest unit."""
        largest = min(int(sizes.max(initial=0)), MOST_ROWS)
        return super().memory(sizes, dimensions, threads) + 4 * largest * largest

    def _ranked(
        self,
        vectors: NDArray[np.int16],
        queries: NDArray[np.int16],
        trained: NDArray[np.bool_],
        threads: int,
    ) -> Order:
        if len(vectors) > MOST_ROWS:
            raise InputError(
                f"a unit has {len(vectors):,} rows, and the cosines of all pairs of at most "
                f"{MOST_ROWS:,} have room",
                place="flvmi",
                fix="rank by task or template (`per`), or take flqmi, which needs no pairs",
            )
        near = nearest(vectors, queries)
        similar = similarities(vectors, vectors)
        return cover_rows(similar, near, self.eta, trained, threads=threads)


@dataclass(frozen=True)
class GcmiRanker(QueryRanker):
    """By the sum of a row's cosines with the queries."""

    name: ClassVar[str] = "gcmi"

    def seconds(
        self, sizes: NDArray[np.int64], dimensions: int, speed: Speed = NOMINAL
    ) -> NDArray[np.float64]:
        """One product of each row."""
        return np.asarray((4e-9 * max(1, dimensions) + 5e-7) / speed.greedy * sizes)

    def rank(self, pool: Pool, *, threads: int) -> Order:
        """One product of each row with the sum of the queries, exact in float64."""
        total = np.concatenate(queries_of(pool, self.queries)).sum(axis=0, dtype=np.int64)
        scores = np.empty(len(pool))
        step = 1 << 15
        for start in range(0, len(pool), step):
            own = pool.vectors[start : start + step].astype(np.float64)
            scores[start : start + step] = own @ total.astype(np.float64)
        return by_score(pool, scores / COSINE)


def cover_queries(
    similar: NDArray[np.float32], eta: float, trained: NDArray[np.bool_] | None = None
) -> Order:
    """The greedy order of FLQMI, lazily: a gain can only fall, so one that is looked at again and
    still beats the others' old ones is the largest.

    similar: (n, q) float32 whole numbers: sums of them are exact, so ties are ties and go to the
    lower row.  trained: (n,) rows that cover queries beforehand. What is left once every query is
    as near as a row can be has its nearness for a gain.
    """
    nearness = similar.max(axis=1).astype(np.float64)
    relevance = eta * nearness
    covered = _covered(similar, trained)
    most = np.maximum(similar.max(axis=0), 0)
    gains = np.maximum(similar - covered, 0).sum(axis=1, dtype=np.float64) + relevance
    bounds = [(-gain, row) for row, gain in enumerate(gains.tolist())]
    heapq.heapify(bounds)
    order: list[int] = []
    won: list[float] = []
    while bounds and (covered < most).any():
        row = heapq.heappop(bounds)[1]
        more = np.maximum(similar[row] - covered, 0)
        gain = float(more.sum(dtype=np.float64)) + float(relevance[row])
        if bounds and (-gain, row) > bounds[0]:
            heapq.heappush(bounds, (-gain, row))
            continue
        order.append(row)
        won.append(gain)
        covered += more
    left = np.array(sorted(row for _, row in bounds), dtype=np.int64)
    left = left[np.argsort(-nearness[left], kind="stable")]
    places = np.concatenate([np.array(order, dtype=np.int64), left])
    return places.astype(np.int32), np.concatenate([np.array(won), relevance[left]])


def cover_rows(
    similar: NDArray[np.float32],
    near: NDArray[np.float32],
    eta: float,
    trained: NDArray[np.bool_] | None = None,
    *,
    threads: int,
) -> Order:
    """The greedy order of FLVMI: that of facility location where no row counts as nearer to another
    than `eta` times its own nearness to a query, rounded to a whole number.

    similar: (n, n) float32 whole numbers, overwritten.  near: (n,) float32, nearness to a query.
    trained: (n,) rows that cover others beforehand: gains are what is added to that.
    """
    reach = np.rint(np.maximum(near, 0).astype(np.float64) * eta)
    np.minimum(similar, np.minimum(reach, COSINE).astype(np.float32)[:, None], out=similar)
    similar -= _covered(similar.T, trained)[:, None]  # what is below 0 adds nothing
    chosen = maximize(FacilityLocation(), DenseKernel(similar), len(near), threads=threads)
    order, gains = chosen.items, np.asarray(chosen.gains)
    rest = int((gains > 0).sum())
    left = np.sort(order[rest:])
    left = left[np.argsort(-near[left], kind="stable")]
    return np.concatenate([order[:rest], left]).astype(np.int32), gains


def _covered(
    similar: NDArray[np.float32], trained: NDArray[np.bool_] | None
) -> NDArray[np.float32]:
    """(q,) how near the trained ones of n rows are to each of q queries; at least 0."""
    if trained is None or not trained.any():
        return np.zeros(similar.shape[1], dtype=np.float32)
    nearest_trained: NDArray[np.float32] = np.maximum(similar[trained].max(axis=0), 0)
    return nearest_trained
