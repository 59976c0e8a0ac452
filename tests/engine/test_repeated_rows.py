"""Rows that repeat others: chosen as greedy over all rows chooses them, at the price of few rows.

Real corpora repeat prompts. Whatever the core does with equal rows at once, every result is that of
the definition over all of them, and of equal rows the lower one goes first.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import integer_greedy as by_definition
import q12_reference
from ground_sets import UNIT, clustered, same
from odd_rows import REPEATED
from smartx import _core
from smartx.engine import (
    FacilityLocation,
    GraphCut,
    LogDet,
    knn_graph,
    maximize,
    near_duplicates,
    quantize,
    rank_groups,
)

COSINE, COVER = 1.0 / UNIT, 256.0 / UNIT
N, D = 130, 7  # of log-det's epochs of 16 additions there are many
FUNCTIONS = [FacilityLocation(), GraphCut(0.4), GraphCut(2.0), LogDet(1.0), LogDet(1e-3)]
BOTH: list[dict[str, Any]] = [{"optimizer": name, "threads": 1} for name in ("lazy", "naive")]
Q12 = NDArray[np.int16]


def of_kind(kind: str, n: int = N, d: int = D) -> Q12:
    rng = np.random.default_rng(len(kind))
    return quantize(REPEATED[kind](rng, clustered(n, d, seed=5).astype(np.float64)))


def alike(n: int, d: int) -> Q12:
    """No two rows are equal, but any two differ in one or two places, by one unit."""
    rows = np.full((n, d), math.isqrt((2**24 - 8192) // d), np.int16)
    rows[np.arange(n), np.arange(n) % d] += (1 + np.arange(n) // d).astype(np.int16)
    return rows


SETS: dict[str, Q12] = {kind: of_kind(kind) for kind in REPEATED}
SETS["two alternate"] = SETS["2 distinct"][np.argsort(np.arange(N) % 2, kind="stable")]
SETS["rows and their copies"] = np.concatenate([quantize(clustered(N // 2, D))] * 2)
SETS["rows and their negatives"] = SETS["rows and their copies"] * np.repeat([1, -1], N // 2)[
    :, None
].astype(np.int16)
SETS["alike"] = alike(50, 33)
SETS["alike and long"] = alike(20, 8192)
every_set = pytest.mark.parametrize("rows", SETS.values(), ids=SETS)


def definition(function: Any, rows: Q12) -> tuple[by_definition.SetFunction, float]:
    """The set function over all rows in exact integers, and what a unit of its gains is worth."""
    if isinstance(function, FacilityLocation):
        return by_definition.FacilityLocation(q12_reference.kernel16(rows)), COVER
    return by_definition.GraphCut(q12_reference.similarities(rows, rows), function.penalty), COSINE


def equal_rows(rows: Q12) -> list[NDArray[np.int64]]:
    """The classes of equal rows, each in ascending order."""
    _, class_of = np.unique(rows, axis=0, return_inverse=True)
    return [np.flatnonzero(class_of.ravel() == c) for c in range(class_of.max() + 1)]


# ---- greedy ----


@every_set
@pytest.mark.parametrize("function", FUNCTIONS[:3])
@pytest.mark.parametrize("optimizer", ["lazy", "naive"])
def test_the_order_and_every_gain_are_those_of_greedy_over_all_rows(
    function: Any, rows: Q12, optimizer: Any
) -> None:
    f, unit = definition(function, rows)
    items, gains = by_definition.greedy(f, range(len(rows)), len(rows))
    for threads in (1, 3):
        selection = maximize(function, rows, len(rows), optimizer=optimizer, threads=threads)
        assert selection.items.tolist() == items
        assert selection.gains.tolist() == [float(gain) * unit for gain in gains]


@every_set
@pytest.mark.parametrize("ridge", [1.0, 1e-3, 1e-6])
def test_lazy_log_det_is_naive_log_det_and_each_gain_that_of_the_formula(
    rows: Q12, ridge: float
) -> None:
    naive = maximize(LogDet(ridge), rows, len(rows), optimizer="naive", threads=1)
    for threads in (1, 3):
        assert same(maximize(LogDet(ridge), rows, len(rows), threads=threads), naive)
    f = by_definition.LogDet(q12_reference.similarities(rows, rows) * COSINE, ridge)
    left = np.ones(len(rows), dtype=bool)
    for item, gain in zip(naive.items, naive.gains, strict=True):
        variances, error = f.gains(), 1e-9 / ridge
        assert math.exp(gain) == pytest.approx(variances[item], rel=error)
        assert variances[item] >= variances[left].max() * (1 - error)
        left[item] = False
        f.add(item)


@every_set
@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("optimizer", ["lazy", "naive"])
def test_of_equal_rows_the_lower_goes_first(function: Any, rows: Q12, optimizer: Any) -> None:
    place = np.empty(len(rows), np.int64)
    order = maximize(function, rows, len(rows), optimizer=optimizer, threads=1).items
    place[order] = np.arange(len(rows))
    assert all((np.diff(place[rows_of]) > 0).all() for rows_of in equal_rows(rows))


@every_set
@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_smaller_budget_is_a_prefix(function: Any, rows: Q12) -> None:
    whole = maximize(function, rows, len(rows), threads=1)
    for budget in (1, 2, 17, len(rows) - 1):
        part = maximize(function, rows, budget, threads=1)
        assert part.items.tolist() == whole.items[:budget].tolist()
        assert part.gains.tobytes() == whole.gains[:budget].tobytes()


@every_set
@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("budget", [1, 30, None])
def test_samples_are_of_rows_and_not_of_distinct_ones(
    function: Any, rows: Q12, budget: int | None
) -> None:
    budget = min(budget or len(rows), len(rows))
    options: dict[str, Any] = {"epsilon": 0.2, "seed": 11, "threads": 1}
    drawn, lazier = (
        maximize(function, rows, budget, optimizer=optimizer, **options)
        for optimizer in ("stochastic", "lazier-than-lazy")
    )
    assert same(drawn, lazier)
    if not isinstance(function, LogDet):
        f, _ = definition(function, rows)
        expected = by_definition.stochastic(f, len(rows), budget, 0.2, 11)
        assert drawn.items.tolist() == expected


@every_set
@pytest.mark.parametrize("total", [3.0, 40.0, 1e9])
def test_equal_rows_of_unequal_cost_are_bought_as_the_definition_says(
    rows: Q12, total: float
) -> None:
    rng = np.random.default_rng(1)
    for costs in (rng.choice([1.0, 2.0, 4.0], len(rows)), 0.01 + rng.random(len(rows))):
        for function in FUNCTIONS[:2]:
            unit = definition(function, rows)[1]
            expected = by_definition.with_costs(
                lambda of=function: definition(of, rows)[0], costs, total, unit
            )
            for options in BOTH:
                paid = maximize(function, rows, total, costs=costs, **options)
                assert paid.items.tolist() == expected
        log_det = [maximize(LogDet(0.1), rows, total, costs=costs, **options) for options in BOTH]
        assert same(*log_det)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_rows_that_two_groups_share_are_ordered_in_each_as_if_alone(function: Any) -> None:
    rows = np.concatenate([SETS["10 distinct"], SETS["10 distinct"][:50], SETS["all equal"]])
    sizes = np.array([N, 50, 0, N])
    for threads in (1, 3):
        order, gains = rank_groups(rows, sizes, function, threads=threads)
        for start, size in zip(np.cumsum(sizes) - sizes, sizes, strict=True):
            if size:
                alone = maximize(function, rows[start : start + size], int(size), threads=1)
                assert order[start : start + size].tobytes() == alone.items.tobytes()
                assert gains[start : start + size].tobytes() == alone.gains.tobytes()


@every_set
def test_the_bound_counts_every_row_that_is_left(rows: Q12) -> None:
    """Of equal rows too: the sum of the largest gains that remain, one for each row of the set."""
    f, unit = definition(FacilityLocation(), rows)
    budget = len(rows) // 3
    items, gains = by_definition.greedy(f, range(len(rows)), budget)
    left = np.sort(np.delete(f.gains(), items))[::-1][:budget]
    bound = maximize(FacilityLocation(), rows, budget, threads=1, certificate=True).bound
    assert bound == pytest.approx((sum(gains) + left.sum()) * unit, rel=1e-12)
    for function in FUNCTIONS[1:]:
        lazy, naive = (
            maximize(function, rows, budget, certificate=True, **options) for options in BOTH
        )
        assert lazy.bound == naive.bound


# ---- neighbours, graphs, near duplicates ----


@every_set
@pytest.mark.parametrize("k", [1, 2, 5, 64, 1000])
def test_among_equal_neighbours_the_lower_rows_are_listed(rows: Q12, k: int) -> None:
    expected = q12_reference.nearest(rows, k)
    for level in _core.simd_levels():
        for threads in (1, 3):
            assert np.array_equal(_core.neighbours(rows, k, level, threads), expected)


@every_set
def test_greedy_over_the_graph_of_equal_rows_is_greedy_over_its_matrix(rows: Q12) -> None:
    graph = knn_graph(rows, 6, "exact")
    matrix = np.zeros((len(rows), len(rows)), np.int64)
    matrix[np.repeat(np.arange(len(rows)), np.diff(graph.indptr)), graph.indices] = graph.weights
    assert (matrix == matrix.T).all()
    for function, f in (
        (FacilityLocation(), by_definition.FacilityLocation(np.maximum(matrix, 0))),
        (GraphCut(0.4), by_definition.GraphCut(matrix, 0.4)),
    ):
        items, gains = by_definition.greedy(f, range(len(rows)), len(rows))
        selection = maximize(function, graph, len(rows), threads=1)
        assert selection.items.tolist() == items
        assert selection.gains.tolist() == [float(gain) * COSINE for gain in gains]


@every_set
@pytest.mark.parametrize("threshold", [1.0, 0.9])
def test_of_equal_rows_the_first_of_the_order_stays(rows: Q12, threshold: float) -> None:
    order = np.random.default_rng(3).permutation(len(rows)).astype(np.int32)
    millionths = round(threshold * 10**6)
    expected = by_definition.near_duplicates(rows, order.tolist(), millionths)
    sizes = np.array([len(rows)])
    for level in _core.simd_levels():
        for threads in (1, 3):
            found, _ = _core.near_duplicates(rows, sizes, order, millionths, level, threads)
            assert found.tolist() == expected
    stays = near_duplicates(rows, sizes, order, threshold).origin < 0
    assert stays.sum() <= len(equal_rows(rows))


# ---- what it takes ----


@pytest.mark.parametrize("function", FUNCTIONS)
def test_rows_that_are_all_equal_ask_for_a_few_gains_each(function: Any) -> None:
    rows = np.repeat(quantize(clustered(1, 24)), 2000, axis=0)
    assert maximize(function, rows, 2000, threads=1).evaluations <= 4 * 2000


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("kind", ["2 distinct", "10 distinct", "n/10 distinct"])
def test_repeats_ask_for_no_more_gains_than_distinct_rows(function: Any, kind: str) -> None:
    rng = np.random.default_rng(6)
    distinct = quantize(rng.normal(size=(1500, 24)))
    most = maximize(function, distinct, 1500, threads=1).evaluations
    rows = quantize(REPEATED[kind](rng, distinct.astype(np.float64)))
    assert maximize(function, rows, 1500, threads=1).evaluations <= most
