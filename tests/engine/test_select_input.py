"""What maximize() refuses, what it accepts, and that it never hangs: the faults of its peers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import smartx
from smartx.engine import (
    DenseKernel,
    FacilityLocation,
    GraphCut,
    LogDet,
    SimilarityGraph,
    maximize,
)
from smartx.engine.objectives import PENALTIES, RIDGES

RNG = np.random.default_rng(3)
X = RNG.normal(size=(60, 16)).astype(np.float32)
UNIT = X / np.linalg.norm(X, axis=1, keepdims=True)
K = np.tril(UNIT @ UNIT.T) + np.tril(UNIT @ UNIT.T, -1).T
REPEATED = np.r_[X, X[:30]]
WHOLE = np.rint(2.0 * REPEATED.astype(np.float64))
FUNCTIONS = [FacilityLocation(), GraphCut(0.4), LogDet(1.0)]


def changed(array: np.ndarray, place: Any, value: Any) -> np.ndarray:
    copy = array.copy()
    copy[place] = value
    return copy


def fault(*arguments: Any, **options: Any) -> str:
    with pytest.raises(smartx.SmartxError) as caught:
        maximize(*arguments, **options)
    assert isinstance(caught.value, ValueError)
    return str(caught.value)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (changed(X, (17, 3), np.nan), ["X", "17", "not finite"]),
        (changed(X, (17, 3), -np.inf), ["X", "17", "not finite"]),
        (changed(X, 9, 0.0), ["X", "9", "zero length"]),
        (changed(X, [9, 11], 0.0), ["9, 11", "2 in all"]),
        (X[:0], ["X", "(0, 16)"]),
        (X[:, :0], ["X", "(60, 0)"]),
        (X[0], ["X", "(16,)"]),
        (X[None], ["X", "(1, 60, 16)"]),
        (X.astype(np.int64), ["X", "int64", "float32"]),
        (X.astype(object), ["X", "object"]),
        (X.astype(np.complex64), ["X", "complex64"]),
        ([[1, 2], [3, 4]], ["X", "int64"]),
        ([[1.0, 2.0], [3.0]], ["X", "equal length"]),
        ("vectors", ["X"]),
        (None, ["X"]),
        (np.full((3, 16), 4000, np.int16), ["X", "Q12"]),
        (np.zeros((3, 16), np.int16), ["X", "zero length"]),
        (np.round(UNIT * 127).astype(np.int16), ["X", "another scale", "quantize"]),
        (K, ["X", "symmetric", "DenseKernel"]),
        (K.astype(np.float64), ["X", "symmetric", "DenseKernel"]),
    ],
)
def test_unusable_rows_are_refused_by_name_and_place(
    function: Any, rows: Any, words: list[str]
) -> None:
    message = fault(function, rows, 1)
    assert all(word in message for word in words), message


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (changed(K, (4, 7), np.nan), ["(4, 7)", "nan"]),
        (changed(K, (59, 0), np.inf), ["(59, 0)", "inf"]),
        (changed(K.astype(np.float64), (59, 0), -1e308), ["(59, 0)", "-1e+308", "1e+100"]),
        (K[:, :30], ["square", "(60, 30)"]),
        (K[:0, :0], ["no rows"]),
        (K[0], ["(60,)"]),
        (np.eye(4, dtype=np.int64), ["int64", "astype"]),
        ([[1, 0], [0, 1]], ["int64"]),
    ],
)
def test_unusable_kernels_are_refused_by_place(values: Any, words: list[str]) -> None:
    with pytest.raises(smartx.SmartxError) as caught:
        DenseKernel(values)
    assert all(word in str(caught.value) for word in words), caught.value


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("ground", [X, DenseKernel(K)])
@pytest.mark.parametrize(
    ("budget", "words"),
    [
        (61, ["budget", "61", "0..60"]),
        (-1, ["budget", "-1", "0..60"]),
        (2.5, ["budget", "2.5", "whole number"]),
        (2.0, ["budget", "whole number"]),
        (True, ["budget", "True"]),
        (None, ["budget", "None"]),
        ("5", ["budget", "'5'"]),
        (10**30, ["budget", "0..60"]),
    ],
)
def test_a_budget_that_is_no_number_of_rows_is_refused(
    function: Any, ground: Any, budget: Any, words: list[str]
) -> None:
    message = fault(function, ground, budget)
    assert all(word in message for word in words), message


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"optimizer": "LazyGreedy"}, ["optimizer", "'lazy'", "'lazier-than-lazy'"]),
        ({"epsilon": 0.0}, ["epsilon"]),
        ({"epsilon": 1.0}, ["epsilon"]),
        ({"epsilon": float("nan")}, ["epsilon"]),
        ({"seed": 0.5}, ["seed"]),
        ({"threads": 0}, ["threads", "1.."]),
        ({"threads": 1.5}, ["threads"]),
        ({"memory_bytes": -1}, ["memory_bytes"]),
    ],
)
def test_an_unusable_option_is_refused_by_name(options: dict[str, Any], words: list[str]) -> None:
    message = fault(FacilityLocation(), X, 3, **options)
    assert all(word in message for word in words), message


def test_what_is_no_set_function_is_refused() -> None:
    for function in ("facility-location", FacilityLocation, None):
        assert "FacilityLocation()" in fault(function, X, 3)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: GraphCut(-0.1), "penalty"),
        (lambda: GraphCut(float("nan")), "penalty"),
        (lambda: GraphCut(float("inf")), "penalty"),
        (lambda: GraphCut("0.4"), "penalty"),  # type: ignore[arg-type]
        (lambda: GraphCut(1e300), "penalty"),
        (lambda: GraphCut(10**400), "penalty"),
        (lambda: LogDet(1e-13), "ridge"),
        (lambda: LogDet(1e-320), "ridge"),
        (lambda: LogDet(1e308), "ridge"),
        (lambda: LogDet(0.0), "ridge"),
        (lambda: LogDet(-1.0), "ridge"),
        (lambda: LogDet(float("nan")), "ridge"),
        (lambda: LogDet(None), "ridge"),  # type: ignore[arg-type]
        (lambda: LogDet(True), "ridge"),
    ],
)
def test_a_parameter_outside_its_range_is_refused(make: Any, word: str) -> None:
    with pytest.raises(smartx.SmartxError, match=word):
        make()


@pytest.mark.parametrize("function", [GraphCut(0.4), LogDet(1.0)])
def test_an_asymmetric_kernel_is_refused_where_it_has_no_meaning(function: Any) -> None:
    assert "not symmetric" in fault(function, DenseKernel(changed(K, (0, 1), 0.5)), 3)
    graph = SimilarityGraph(
        np.array([0, 1, 1]), np.array([1], np.int32), np.array([0.5], np.float64)
    )
    assert "not symmetric" in fault(function, graph, 1)


@pytest.mark.parametrize("optimizer", ["naive", "lazy", "stochastic", "lazier-than-lazy"])
def test_a_kernel_that_is_not_positive_definite_is_refused_with_its_row(optimizer: Any) -> None:
    kernel = np.eye(5)
    kernel[3, 4] = kernel[4, 3] = 2.0
    message = fault(LogDet(0.5), DenseKernel(kernel), 5, optimizer=optimizer)
    assert "positive definite" in message
    assert "row 4" in message or "row 3" in message
    assert "raise ridge" in message


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_ridge_that_rounding_would_hide_is_refused_with_the_one_that_is_needed(
    dtype: Any,
) -> None:
    kernel = DenseKernel((1e17 * (WHOLE @ WHOLE.T)).astype(dtype))
    needed = 90 * 2.0**-52 * float(kernel.diagonal().max())
    message = fault(LogDet(1e-3), kernel, 90)
    assert all(word in message for word in ("0.001", f"{needed:.2g}", "raise ridge")), message
    assert fault(LogDet(0.9 * needed), kernel, 90)
    if dtype == np.float64:
        assert np.isfinite(maximize(LogDet(1.1 * needed), kernel, 90).gains).all()
    assert len(maximize(LogDet(1.1 * needed / 90), kernel, 1).items) == 1


@pytest.mark.parametrize("scale", [1.0, 1e3, 1e8])
def test_what_float32_has_rounded_is_told_by_the_ridge_that_it_needs(scale: float) -> None:
    rows = REPEATED.astype(np.float64)
    kernel = DenseKernel((scale * (rows @ rows.T)).astype(np.float32))
    needed = 90 * 2.0**-24 * float(kernel.diagonal().max())
    message = fault(LogDet(1e-4 * needed), kernel, 90)
    assert "positive definite" in message
    assert f"raise ridge to {needed:.2g}" in message
    assert np.isfinite(maximize(LogDet(needed), kernel, 90).gains).all()


@pytest.mark.parametrize(
    "function",
    [GraphCut(penalty) for penalty in PENALTIES] + [LogDet(ridge) for ridge in RIDGES],
    ids=repr,
)
@pytest.mark.parametrize("ground", [REPEATED, DenseKernel(WHOLE @ WHOLE.T / 4)])
def test_at_the_ends_of_what_is_allowed_lazy_is_naive_and_all_gains_are_finite(
    function: Any, ground: Any
) -> None:
    lazy, naive = (
        maximize(function, ground, len(ground), optimizer=name) for name in ("lazy", "naive")
    )
    assert lazy.items.tolist() == naive.items.tolist()
    assert np.isfinite(lazy.gains).all()


@pytest.mark.parametrize("ridge", [1e-6, 1e-3, 1.0])
def test_log_det_goes_on_past_the_rank(ridge: float) -> None:
    """Five points in a plane through the origin, three directions three times, 60 rows in 16."""
    for rows, budget in ((X[:5, :3], 5), (np.repeat(np.eye(3), 3, axis=0), 9), (X, 60)):
        for ground in (rows, DenseKernel(_cosines(rows))):
            selection = maximize(LogDet(ridge), ground, budget)
            assert sorted(selection.items.tolist()) == list(range(budget))
            assert np.isfinite(selection.gains).all()
            assert selection.gains.min() >= np.log(ridge) - 1e-3


def _cosines(rows: np.ndarray) -> np.ndarray:
    unit = rows.astype(np.float64) / np.linalg.norm(rows, axis=1, keepdims=True)
    kernel = unit @ unit.T
    return np.tril(kernel) + np.tril(kernel, -1).T


# ---- what is accepted, and means the same however it lies in memory ----


@pytest.mark.parametrize("function", FUNCTIONS)
def test_memory_order_and_precision_do_not_change_the_selection(function: Any) -> None:
    expected = maximize(function, X, 60)
    wide = np.zeros((60, 48), np.float32)
    wide[:, ::3] = X
    reversed_rows = np.ascontiguousarray(X[::-1])[::-1]
    for rows in (
        np.asfortranarray(X),
        wide[:, ::3],
        reversed_rows,
        X.astype(np.float64),
        X.astype(">f4"),
        X.tolist(),
        smartx.quantize(X),
        np.asfortranarray(smartx.quantize(X)),
    ):
        selection = maximize(function, rows, 60)
        assert selection.items.tobytes() == expected.items.tobytes()
        assert selection.gains.tobytes() == expected.gains.tobytes()


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_memory_order_of_a_kernel_does_not_change_the_selection(function: Any, dtype: Any) -> None:
    kernel = K.astype(dtype)
    expected = maximize(function, DenseKernel(kernel), 60)
    wide = np.zeros((60, 120), dtype)
    wide[:, ::2] = kernel
    for values in (
        np.asfortranarray(kernel),
        wide[:, ::2],
        kernel.astype(kernel.dtype.newbyteorder()),
    ):
        selection = maximize(function, DenseKernel(values), 60)
        assert selection.items.tobytes() == expected.items.tobytes()
        assert selection.gains.tobytes() == expected.gains.tobytes()
    asymmetric = np.asfortranarray(np.triu(kernel))
    assert (
        maximize(FacilityLocation(), DenseKernel(asymmetric), 9).items.tolist()
        == maximize(FacilityLocation(), DenseKernel(asymmetric.copy("C")), 9).items.tolist()
    )


def test_the_input_is_not_written_to() -> None:
    rows, kernel = X.copy(), K.copy()
    rows.flags.writeable = kernel.flags.writeable = False
    for function in FUNCTIONS:
        maximize(function, rows, 5)
        maximize(function, DenseKernel(kernel), 5)
    assert np.array_equal(rows, X)


def test_a_scipy_shaped_sparse_matrix_is_a_graph() -> None:
    """scipy itself is not needed: tocsr(), shape, indptr, indices and data are looked at."""
    kernel = np.where(np.abs(K) > 0.2, K, 0.0)
    starts = np.concatenate([[0], np.cumsum((kernel != 0).sum(axis=1))]).astype(np.int32)
    csr = SimpleNamespace(
        shape=kernel.shape,
        indptr=starts,
        indices=np.nonzero(kernel)[1].astype(np.int32),
        data=kernel[kernel != 0],
    )
    matrix = SimpleNamespace(tocsr=lambda: csr)
    selection = maximize(FacilityLocation(), matrix, 60)  # type: ignore[arg-type]
    assert selection.engine == "graph"
    dense = maximize(FacilityLocation(), DenseKernel(kernel), 60)
    assert selection.items.tolist() == dense.items.tolist()


# ---- edges of the ground set ----


@pytest.mark.parametrize("optimizer", ["naive", "lazy", "stochastic", "lazier-than-lazy"])
@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(
    "ground",
    [
        X[:1],
        X[:2],
        np.repeat(X[:1], 25, axis=0),
        np.repeat(X[:20], 3, axis=0),
        np.eye(3)[[0, 0, 0, 1, 1, 1, 2, 2, 2]],
        RNG.normal(size=(12, 1)),
        RNG.normal(size=(5, 4096)),
        DenseKernel(np.zeros((7, 7))),
        DenseKernel(np.ones((7, 7))),
        SimilarityGraph(np.zeros(8, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32)),
    ],
    ids=["one", "two", "copies", "20x3", "onehot", "d1", "d4096", "zeros", "ones", "no-edges"],
)
def test_a_full_order_holds_every_row_once(function: Any, optimizer: Any, ground: Any) -> None:
    n = ground.n if isinstance(ground, SimilarityGraph) else len(ground)
    for budget in (0, n):
        selection = maximize(function, ground, budget, optimizer=optimizer)
        assert len(set(selection.items.tolist())) == len(selection.items) == budget
        assert selection.gains.shape == (budget,)
        assert np.isfinite(selection.gains).all()
        assert selection.items.dtype == np.int32
    assert np.array_equal(np.sort(selection.items), np.arange(n))


def test_equal_rows_come_in_row_order() -> None:
    rows = np.repeat(X[:1], 6, axis=0)
    for function in FUNCTIONS:
        assert maximize(function, rows, 6).items.tolist() == [0, 1, 2, 3, 4, 5]


def test_three_directions_three_times_are_taken_in_turn() -> None:
    rows = np.repeat(np.eye(3), 3, axis=0)
    for function in (FacilityLocation(), LogDet()):
        assert maximize(function, rows, 3).items.tolist() == [0, 3, 6]


def test_graph_cut_goes_on_below_zero() -> None:
    selection = maximize(GraphCut(1.0), X, 60)
    assert selection.gains.min() < 0
    assert len(selection.items) == 60


def test_numpy_integers_are_whole_numbers() -> None:
    for budget in (np.int64(3), np.uint8(3)):
        assert len(maximize(FacilityLocation(), X, budget).items) == 3  # type: ignore[arg-type]


def test_a_result_cannot_be_changed_by_accident() -> None:
    selection = maximize(FacilityLocation(), X, 3)
    for array in (selection.items, selection.gains):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


# ---- the choice of engine ----


def test_facility_location_leaves_the_dense_kernel_where_memory_is_short() -> None:
    dense = maximize(FacilityLocation(), X, 10)
    sparse = maximize(FacilityLocation(), X, 10, memory_bytes=60 * 64 * 2 - 1)
    assert (dense.engine, sparse.engine) == ("dense-u16", "graph+dense-head")
    # 64 neighbours are all the others here: the two objectives differ by rounding alone.
    assert sparse.value == pytest.approx(dense.value, rel=1e-3)
    assert maximize(FacilityLocation(), X, 10, memory_bytes=0).engine == "graph"
    assert maximize(GraphCut(), X, 10, memory_bytes=0).engine == "rows"
    assert maximize(LogDet(), DenseKernel(K), 10).engine == f"kernel-{K.dtype}"


def test_log_det_over_a_graph_is_refused_where_memory_may_run_out() -> None:
    n = 2_000_000
    graph = SimilarityGraph(
        np.arange(n + 1), np.arange(n, dtype=np.int32), np.ones(n, dtype=np.float32)
    )
    message = fault(LogDet(), graph, n)
    assert "budget" in message
    assert f"{8 * n * n >> 20:,} MiB" in message
    assert len(maximize(LogDet(), graph, 2).items) == 2


def test_a_selection_is_a_sequence_of_its_rows():
    found = smartx.maximize(
        smartx.FacilityLocation(), np.random.default_rng(0).normal(size=(9, 4)), 4
    )
    assert list(found) == found.items.tolist() == found.indices.tolist()
    assert len(found) == 4
