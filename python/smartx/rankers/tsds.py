"""Rows drawn by what optimal transport from queries gives them, as TSDS has it.

Every query sends the same mass to its nearest rows. A row that is crowded (kernel density) takes
less; the level at which rows are full rises until distance costs more than it brings:
    alpha / scale * cost >= (1 - alpha) * number of queries
Rows are then drawn by the mass that they got.
Source: Liu et al. 2024 (TSDS, arXiv 2410.11303), tsds.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from smartx.draws import TARGET_DRAWS, draws_at
from smartx.engine import NOMINAL, SCALE, Speed
from smartx.options import number, whole
from smartx.rankers.exponentials import exponentials
from smartx.rankers.pool import Pool
from smartx.rankers.query_sets import (
    TYPICAL_QUERIES,
    QuerySetRanker,
    check_room,
    queries_of,
    similarities,
)
from smartx.rankers.ranker import Order

SQUARE = SCALE * SCALE  # of the length of a row: squared distances are in its units
_BLOCK_ROWS = 512


@dataclass(frozen=True)
class TsdsRanker(QuerySetRanker):
    """By draws with the probabilities that transport gives, which are the gains.

    queries: tables of query vectors, by the encoder of the rows; together they are one set.
    alpha: from 0 to 1, more is nearer to the queries, less is more even.  scale: of distances (C).
    sigma: rows nearer than that crowd each other; 0: density counts for nothing.
    neighbours, density_neighbours: so many nearest rows of a query, and of a row, are looked at; a
    tenth of the rows at most.
    seed: of the draws.
    Published: the probabilities, with these numbers, and that rows are drawn with repetition. Ours:
    neighbours are exact, and not those of an index; a row that is drawn again is not taken again,
    so that the prefix of any size holds the first so many different rows of one stream of draws;
    rows without a probability follow, the nearest to a query first.
    """

    alpha: Annotated[float, number(0, 1)] = 0.5
    scale: Annotated[float, number(0, 1e9, above=True)] = 5.0
    sigma: Annotated[float, number(0, 10)] = 0.75
    neighbours: Annotated[int, whole(2)] = 5000
    density_neighbours: Annotated[int, whole(1)] = 1000
    seed: int = 0

    name: ClassVar[str] = "tsds"

    def seconds(
        self, sizes: NDArray[np.int64], dimensions: int, speed: Speed = NOMINAL
    ) -> NDArray[np.float64]:
        """All pairs for the density, and a thousand queries."""
        pair = 2e-11 * max(1, dimensions) + 1e-9
        pairs = pair * sizes.astype(np.float64) * (sizes + TYPICAL_QUERIES)
        return np.asarray(pairs / speed.greedy + 1e-3, dtype=np.float64)

    def memory(self, sizes: NDArray[np.int64], dimensions: int, threads: int) -> int:
        """A thousand queries' similarities, their neighbours, and a block of pairs."""
        largest = int(sizes.max(initial=0))
        near = 80 * TYPICAL_QUERIES * min(self.neighbours, largest // 10 + 2)
        return near + largest * (4 * TYPICAL_QUERIES + 16 * _BLOCK_ROWS + 4 * max(1, dimensions))

    def rank(self, pool: Pool, *, threads: int) -> Order:
        """Each unit by itself."""
        queries = np.concatenate(queries_of(pool, self.queries))
        order = np.empty(len(pool), dtype=np.int32)
        gains = np.empty(len(pool))
        for part in pool.parts():
            if part.stop > part.start:
                odds, near = self.odds(pool.vectors[part], queries)
                races = exponentials(draws_at(self.seed, TARGET_DRAWS, pool.row_ids[part]))
                late = np.where(odds > 0, races / np.where(odds > 0, odds, 1.0), np.inf)
                order[part] = np.lexsort((near, late))
                gains[part] = odds[order[part]]
        return order, gains

    def odds(
        self, vectors: NDArray[np.int16], queries: NDArray[np.int16]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(n,) probability of each row, and (n,) its squared distance to the nearest query."""
        check_room(len(vectors), len(queries))
        count = min(len(vectors), max(2, min(self.neighbours, len(vectors) // 10)))
        rows, squares, nearest = neighbours_of(vectors, queries, count)
        if count < 2:
            return np.ones(len(vectors)), nearest
        near, places = np.unique(rows, return_inverse=True)
        if self.sigma > 0:
            most = max(1, min(self.density_neighbours, len(vectors) // 10))
            crowd = densities(vectors[near], self.sigma, most)[places.reshape(rows.shape)]
        else:
            crowd = np.ones(rows.shape)
        last, level = transport(np.sqrt(squares / SQUARE), crowd, self.alpha, self.scale)
        return masses(rows, crowd, last, level, len(vectors)), nearest


def neighbours_of(
    vectors: NDArray[np.int16], queries: NDArray[np.int16], count: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """The nearest rows of each query: (q, count) rows, nearest first, ties to the lower row; their
    squared distances in units of Q12 products, exact; and (n,) of each row to its nearest query.
    """
    own, norms2 = _norms2(vectors), _norms2(queries)
    similar = similarities(queries, vectors)
    rows = np.empty((len(queries), count), dtype=np.int64)
    squares = np.empty((len(queries), count))
    nearest = np.full(len(vectors), np.inf)
    for query in range(len(queries)):
        far = own + norms2[query] - 2.0 * similar[query]
        np.minimum(nearest, far, out=nearest)
        within = np.flatnonzero(far <= np.partition(far, count - 1)[count - 1])
        first = within[np.argsort(far[within], kind="stable")[:count]]
        rows[query], squares[query] = first, far[first]
    return rows, squares, nearest


def densities(vectors: NDArray[np.int16], sigma: float, most: int) -> NDArray[np.float64]:
    """(n,) sum of max(0, 1 - (distance / sigma)^2) over the `most` nearest rows, itself among them.

    Squared distances are whole numbers in units of Q12 products, so that their sums are exact.
    """
    norms2, reach = _norms2(vectors), sigma * sigma * SQUARE
    wide, count = vectors.astype(np.float32), len(vectors)
    least = (norms2 + norms2.min() - reach) / 2 - 4  # of a product of a row with one inside
    counts, sums = np.zeros(count, dtype=np.int64), np.zeros(count)
    for start in range(0, count, _BLOCK_ROWS):  # pairs of a block with itself and what follows
        stop = min(count, start + _BLOCK_ROWS)
        near = wide[start:stop] @ wide[start:].T
        row, other = np.nonzero(near > least[start:stop, None].astype(np.float32))
        far = norms2[row + start] + norms2[other + start] - 2.0 * near[row, other]
        inside = far < reach
        row, other, far = row[inside] + start, other[inside] + start, far[inside]
        behind = other >= stop
        for ends, squares in ((row, far), (other[behind], far[behind])):
            counts += np.bincount(ends, minlength=count)
            sums += np.bincount(ends, weights=squares, minlength=count)
    crowded = np.flatnonzero(counts > most)
    for start in range(0, len(crowded), _BLOCK_ROWS):
        rows = crowded[start : start + _BLOCK_ROWS]
        far = norms2[rows, None] + norms2 - 2.0 * (wide[rows] @ wide.T)
        counts[rows] = most
        sums[rows] = np.partition(far, most - 1, axis=1)[:, :most].sum(axis=1)
    return counts - sums / reach


def transport(
    distances: NDArray[np.float64], crowd: NDArray[np.float64], alpha: float, scale: float
) -> tuple[NDArray[np.int64], float]:
    """How far each query's mass goes: (q,) the last neighbour that is full, and the level s.

    distances, crowd: (q, k >= 2), of each query's neighbours, nearest first. At level s each takes
    1 / (s crowd) of a query's mass; while s rises, one after the other is full, and what is left
    over goes to the one behind. Sums run in the order in which that happens.
    """
    queries = len(distances)
    full = np.add.accumulate(1.0 / crowd, axis=1)[:, :-1]
    spent = np.add.accumulate(distances / crowd, axis=1)[:, :-1]
    cost = distances[:, 1:] * full - spent
    more = np.diff(cost, axis=1, prepend=0.0)
    query, place = np.indices(full.shape)
    events = np.lexsort((query.ravel(), place.ravel(), full.ravel()))
    total = np.add.accumulate(more.ravel()[events])
    enough = alpha / scale * total >= (1.0 - alpha) * queries
    stop = int(enough.argmax()) if enough.any() else len(events)
    last = np.zeros(queries, dtype=np.int64)
    np.maximum.at(last, query.ravel()[events[:stop]], place.ravel()[events[:stop]])
    return last, float(full.ravel()[events[min(stop, len(events) - 1)]])


def masses(
    rows: NDArray[np.int64],
    crowd: NDArray[np.float64],
    last: NDArray[np.int64],
    level: float,
    count: int,
) -> NDArray[np.float64]:
    """(count,) what each row gets of all queries' mass, which is 1, in the order of the queries."""
    queries, places = rows.shape
    each = 1.0 / queries / level / crowd
    each[np.arange(places) > last[:, None]] = 0.0
    each[:, 0] = np.minimum(each[:, 0], 1.0 / queries)  # at once enough: the first is not full
    over = np.maximum(1.0 / queries - np.add.accumulate(each, axis=1)[:, -1], 0.0)
    each[np.arange(queries), last + 1] = over
    found = np.zeros(count)
    np.add.at(found, rows.ravel(), each.ravel())
    return found


def _norms2(rows: NDArray[np.int16]) -> NDArray[np.float64]:
    wide = rows.astype(np.float32)
    norms2: NDArray[np.float64] = np.einsum("ij,ij->i", wide, wide).astype(np.float64)
    return norms2
