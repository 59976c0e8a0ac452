"""Sparse similarity graphs: exact or HNSW nearest neighbours of every row, joined to one graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smartx import _core
from smartx.draws import RECALL_SAMPLE, draws
from smartx.engine.dense import LARGEST
from smartx.engine.fixed_point import SCALE, as_rows
from smartx.engine.gpu import Neighbours
from smartx.engine.hnsw_package import load_hnswlib
from smartx.engine.on_card import nearest_others
from smartx.engine.threads import resolve_threads, whole_number
from smartx.errors import InputError, SmartxError

Weights = NDArray[np.int32] | NDArray[np.float32] | NDArray[np.float64]

_RECALL_ROWS = 512
_QUERY_ROWS = 8192


@dataclass(frozen=True, slots=True, eq=False)
class SimilarityGraph:
    """A sparse n x n matrix of similarities in compressed rows (CSR); what is not stored is zero.

    indptr: (n + 1,) int64; row i holds the entries indptr[i] .. indptr[i + 1] - 1.
    indices: (nnz,) int32, columns, ascending in every row.
    weights: (nnz,) int32 similarities of Q12 rows, or float32 or float64 in any unit.
    recall: share of the true neighbours that HNSW found on a sample; None where it was not used.
    Raises InputError if the arrays are no such matrix; the message names the first fault.

    >>> import numpy as np, smartx
    >>> graph = smartx.SimilarityGraph(np.array([0, 1, 2]), np.array([0, 1], np.int32), np.ones(2))
    >>> graph.n, graph.nnz, graph.is_symmetric()
    (2, 2, True)
    """

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    weights: Weights
    recall: float | None = None

    def __post_init__(self) -> None:
        for name, kinds in _FIELD_TYPES.items():
            array = _frozen(getattr(self, name), name, kinds)
            object.__setattr__(self, name, array)
        if self.indptr.size < 2:
            raise InputError("a graph needs at least one row", place="indptr")
        if self.indptr.size > np.iinfo(np.int32).max:
            raise InputError(f"{self.n} rows are more than 2**31 - 2", place="indptr")
        if self.indices.size != self.weights.size:
            raise InputError(
                f"{self.indices.size} indices, but {self.weights.size} weights", place="graph"
            )
        fault = _core.graph_fault(self.indptr, self.indices, self.weights)
        if fault:
            raise InputError(fault, place="graph")
        if self.nnz and max(float(self.weights.max()), -float(self.weights.min())) > LARGEST:
            entry = int(np.argmax(np.abs(self.weights)))
            raise InputError(
                f"weights[{entry}] is {self.weights[entry]}, beyond {LARGEST:g}",
                place="graph",
                fix="scale the similarities down",
            )

    @property
    def n(self) -> int:
        """Number of rows."""
        return int(self.indptr.size) - 1

    @property
    def nnz(self) -> int:
        """Number of stored entries."""
        return int(self.indices.size)

    @property
    def similarities(self) -> NDArray[np.float64]:
        """The weights as (nnz,) float64: cosines where they are Q12 similarities."""
        values = self.weights.astype(np.float64)
        return values / (SCALE * SCALE) if self.weights.dtype == np.int32 else values

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the weights."""
        return self.weights.dtype

    def diagonal(self) -> NDArray[np.float64]:
        """The similarities of rows with themselves, as far as they are stored."""
        rows = np.repeat(np.arange(self.n, dtype=np.int32), np.diff(self.indptr))
        of_itself: NDArray[np.float64] = self.similarities[self.indices == rows]
        return of_itself

    def transposed(self) -> SimilarityGraph:
        """The graph with every entry (i, j) turned into (j, i)."""
        turned = _core.transposed_graph(self.indptr, self.indices, self.weights)
        return SimilarityGraph(*turned, recall=self.recall)

    def is_symmetric(self) -> bool:
        """Whether entry (j, i) stands, with the same weight, for every entry (i, j)."""
        _, indices, weights = turned = _core.transposed_graph(
            self.indptr, self.indices, self.weights
        )
        return bool(
            np.array_equal(turned[0], self.indptr)
            and np.array_equal(indices, self.indices)
            and np.array_equal(weights, self.weights)
        )

    @classmethod
    def from_matrix(cls, matrix: Any) -> SimilarityGraph:
        """The graph of a square sparse matrix with `tocsr()`, such as those of scipy.sparse.

        Columns are sorted. Integer weights become float64, because int32 means Q12 here.
        Raises InputError if it is not square, or lists an entry twice.
        """
        csr = matrix.tocsr()
        if len(csr.shape) != 2 or csr.shape[0] != csr.shape[1]:
            raise InputError(f"expected a square matrix, got {csr.shape}", place="graph")
        indptr = np.asarray(csr.indptr, dtype=np.int64)
        indices, data = np.asarray(csr.indices), np.asarray(csr.data)
        row_of = np.repeat(np.arange(csr.shape[0], dtype=np.int64), np.diff(indptr))
        order = np.lexsort((indices, row_of))
        weights = data if data.dtype in (np.float32, np.float64) else data.astype(np.float64)
        return cls(indptr, indices[order], weights[order])


_FIELD_TYPES: dict[str, tuple[type, ...]] = {
    "indptr": (np.int64, np.int32),
    "indices": (np.int32, np.int64),
    "weights": (np.int32, np.float32, np.float64),
}


def _frozen(value: Any, name: str, kinds: tuple[type, ...]) -> NDArray[Any]:
    array = np.asarray(value)
    if array.dtype not in kinds or array.ndim != 1:
        wanted = " or ".join(np.dtype(kind).name for kind in kinds)
        raise InputError(
            f"expected one dimension of {wanted}, got shape {array.shape}, dtype {array.dtype}",
            place=name,
        )
    if name == "indices" and array.dtype == np.int64:
        outside = np.flatnonzero((array < 0) | (array > np.iinfo(np.int32).max))
        if outside.size:
            raise InputError(f"entry {outside[0]} is {array[outside[0]]}", place=name)
    kept = kinds[0] if name != "weights" else array.dtype
    view: NDArray[Any] = np.ascontiguousarray(array, dtype=kept).view()
    view.flags.writeable = False
    return view


def knn_graph(
    X: ArrayLike,
    k: int = 64,
    method: Literal["exact", "hnsw"] = "exact",
    *,
    threads: int | None = None,
    symmetric: bool = True,
    include_self: bool = True,
    seed: int = 0,
    M: int = 16,
    ef_construction: int = 100,
    device: str = "auto",
) -> SimilarityGraph:
    """The graph that joins every row with its k most similar rows; ties go to the lower row.

    X: (n, d) float or Q12 rows.  k: neighbours of a row, itself not counted; n - 1 where k >= n.
    method: "exact", or "hnsw" (package hnswlib), which is approximate: `recall` says how good. It
    takes less time on one thread above about a million rows, and misses more the more there are.
    symmetric: an edge stands where either end lists the other, else row i lists only its own k.
    include_self: row i lists itself too, with its own similarity, as facility location needs.
    seed, M, ef_construction: of HNSW; the index is built by one thread, so it is reproducible.
    device: what finds exact neighbours: "auto" is a CUDA card where that is faster, "cpu", or a
    card by name, such as "cuda:0". The graph is the same, bit for bit.
    Weights are exact int32 similarities whatever the method.
    Raises InputError for unusable X, k, method or device, and where too little memory is free;
    MissingPackageError if hnswlib is needed but absent, SmartxError if it was compiled for another
    processor.

    >>> import numpy as np, smartx
    >>> graph = smartx.knn_graph(np.random.default_rng(0).normal(size=(100, 8)), k=5)
    >>> smartx.maximize(smartx.FacilityLocation(), graph, 10).engine
    'graph'
    """
    k = whole_number(k, "k", 1, 2**31 - 1)
    if method not in ("exact", "hnsw"):
        raise InputError(f"{method!r} is not a method", place="method", fix='use "exact" or "hnsw"')
    workers = resolve_threads(threads)
    rows = as_rows(X, threads=workers)
    k = min(k, len(rows) - 1)
    recall = None
    if k > 0 and method == "hnsw":
        items, weights = _hnsw_neighbours(rows, k, workers, seed, M, ef_construction)
        recall = _measured_recall(rows, weights, seed, workers)
    else:
        items, weights = nearest_others(rows, k, threads=workers, device=device)
    arrays = _core.graph_of_neighbours(rows, items, weights, symmetric, include_self, workers)
    return SimilarityGraph(*arrays, recall=recall)


def _hnsw_neighbours(
    rows: NDArray[np.int16], k: int, threads: int, seed: int, M: int, ef_construction: int
) -> Neighbours:
    """As _core.neighbours, but from an HNSW index; similarities are exact."""
    n, d = rows.shape
    index = load_hnswlib().Index(space="ip", dim=d)
    index.init_index(
        max_elements=n, M=M, ef_construction=ef_construction, random_seed=seed & 0x7FFFFFFF
    )
    for start in range(0, n, _QUERY_ROWS):
        # Multiples of 2**-12, |row| <= 1: inner products are exact in float32, in any order.
        some = rows[start : start + _QUERY_ROWS].astype(np.float32) / np.float32(4096)
        index.add_items(some, np.arange(start, start + len(some)), num_threads=1)
    items = np.empty((n, k), dtype=np.int32)
    weights = np.empty((n, k), dtype=np.int32)
    for start in range(0, n, _QUERY_ROWS):
        some = rows[start : start + _QUERY_ROWS].astype(np.float32) / np.float32(4096)
        labels = _query(index, some, k + 1, threads)
        stop = start + len(some)
        items[start:stop], weights[start:stop] = _best_others(rows, start, labels, threads)
    return items, weights


def _query(index: Any, some: NDArray[np.float32], count: int, threads: int) -> NDArray[np.int64]:
    """`count` labels for each row. hnswlib fails where its search met fewer: then search wider."""
    ef, n = max(2 * count, 128), index.get_current_count()
    while True:
        index.set_ef(ef)
        try:
            labels, _ = index.knn_query(some, k=count, num_threads=threads)
        except RuntimeError as fault:
            if ef >= 2 * n:
                raise SmartxError(
                    f"the HNSW index reaches fewer than {count} rows from some row",
                    fix='use method="exact", or a larger M',
                ) from fault
            ef *= 4
        else:
            return cast("NDArray[np.int64]", labels.astype(np.int64))


def _best_others(
    rows: NDArray[np.int16], start: int, labels: NDArray[np.int64], threads: int
) -> Neighbours:
    """Of k + 1 labels a row, the k best that are not the row itself; ties to the lower label."""
    count, width = labels.shape
    own = np.arange(start, start + count, dtype=np.int64)[:, None]
    pairs_i = np.repeat(own.ravel(), width).astype(np.int32)
    pairs_j = labels.ravel().astype(np.int32)
    found = _core.pair_similarities(rows, pairs_i, pairs_j, threads).reshape(count, width)
    keys = _keys(found, labels)
    keys[labels == own] = np.iinfo(np.int64).min
    best = np.argsort(-(keys + 1), axis=1, kind="stable")[:, : width - 1]
    items = np.take_along_axis(labels, best, axis=1).astype(np.int32)
    return items, np.take_along_axis(found, best, axis=1)


def _keys(similarities: NDArray[np.int32], items: NDArray[np.int64]) -> NDArray[np.int64]:
    """One number for (similarity, item): the larger, the better; ties go to the lower item."""
    return similarities.astype(np.int64) * (1 << 32) - items


def _measured_recall(
    rows: NDArray[np.int16], weights: NDArray[np.int32], seed: int, threads: int
) -> float:
    """Share of a seeded sample's true k nearest that were found; of equal ones any counts."""
    n, k = weights.shape
    sample = np.unique(draws(seed, RECALL_SAMPLE, 0, _RECALL_ROWS) % np.uint64(n)).astype(np.int64)
    queries = np.ascontiguousarray(rows[sample])
    best = np.full((len(sample), k), np.iinfo(np.int32).min, dtype=np.int32)
    for start in range(0, n, 65_536):
        block = rows[start : start + 65_536]
        found = _core.similarities(queries, block, threads=threads)
        inside = np.flatnonzero((sample >= start) & (sample < start + len(block)))
        found[inside, sample[inside] - start] = np.iinfo(np.int32).min
        joined = np.concatenate([best, found], axis=1)
        best = np.partition(joined, joined.shape[1] - k, axis=1)[:, -k:]
    kth = best.min(axis=1, keepdims=True)
    return float(np.mean(weights[sample] >= kth))
