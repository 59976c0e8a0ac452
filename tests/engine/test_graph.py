from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import q12_reference as reference
from smartx.engine import SimilarityGraph, hnsw_package, knn_graph, quantize
from smartx.engine import graph as graph_module
from smartx.errors import InputError, MissingPackageError, SmartxError

needs_hnsw = pytest.mark.skipif(find_spec("hnswlib") is None, reason="hnswlib is not installed")
SCALE2 = reference.SCALE**2


def dense(graph: SimilarityGraph) -> NDArray[np.float64]:
    """The matrix, with NaN where nothing is stored."""
    matrix = np.full((graph.n, graph.n), np.nan)
    rows = np.repeat(np.arange(graph.n), np.diff(graph.indptr))
    matrix[rows, graph.indices] = graph.weights
    return matrix


def expected(
    rows: NDArray[np.int16], k: int, *, symmetric: bool, include_self: bool
) -> NDArray[np.float64]:
    items, similarities = reference.nearest(rows, k)
    matrix = np.full((len(rows), len(rows)), np.nan)
    np.put_along_axis(matrix, items, similarities.astype(float), axis=1)
    if symmetric:
        matrix = np.where(np.isnan(matrix), matrix.T, matrix)
    if include_self:
        np.fill_diagonal(matrix, reference.similarities(rows, rows).diagonal())
    return matrix


def arrays(graph: SimilarityGraph) -> tuple[bytes, bytes, bytes]:
    return graph.indptr.tobytes(), graph.indices.tobytes(), graph.weights.tobytes()


@given(
    n=st.integers(1, 40),
    d=st.integers(1, 4),
    k=st.integers(1, 45),
    seed=st.integers(0, 1000),
    symmetric=st.booleans(),
    include_self=st.booleans(),
)
def test_the_graph_is_that_of_the_dense_reference(
    n: int, d: int, k: int, seed: int, symmetric: bool, include_self: bool
) -> None:
    values = np.random.default_rng(seed).integers(-3, 4, (n, d)).astype(np.float64)
    values[~values.any(axis=1), 0] = 1.0
    rows = quantize(values)
    graph = knn_graph(rows, k, "exact", symmetric=symmetric, include_self=include_self)
    wanted = expected(rows, k, symmetric=symmetric, include_self=include_self)
    np.testing.assert_array_equal(dense(graph), wanted)
    assert graph.nnz == np.isfinite(wanted).sum()


def test_a_symmetric_graph_says_so_and_a_directed_one_does_not() -> None:
    rows = reference.random_rows(300, 8, seed=3)
    assert knn_graph(rows, 5).is_symmetric()
    assert not knn_graph(rows, 5, symmetric=False).is_symmetric()


def test_transposing_swaps_the_ends_and_twice_is_the_graph() -> None:
    graph = knn_graph(reference.random_rows(200, 8, seed=4), 5, symmetric=False)
    np.testing.assert_array_equal(dense(graph.transposed()), dense(graph).T)
    assert arrays(graph.transposed().transposed()) == arrays(graph)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_graphs_of_real_weights_transpose_too(kind: type) -> None:
    graph = SimilarityGraph(
        np.array([0, 2, 2, 3]), np.array([1, 2, 0]), np.array([0.5, -1.5, 2.0], dtype=kind)
    )
    turned = graph.transposed()
    assert turned.weights.dtype == kind
    np.testing.assert_array_equal(dense(turned), dense(graph).T)
    assert graph.similarities.tolist() == [0.5, -1.5, 2.0]


def test_similarities_are_cosines_within_the_rounding_of_q12() -> None:
    x = np.random.default_rng(5).normal(size=(100, 40))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    graph = knn_graph(x, 7)
    rows = np.repeat(np.arange(graph.n), np.diff(graph.indptr))
    cosines = np.einsum("ij,ij->i", x[rows], x[graph.indices])
    np.testing.assert_allclose(graph.similarities, cosines, atol=2e-3)
    assert np.array_equal(graph.similarities, graph.weights / SCALE2)


def test_floats_and_their_q12_rows_give_one_graph() -> None:
    x = np.random.default_rng(6).normal(size=(100, 12)).astype(np.float32)
    from smartx.engine import quantize

    assert arrays(knn_graph(x, 4)) == arrays(knn_graph(quantize(x), 4))


def test_any_number_of_threads_gives_the_same_graph() -> None:
    rows = reference.random_rows(2000, 24, seed=7)
    assert len({arrays(knn_graph(rows, 9, threads=t)) for t in (1, 2, 8)}) == 1


def test_one_row_has_only_itself() -> None:
    graph = knn_graph(np.ones((1, 4)), 64)
    assert (graph.n, graph.nnz) == (1, 1)
    assert knn_graph(np.ones((1, 4)), 64, include_self=False).nnz == 0
    assert knn_graph(np.ones((1, 4)), 64, "hnsw").nnz == 1


def test_arrays_of_a_graph_cannot_be_written_and_those_of_the_caller_still_can() -> None:
    weights = np.ones(1)
    graph = SimilarityGraph(np.array([0, 1]), np.array([0]), weights)
    with pytest.raises(ValueError, match="read-only"):
        graph.weights[0] = 2.0
    weights[0] = 2.0


@pytest.mark.parametrize(
    ("indptr", "indices", "weights", "fault"),
    [
        ([1, 1], [0], [1.0], r"indptr\[0\] is 1"),
        ([0, 2, 1], [0, 1], [1.0, 1.0], "indptr falls from 2 to 1 at row 1"),
        ([0, 1, 3], [0, 1], [1.0, 1.0], "indptr ends at 3, but there are 2 entries"),
        ([0, 1, 2], [0, 2], [1.0, 1.0], "row 1 lists column 2 of 2"),
        ([0, 1, 2], [0, -1], [1.0, 1.0], "row 1 lists column -1 of 2"),
        ([0, 2, 2], [1, 0], [1.0, 1.0], "column 0 after column 1"),
        ([0, 2, 2], [1, 1], [1.0, 1.0], "column 1 after column 1"),
        ([0, 1, 2], [0, 1], [1.0, np.nan], "row 1, column 1: the weight is not finite"),
        ([0, 1, 2], [0, 1], [np.inf, 1.0], "row 0, column 0: the weight is not finite"),
        ([0, 1, 2], [0, 1], [1.0, -1e308], r"weights\[1\] is -1e\+308, beyond 1e\+100"),
        ([0, 1, 2], [0, 1], [1.0], "2 indices, but 1 weights"),
        ([0], [], [], "at least one row"),
    ],
)
def test_a_fault_of_a_graph_is_named(
    indptr: list[int], indices: list[int], weights: list[float], fault: str
) -> None:
    with pytest.raises(InputError, match=fault):
        SimilarityGraph(
            np.array(indptr, dtype=np.int64),
            np.array(indices, dtype=np.int32),
            np.array(weights, dtype=np.float64),
        )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("indptr", np.array([0.0, 1.0])),
        ("indices", np.array([0.0])),
        ("indices", np.array([[0]])),
        ("indices", np.array([2**40])),
        ("weights", np.array([1])),
        ("weights", np.array(["a"])),
    ],
)
def test_an_array_of_the_wrong_kind_is_named(name: str, value: NDArray[np.generic]) -> None:
    good = {"indptr": np.array([0, 1]), "indices": np.array([0]), "weights": np.array([1.0])}
    with pytest.raises(InputError, match=f"{name}: "):
        SimilarityGraph(**{**good, name: value})


def test_a_sparse_matrix_becomes_a_graph_with_sorted_columns() -> None:
    csr = SimpleNamespace(
        shape=(2, 2),
        indptr=np.array([0, 2, 3], dtype=np.int32),
        indices=np.array([1, 0, 1], dtype=np.int32),
        data=np.array([3, 2, 5]),
    )
    graph = SimilarityGraph.from_matrix(SimpleNamespace(tocsr=lambda: csr))
    np.testing.assert_array_equal(dense(graph), [[2, 3], [np.nan, 5]])
    assert graph.weights.dtype == np.float64


def test_a_matrix_that_is_not_square_is_refused() -> None:
    csr = SimpleNamespace(shape=(2, 3))
    with pytest.raises(InputError, match=r"\(2, 3\)"):
        SimilarityGraph.from_matrix(SimpleNamespace(tocsr=lambda: csr))


@pytest.mark.parametrize("k", [0, -1, 2.0, True, None, "5"])
def test_k_must_be_a_whole_number_of_at_least_one(k: object) -> None:
    with pytest.raises(InputError, match="k: "):
        knn_graph(np.ones((3, 2)), k)  # type: ignore[arg-type]


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(InputError, match='use "exact" or "hnsw"'):
        knn_graph(np.ones((3, 2)), 1, "annoy")  # type: ignore[arg-type]


def test_hnsw_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hnswlib", None)
    with pytest.raises(MissingPackageError, match=r"smartx-mix\[hnsw\].*HNSWLIB_NO_NATIVE=1"):
        knn_graph(np.ones((3, 2)), 1, "hnsw")


def test_hnswlib_of_another_processor_is_an_error_and_not_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def end_there(code: str) -> None:
        monkeypatch.setattr(hnsw_package, "_PROBE", code)
        hnsw_package.hnswlib_fault.cache_clear()

    monkeypatch.setitem(sys.modules, "hnswlib", ModuleType("hnswlib"))
    try:
        end_there("import os, signal; os.kill(os.getpid(), signal.SIGILL)")
        assert hnsw_package.hnswlib_fault() is not None
        with pytest.raises(SmartxError, match="another processor") as told:
            knn_graph(np.ones((3, 2)), 1, "hnsw")
        assert "HNSWLIB_NO_NATIVE=1 pip install" in str(told.value)
        end_there("raise ImportError")  # a process of other paths: nothing is known
        assert hnsw_package.hnswlib_fault() is None
    finally:
        hnsw_package.hnswlib_fault.cache_clear()


def test_the_search_is_exact_unless_it_is_told_otherwise() -> None:
    rows = reference.random_rows(300, 16, seed=8)
    assert knn_graph(rows, 5).recall is None
    assert arrays(knn_graph(rows, 5)) == arrays(knn_graph(rows, 5, "exact"))


@needs_hnsw
def test_two_hnsw_builds_are_equal() -> None:
    rows = reference.random_rows(2500, 24, seed=9)
    first, again, threads = (knn_graph(rows, 10, "hnsw", threads=t) for t in (1, 1, 2))
    assert arrays(first) == arrays(again) == arrays(threads)
    assert first.recall == again.recall


@needs_hnsw
def test_hnsw_weights_are_exact_and_its_lists_are_full() -> None:
    rows = reference.random_rows(1500, 24, seed=10)
    graph = knn_graph(rows, 10, "hnsw", symmetric=False)
    assert np.diff(graph.indptr).tolist() == [11] * 1500
    at = np.repeat(np.arange(graph.n), np.diff(graph.indptr))
    assert np.array_equal(graph.weights, reference.similarities(rows, rows)[at, graph.indices])


@needs_hnsw
def test_hnsw_on_duplicates_never_lists_a_row_twice() -> None:
    rows = reference.random_rows(30, 8, seed=11)[np.random.default_rng(0).integers(0, 30, 600)]
    graph = knn_graph(rows, 12, "hnsw", symmetric=False)
    assert np.diff(graph.indptr).tolist() == [13] * 600


def test_recall_is_the_share_of_true_neighbours_found() -> None:
    rows = reference.random_rows(400, 16, seed=12)
    _, truth = reference.nearest(rows, 8)
    weights = truth.astype(np.int32)
    assert graph_module._measured_recall(rows, weights, seed=0, threads=1) == 1.0
    weights[:, 4:] = truth[:, -1:] - 1  # half of every list is worse than the true worst
    assert graph_module._measured_recall(rows, weights, seed=0, threads=1) == 0.5


@pytest.mark.corpus
def test_hnsw_finds_the_neighbours_of_real_vectors(real_data: Path) -> None:
    rows = np.ascontiguousarray(np.load(real_data / "t0_minilm_q12.npy", mmap_mode="r")[:6000])
    graph = knn_graph(rows, 64, "hnsw")
    assert graph.recall is not None
    assert graph.recall >= 0.95
    exact = knn_graph(rows, 64)
    assert graph.nnz > 0.95 * exact.nnz
