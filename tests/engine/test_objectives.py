"""What the set functions are worth: numpy, the printed example, real rows, and the bound."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import reference
from ground_sets import (
    FUNCTIONS,
    as_kernel,
    clustered,
    gram_kernels,
    same,
)
from smartx.engine import SCALE, DenseKernel, FacilityLocation, GraphCut, LogDet, maximize, quantize

OPTIMIZERS = ["naive", "lazy"]


@pytest.mark.parametrize(
    ("function", "f"),
    [
        (FacilityLocation(), reference.facility_location),
        (GraphCut(0.4), reference.graph_cut(0.4)),
        (GraphCut(1.0), reference.graph_cut(1.0)),
        (LogDet(1.0), reference.log_det(1.0)),
    ],
)
def test_the_value_over_rows_is_that_over_their_cosines(
    function: Any, f: reference.SetFunction
) -> None:
    rows = clustered(300, d=24)
    unit = rows.astype(np.float64) / np.linalg.norm(rows, axis=1, keepdims=True)
    kernel = (unit @ unit.T).tolist()
    for budget in (5, 40):
        selection = maximize(function, rows, budget)
        assert selection.value == pytest.approx(f(kernel, selection.items.tolist()), rel=1e-3)


@pytest.mark.parametrize(("d", "ridge"), [(8, 1.0), (8, 0.01), (40, 1.0), (1, 0.5)])
def test_log_det_gains_over_rows_are_those_of_slogdet(d: int, ridge: float) -> None:
    """Budgets beyond d start several epochs of the factor."""
    rows = quantize(clustered(90, d=d))
    exact = rows.astype(np.float64) / SCALE
    selection = maximize(LogDet(ridge), rows, 90)
    for k in (1, d, d + 1, 2 * d + 3, 90):
        part = exact[selection.items[: min(k, 90)]]
        size = len(part)
        _, value = np.linalg.slogdet(part @ part.T + ridge * np.eye(size))
        assert selection.gains[:size].sum() == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize(
    ("function", "f"),
    [
        (FacilityLocation(), reference.facility_location),
        (GraphCut(0.25), reference.graph_cut(0.25)),
        (GraphCut(1.0), reference.graph_cut(1.0)),
        (LogDet(1.0), reference.log_det(1.0)),
        (LogDet(0.25), reference.log_det(0.25)),
    ],
)
@settings(max_examples=60, deadline=None)
@given(kernel=gram_kernels(), budget=st.integers(1, 7))
def test_no_set_is_better_than_the_bound(
    function: Any, f: reference.SetFunction, kernel: np.ndarray, budget: int
) -> None:
    """Also where f is not monotone, and, for graph cut, where similarities are negative."""
    budget = min(budget, len(kernel))
    selection = maximize(function, as_kernel(kernel), budget, certificate=True)
    assert selection.bound is not None
    assert selection.bound >= reference.optimum(f, kernel.tolist(), budget) - 1e-9
    assert selection.bound >= selection.value


def test_the_bound_is_the_value_once_everything_is_chosen() -> None:
    for function in FUNCTIONS:
        selection = maximize(function, clustered(30), 30, certificate=True)
        assert selection.bound == selection.value
        assert maximize(function, clustered(30), 30).bound is None


def test_the_bound_is_near_for_facility_location() -> None:
    selection = maximize(FacilityLocation(), clustered(200), 40, certificate=True)
    assert selection.bound is not None
    assert selection.value < selection.bound < 1.2 * selection.value


# ---- real embeddings ----


@pytest.mark.corpus
@pytest.mark.parametrize("function", FUNCTIONS)
def test_lazy_is_naive_bit_for_bit_on_real_rows(function: Any, real_data: Path) -> None:
    rows = np.load(real_data / "t0_minilm_q12.npy", mmap_mode="r")[::70][:700]
    naive = maximize(function, rows, 700, optimizer="naive", threads=2)
    assert same(naive, maximize(function, rows, 700, threads=2))


def in_float64(function: Any, kernel: np.ndarray, chosen: np.ndarray) -> float:
    """f of a set, by numpy, straight from the formula."""
    inside = kernel[np.ix_(chosen, chosen)]
    if isinstance(function, GraphCut):
        return float(kernel[:, chosen].sum() - function.penalty * inside.sum())
    if isinstance(function, LogDet):
        return float(np.linalg.slogdet(inside + function.ridge * np.eye(len(chosen)))[1])
    return float(np.maximum(kernel[:, chosen].max(axis=1), 0).sum())


@pytest.mark.corpus
@pytest.mark.parametrize("function", FUNCTIONS[:4])
def test_the_sum_of_the_gains_is_the_value_in_float64(function: Any, real_data: Path) -> None:
    rows = np.load(real_data / "t0_minilm_q12.npy", mmap_mode="r")[::37][:1400]
    kernel = (rows.astype(np.float64) / SCALE) @ (rows.astype(np.float64) / SCALE).T
    for budget in (14, 140, 1400):
        selection = maximize(function, rows, budget)
        value = in_float64(function, kernel, selection.items)
        # Facility location rounds similarities to 16 bits; the others are exact.
        rel = 1e-5 if isinstance(function, FacilityLocation) else 1e-9
        assert selection.value == pytest.approx(value, rel=rel, abs=1e-6)


# ---- the worked example: five unit rows, with the numbers that submodlib prints for them ----

FIVE = np.array(
    [[1, 0, 0], [0.8, 0.6, 0], [0, 1, 0], [-0.6, 0, 0.8], [0, -0.28, 0.96]], dtype=np.float64
)
WORKED = [
    (FacilityLocation(), [1, 3, 2, 4], [2.4, 1.768, 0.4, 0.232]),
    (GraphCut(0.4), [1, 4, 2, 0], [1.352, 1.0544, 0.664, 0.16]),
    (GraphCut(1.0), [1, 4, 2, 3], [0.752, 0.656, -0.32, -0.888]),
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(("function", "items", "gains"), WORKED)
def test_the_worked_example(
    function: Any, items: list[int], gains: list[float], optimizer: Any
) -> None:
    kernel = np.round(FIVE @ FIVE.T, 12)
    selection = maximize(function, DenseKernel(kernel), 4, optimizer=optimizer)
    assert selection.items.tolist() == items
    assert selection.gains == pytest.approx(gains, abs=1e-9)
    rows = maximize(function, FIVE, 4, optimizer=optimizer)
    # Fixed point may break the tie of rows 3 and 4 in facility location either way.
    assert rows.gains == pytest.approx(gains, abs=4e-3)


def test_the_worked_example_of_log_det() -> None:
    kernel = np.round(FIVE @ FIVE.T, 12)
    f = reference.log_det(1.0)
    assert f(kernel.tolist(), [0, 3]) == pytest.approx(1.291984, abs=1e-6)
    selection = maximize(LogDet(1.0), DenseKernel(kernel), 5)
    # All first gains are log 2 and the tie goes to row 0, then only to rows orthogonal to it.
    assert selection.items.tolist() == reference.greedy(f, kernel.tolist(), 5)
    assert selection.gains[0] == pytest.approx(0.6931472, abs=1e-7)
    assert selection.value == pytest.approx(2.861842, abs=1e-6)


def test_first_gains_of_the_worked_example() -> None:
    kernel = DenseKernel(np.round(FIVE @ FIVE.T, 12))
    for function, f, gains in (
        (FacilityLocation(), reference.facility_location, [1.8, 2.4, 1.6, 1.768, 1.768]),
        (GraphCut(0.4), reference.graph_cut(0.4), [0.8, 1.352, 0.92, 0.288, 0.92]),
    ):
        assert maximize(function, kernel, 1).gains[0] == pytest.approx(max(gains))
        for v, gain in enumerate(gains):
            assert reference.gain(f, kernel.values.tolist(), [], v) == pytest.approx(gain)


def test_a_similarity_below_zero_covers_nothing() -> None:
    rows = np.array([[1.0, 0], [-1, 0], [0, 1]])
    assert maximize(FacilityLocation(), rows, 1).value == pytest.approx(1.0, abs=5e-3)
