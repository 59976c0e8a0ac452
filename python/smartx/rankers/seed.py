"""The most influential rows of which no two are near, as SEED has it.

    an edge joins a row with one of its k nearest rows where their cosine is at least `near`
    rows by falling influence; a row is accepted unless an accepted one is joined with it
Their code also asks for 0.95 times the cosine with the k-th nearest row; k nearest rows have at
least that anyway, so that it decides nothing.
Source: SEED (Gumpest/SEED, seed/data_selection/utils.py and write_selected_data.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from smartx.engine import NOMINAL, SimilarityGraph, Speed, knn_graph
from smartx.needs import VECTORS, Need
from smartx.options import number, one_of, whole
from smartx.rankers.one_by_one import finite, one_by_one
from smartx.rankers.pool import Pool
from smartx.rankers.ranker import Order, Ranker


@dataclass(frozen=True)
class SeedRanker(Ranker):
    """Accepted rows by influence, then the others by influence, which is the gain; ties go to the
    lower row.

    influence: a column of numbers; a row without one (NaN) comes last in its part, its gain is 0.
    neighbours: k.  near: least cosine of an edge.
    Published: which rows are accepted, and in which order, with these numbers. Ours: neighbours by
    the engine's exact graph, and that the rest follows.
    """

    influence: str = "influence"
    neighbours: Annotated[int, whole(1, 1000)] = 20
    near: Annotated[float, number(-1, 1)] = 0.7
    per: Annotated[str, one_of("template", "task", "corpus")] = field(default="task", kw_only=True)

    name: ClassVar[str] = "seed"

    @property
    def needs(self) -> tuple[Need, ...]:
        """Vectors and the column."""
        return VECTORS, Need(self.influence, "column")

    def seconds(
        self, sizes: NDArray[np.int64], dimensions: int, speed: Speed = NOMINAL
    ) -> NDArray[np.float64]:
        """An exact search of all pairs, and some looks at each edge."""
        pairs = sizes.astype(np.float64) ** 2
        looks = 2e-10 * pairs + (2e-6 + 1e-7 * self.neighbours) * sizes
        return np.asarray(pairs * dimensions / speed.products + looks / speed.greedy + 1e-5)

    def memory(self, sizes: NDArray[np.int64], dimensions: int, threads: int) -> int:
        """The graph, and what sorts its edges."""
        rows = int(sizes.max(initial=0))
        return rows * (2 * max(1, dimensions) + 160 * self.neighbours) + (64 << 20)

    def rank(self, pool: Pool, *, threads: int) -> Order:
        """Each unit by itself."""
        influence = finite(pool.feature(self.influence), self.influence)

        def ranked(part: slice) -> Order:
            own, vectors = influence[part], pool.vectors[part]
            weights = np.where(np.isnan(own), 0.0, own)
            order = np.lexsort((-weights, np.isnan(own)))  # stable
            if len(own) > 1:
                left, right = self.edges(vectors, threads)
                out = rejected(order, left, right)
                order = order[np.argsort(out[order], kind="stable")]
            return order.astype(np.int32), weights[order]

        return one_by_one(pool, ranked)

    def edges(
        self, vectors: NDArray[np.int16], threads: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Both ends of all edges, each one way."""
        graph = knn_graph(
            vectors, self.neighbours, threads=threads, symmetric=False, include_self=False
        )
        rows = np.repeat(np.arange(graph.n), np.diff(graph.indptr))
        cosines = _cosines(graph, vectors, rows)
        near = cosines >= self.near
        return rows[near], graph.indices[near].astype(np.int64)


def _cosines(
    graph: SimilarityGraph, vectors: NDArray[np.int16], rows: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Of the entries of a graph, as the rows are stored."""
    wide = vectors.astype(np.float32)
    norms = np.einsum("ij,ij->i", wide, wide).astype(np.float64)
    return np.asarray(graph.weights / np.sqrt(norms[rows] * norms[graph.indices]))


def rejected(
    order: NDArray[np.int64], left: NDArray[np.int64], right: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """(n,) which rows are joined with an accepted one, accepted in this order."""
    count = len(order)
    ends, others = np.concatenate([left, right]), np.concatenate([right, left])
    together = np.argsort(ends, kind="stable")
    others = others[together]
    bounds = np.searchsorted(ends[together], np.arange(count + 1))
    out = np.zeros(count, dtype=np.bool_)
    for row in order.tolist():
        if not out[row]:
            out[others[bounds[row] : bounds[row + 1]]] = True
    return out
