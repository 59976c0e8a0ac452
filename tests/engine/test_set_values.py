"""What sets are worth and rows would add, against the formulas in plain Python; starts and weights
of `maximize` against greedy by these.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import q12_reference
import reference
import smartx
from smartx.engine import DenseKernel, FacilityLocation, GraphCut, LogDet, quantize
from smartx.errors import InputError

FUNCTIONS = {
    FacilityLocation(): reference.facility_location,
    GraphCut(penalty=0.5): reference.graph_cut(0.5),
    LogDet(ridge=1.0): reference.log_det(1.0),
}


@st.composite
def grounds(draw):
    """A symmetric kernel in eighths that is positive definite, and some of its rows."""
    n = draw(st.integers(2, 6))
    entries = draw(
        st.lists(st.integers(-2, 8), min_size=n * (n + 1) // 2, max_size=n * (n + 1) // 2)
    )
    kernel = np.zeros((n, n))
    kernel[np.tril_indices(n)] = np.array(entries) / 8
    kernel = np.tril(kernel) + np.tril(kernel, -1).T
    kernel += n * np.eye(n)
    chosen = draw(st.lists(st.integers(0, n - 1), unique=True, max_size=n))
    return kernel, chosen


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: type(f).__name__)
@given(ground=grounds())
def test_values_and_gains_are_those_of_the_formula(function, ground):
    kernel, chosen = ground
    f, lists = FUNCTIONS[function], kernel.tolist()
    for X in (DenseKernel(kernel), _sparse(kernel)):
        assert smartx.evaluate(function, X, chosen) == pytest.approx(f(lists, chosen))
        gains = smartx.marginal_gains(function, X, chosen)
        for row in range(len(kernel)):
            wanted = 0.0 if row in chosen else reference.gain(f, lists, chosen, row)
            assert gains[row] == pytest.approx(wanted, abs=1e-9)


def _sparse(kernel):
    n = len(kernel)
    ends = np.arange(0, n * n + 1, n, dtype=np.int64)
    columns = np.tile(np.arange(n, dtype=np.int32), n)
    return smartx.SimilarityGraph(ends, columns, kernel.ravel())


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: type(f).__name__)
@pytest.mark.parametrize("n", [12, 90])
def test_of_rows_they_are_what_maximize_says(function, n):
    rows = q12_reference.random_rows(n, 8, seed=n)
    found = smartx.maximize(function, rows, 9, threads=1)
    held = smartx.evaluate(function, rows, found.items)
    assert held == pytest.approx(found.value, rel=1e-12)
    for place in (0, 4, 8):
        gains = smartx.marginal_gains(function, rows, found.items[:place])
        assert gains.max() == pytest.approx(found.gains[place], rel=1e-9)
        assert gains[found.items[place]] == pytest.approx(gains.max(), rel=1e-9)


@pytest.mark.parametrize("optimizer", ["lazy", "naive"])
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: type(f).__name__)
def test_greedy_goes_on_from_an_initial_subset(function, optimizer):
    rows = q12_reference.random_rows(80, 8, seed=1)
    kernel = q12_reference.similarities(rows, rows) / q12_reference.SCALE**2
    mask = np.zeros(80, dtype=bool)
    for X in (rows, DenseKernel(kernel)):
        whole = smartx.maximize(function, X, 12, threads=1)
        mask[:] = False
        mask[whole.items[:5]] = True
        for start in (whole.items[:5], mask):
            rest = smartx.maximize(
                function, X, 7, initial_subset=start, optimizer=optimizer, threads=1
            )
            assert rest.items.tolist() == whole.items[5:].tolist()
            assert rest.gains == pytest.approx(whole.gains[5:])
        assert len(smartx.maximize(function, X, 75, initial_subset=whole.items[:5])) == 75


@given(
    ground=grounds(),
    weights=st.lists(st.integers(0, 5), min_size=6, max_size=6),
)
def test_weights_say_how_much_it_counts_that_a_row_is_covered(ground, weights):
    kernel, chosen = ground
    own = np.array(weights[: len(kernel)]) / 2
    lists = (kernel * own[:, None]).tolist()
    value = smartx.evaluate(FacilityLocation(), DenseKernel(kernel), chosen, weights=own)
    assert value == pytest.approx(reference.facility_location(lists, chosen))
    for X in (DenseKernel(kernel), _sparse(kernel)):
        found = smartx.maximize(FacilityLocation(), X, len(kernel) - 1, weights=own, threads=1)
        wanted = reference.greedy(reference.facility_location, lists, len(kernel) - 1)
        assert found.items.tolist() == wanted


def test_weights_of_rows_are_those_of_copies():
    """A row of weight 3 counts as three rows that must be covered would."""
    rows = quantize(np.random.default_rng(2).normal(size=(40, 6)))
    often = np.random.default_rng(3).integers(1, 4, size=40)
    found = smartx.maximize(FacilityLocation(), rows, 6, weights=often, threads=1)
    kernel = np.maximum(0, q12_reference.similarities(rows, rows)) / q12_reference.SCALE**2
    best = np.zeros(40)
    for item, gain in zip(found.items, found.gains, strict=True):
        gains = (np.maximum(0, kernel - best[:, None]) * often[:, None]).sum(axis=0)
        assert gain == pytest.approx(gains.max()) == pytest.approx(gains[item])
        best = np.maximum(best, kernel[:, item])
    small = smartx.maximize(FacilityLocation(), rows, 6, weights=often, memory_bytes=0)
    assert small.engine == "graph"
    assert small.items.tolist() == found.items.tolist()  # 40 rows: the graph has every pair


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"initial_subset": [0, 0]}, "twice"),
        ({"initial_subset": [99]}, "outside"),
        ({"initial_subset": [0.5]}, "booleans, or places"),
        ({"initial_subset": [1], "optimizer": "stochastic"}, "stochastic"),
        ({"initial_subset": [1], "certificate": True}, "certificate"),
        ({"initial_subset": [1], "costs": np.ones(20)}, "costs"),
        ({"weights": np.ones(3)}, "expected"),
        ({"weights": np.full(20, -1.0)}, "at least 0"),
        ({"weights": np.full(20, np.nan)}, "finite"),
    ],
)
def test_what_has_no_meaning_is_refused_by_name(wrong, told):
    rows = q12_reference.random_rows(20, 4, seed=0)
    with pytest.raises(InputError, match=told) as refusal:
        smartx.maximize(FacilityLocation(), rows, 3, **wrong)
    assert refusal.value.place in wrong


def test_weights_belong_to_facility_location_and_a_budget_to_the_rows_that_are_left():
    rows = q12_reference.random_rows(20, 4, seed=0)
    with pytest.raises(InputError, match="no rows to weigh"):
        smartx.maximize(GraphCut(), rows, 3, weights=np.ones(20))
    with pytest.raises(InputError, match="budget"):
        smartx.maximize(GraphCut(), rows, 16, initial_subset=range(5))
    with pytest.raises(InputError, match="symmetric"):
        smartx.evaluate(GraphCut(), DenseKernel(np.array([[1.0, 0.5], [0.0, 1.0]])), [0])
