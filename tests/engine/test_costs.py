"""Greedy with costs: held against a slow reference, and against the best set there is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain, combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import reference
import smartx
from ground_sets import as_graph, as_kernel, clustered, gram_kernels, inputs, same
from smartx.engine import FacilityLocation, GraphCut, LogDet, maximize

MONOTONE = [
    (FacilityLocation(), reference.facility_location),
    (LogDet(1.0), reference.log_det(1.0)),
]


def slow_greedy(
    f: reference.SetFunction,
    kernel: reference.Kernel,
    costs: Sequence[float],
    total: float,
    by_cost: bool,
) -> list[int]:
    chosen: list[int] = []
    spent = 0.0
    while True:
        fitting = [v for v in range(len(kernel)) if v not in chosen and spent + costs[v] <= total]
        if not fitting:
            return chosen
        scores = {
            v: reference.gain(f, kernel, chosen, v) / (costs[v] if by_cost else 1.0)
            for v in fitting
        }
        chosen.append(max(fitting, key=lambda v: (scores[v], -v)))
        spent += costs[chosen[-1]]


def best_value(
    f: reference.SetFunction, kernel: reference.Kernel, costs: Sequence[float], total: float
) -> float:
    n = len(kernel)
    sets = chain.from_iterable(combinations(range(n), k) for k in range(n + 1))
    return max(f(kernel, s) for s in sets if sum(costs[v] for v in s) <= total)


# Costs that are powers of two: a gain per cost is then as exact as the gain.
power_costs = st.lists(st.sampled_from([1.0, 2.0, 4.0, 0.5]), min_size=7, max_size=7)


@pytest.mark.parametrize("optimizer", ["lazy", "naive"])
@pytest.mark.parametrize("represent", [as_kernel, as_graph])
@settings(max_examples=60, deadline=None)
@given(kernel=gram_kernels(), costs=power_costs, total=st.integers(0, 14))
def test_it_is_the_better_of_the_two_slow_greedy_runs(
    represent: Any, optimizer: Any, kernel: np.ndarray, costs: list[float], total: int
) -> None:
    costs = costs[: len(kernel)]
    rows = kernel.tolist()
    for function, f in (
        (FacilityLocation(), reference.facility_location),
        (GraphCut(0.5), reference.graph_cut(0.5)),
    ):
        runs = [slow_greedy(f, rows, costs, total, by_cost) for by_cost in (True, False)]
        expected = max(runs, key=lambda chosen: f(rows, chosen))
        selection = maximize(function, represent(kernel), total, costs=costs, optimizer=optimizer)
        assert selection.items.tolist() == expected
        assert selection.value == pytest.approx(f(rows, expected), abs=1e-12)


@pytest.mark.parametrize(("function", "f"), MONOTONE)
@settings(max_examples=80, deadline=None)
@given(
    kernel=gram_kernels(),
    costs=st.lists(st.integers(1, 9), min_size=7, max_size=7),
    total=st.integers(0, 25),
)
def test_it_is_worth_its_share_of_the_best_and_the_bound_is_above_the_best(
    function: Any, f: reference.SetFunction, kernel: np.ndarray, costs: list[int], total: int
) -> None:
    own = costs[: len(kernel)]
    selection = maximize(function, as_kernel(kernel), total, costs=own, certificate=True)
    best = best_value(f, kernel.tolist(), own, total)
    assert sum(own[v] for v in selection.items) <= total
    assert selection.value >= (1 - 1 / math.e) / 2 * best - 1e-9
    assert selection.bound is not None
    assert selection.value - 1e-9 <= best <= selection.bound + 1e-9


@pytest.mark.parametrize(
    "function", [FacilityLocation(), GraphCut(0.4), GraphCut(1.0), LogDet(0.5)]
)
@pytest.mark.parametrize("name", ["rows", "kernel", "graph", "graph-int"])
def test_lazy_is_naive_and_threads_change_no_byte(function: Any, name: str) -> None:
    if isinstance(function, LogDet) and name.startswith("graph"):
        return  # it has no meaning over a thresholded kernel
    ground = inputs(150)[name]
    costs = np.random.default_rng(4).integers(1, 60, 150)
    naive = maximize(function, ground, 900, costs=costs, optimizer="naive", threads=1)
    for threads in (1, 3):
        assert same(naive, maximize(function, ground, 900, costs=costs, threads=threads))
    assert 0 < len(naive.items) < 150
    spent = costs[naive.items].sum()
    rest = np.delete(costs, naive.items)
    assert spent <= 900 < spent + rest.min()


@pytest.mark.parametrize("function", [FacilityLocation(), LogDet(1.0)])
def test_equal_costs_give_what_a_number_of_rows_gives(function: Any) -> None:
    rows = clustered(90)
    counted = maximize(function, rows, 30, certificate=True)
    paid = maximize(function, rows, 75.0, costs=np.full(90, 2.5), certificate=True)
    assert same(counted, paid)
    assert paid.bound == pytest.approx(counted.bound)


def test_a_cheap_row_and_a_dear_one_each_lead_one_run() -> None:
    """By gain per cost the cheap row goes first and the dear one no longer fits; by gain alone the
    dear one is chosen, and it is the better set."""
    kernel = np.diag([1.0, 10.0])
    selection = maximize(FacilityLocation(), as_kernel(kernel), 10, costs=[0.05, 10])
    assert selection.items.tolist() == [1]
    kernel = np.diag([1.0, 1.0, 1.0, 1.5])
    selection = maximize(FacilityLocation(), as_kernel(kernel), 3, costs=[1, 1, 1, 3])
    assert selection.items.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"costs": [1.0] * 59}, ["costs", "(60,)", "(59,)"]),
        ({"costs": [1.0] * 59 + [0.0]}, ["costs", "row 59", "above zero"]),
        ({"costs": [np.nan] + [1.0] * 59}, ["costs", "row 0"]),
        ({"costs": ["a"] * 60}, ["costs"]),
        ({"costs": [1.0] * 60, "optimizer": "stochastic"}, ["optimizer", "costs"]),
        ({"costs": [1.0] * 60, "certificate": True}, ["certificate", "GraphCut"]),
        ({"costs": [1.0] * 60, "budget": -1}, ["budget", "-1"]),
        ({"costs": [1.0] * 60, "budget": math.inf}, ["budget", "inf"]),
        ({"costs": [1.0] * 60, "budget": True}, ["budget", "True"]),
    ],
)
def test_unusable_costs_are_refused_by_name(options: dict[str, Any], words: list[str]) -> None:
    budget = options.pop("budget", 5)
    with pytest.raises(smartx.SmartxError) as caught:
        maximize(GraphCut(), clustered(60), budget, **options)
    assert all(word in str(caught.value) for word in words), caught.value
