"""Greedy over every set function and representation, held against plain Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import reference
from ground_sets import (
    FUNCTIONS,
    UNIT,
    as_graph,
    as_graph32,
    as_integer_graph,
    as_kernel,
    as_kernel32,
    clustered,
    eighths,
    gram_kernels,
    inputs,
    same,
    symmetric_kernels,
)
from smartx.engine import (
    FacilityLocation,
    GraphCut,
    LogDet,
    maximize,
    quantize,
)

# ---- small kernels, against the reference ----

REPRESENTATIONS = [as_kernel, as_kernel32, as_graph, as_graph32, as_integer_graph]
OPTIMIZERS = ["naive", "lazy"]
# Penalties of few bits: then the gains of the reference and of the core are exact, and equal.
EXACT = [
    (FacilityLocation(), reference.facility_location),
    (GraphCut(0.25), reference.graph_cut(0.25)),
    (GraphCut(0.5), reference.graph_cut(0.5)),
    (GraphCut(1.5), reference.graph_cut(1.5)),
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("represent", REPRESENTATIONS)
@pytest.mark.parametrize(("function", "f"), EXACT)
@settings(max_examples=25, deadline=None)
@given(kernel=symmetric_kernels())
def test_every_pick_is_the_best_and_ties_go_to_the_lower_row(
    function: Any,
    f: reference.SetFunction,
    represent: Callable[[np.ndarray], Any],
    optimizer: Any,
    kernel: np.ndarray,
) -> None:
    n, rows = len(kernel), kernel.tolist()
    selection = maximize(function, represent(kernel), n, optimizer=optimizer)
    assert selection.items.tolist() == reference.greedy(f, rows, n)
    unit = UNIT / 8 if represent is as_integer_graph else 1.0
    chosen: list[int] = []
    for item, gain in zip(selection.items.tolist(), selection.gains.tolist(), strict=True):
        assert gain * unit == pytest.approx(reference.gain(f, rows, chosen, item), abs=1e-12)
        chosen.append(item)
    assert selection.value * unit == pytest.approx(f(rows, chosen), abs=1e-12)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("represent", [as_kernel, as_graph])
@settings(max_examples=60, deadline=None)
@given(values=st.lists(eighths, min_size=36, max_size=36))
def test_facility_location_reads_an_asymmetric_kernel_by_columns(
    represent: Callable[[np.ndarray], Any], optimizer: Any, values: list[float]
) -> None:
    kernel = np.array(values).reshape(6, 6)
    selection = maximize(FacilityLocation(), represent(kernel), 6, optimizer=optimizer)
    expected = reference.greedy(reference.facility_location, kernel.tolist(), 6)
    assert selection.items.tolist() == expected


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("represent", [as_kernel, as_kernel32, as_graph, as_graph32])
@pytest.mark.parametrize("ridge", [1.0, 0.125])
@settings(max_examples=25, deadline=None)
@given(kernel=gram_kernels())
def test_no_other_row_had_a_larger_log_det_gain(
    ridge: float, represent: Callable[[np.ndarray], Any], optimizer: Any, kernel: np.ndarray
) -> None:
    n, rows, f = len(kernel), kernel.tolist(), reference.log_det(ridge)
    selection = maximize(LogDet(ridge), represent(kernel), n, optimizer=optimizer)
    chosen: list[int] = []
    for item, gain in zip(selection.items.tolist(), selection.gains.tolist(), strict=True):
        gains = {v: reference.gain(f, rows, chosen, v) for v in range(n) if v not in chosen}
        assert gain == pytest.approx(gains[item], abs=1e-9)
        assert gain >= max(gains.values()) - 1e-9
        chosen.append(item)
    assert sorted(chosen) == list(range(n))


@settings(max_examples=60, deadline=None)
@given(values=st.lists(st.integers(-3, 3), min_size=18, max_size=18))
def test_rows_give_what_the_formula_gives_on_their_exact_similarities(values: list[int]) -> None:
    rows = np.array(values, dtype=np.float64).reshape(6, 3) + np.array([4.0, 0.0, 0.5])
    q = quantize(rows).astype(np.int64)
    exact = q @ q.T
    narrowed = np.minimum((np.maximum(exact, 0) + 128) >> 8, 65535)
    for function, f, kernel, unit in (
        (FacilityLocation(), reference.facility_location, narrowed, UNIT / 256),
        (GraphCut(0.5), reference.graph_cut(0.5), exact, UNIT),
        (GraphCut(0.25), reference.graph_cut(0.25), exact, UNIT),
    ):
        for optimizer in OPTIMIZERS:
            selection = maximize(function, rows, 6, optimizer=optimizer)  # type: ignore[arg-type]
            assert selection.items.tolist() == reference.greedy(f, kernel.tolist(), 6)
            assert selection.value * unit == pytest.approx(
                f(kernel.tolist(), range(6)), rel=1e-12, abs=1e-6
            )


# ---- larger ground sets: the optimizers against each other, bit for bit ----


def cases() -> list[tuple[Any, str]]:
    """Log-det has no meaning over a thresholded kernel, which is not positive definite."""
    names = ["rows", "kernel", "kernel32", "graph", "graph32", "graph-int"]
    return [
        (f, name)
        for f in FUNCTIONS
        for name in names
        if not (isinstance(f, LogDet) and name.startswith("graph"))
    ]


@pytest.mark.parametrize(("function", "name"), cases())
@pytest.mark.parametrize("seed", range(4))
def test_lazy_is_naive_bit_for_bit(function: Any, name: str, seed: int) -> None:
    X = inputs(150, seed)[name]
    naive = maximize(function, X, 150, optimizer="naive")
    lazy = maximize(function, X, 150, optimizer="lazy")
    assert same(naive, lazy)
    assert lazy.evaluations < naive.evaluations


@pytest.mark.parametrize(("function", "name"), cases())
def test_a_smaller_budget_is_a_prefix(function: Any, name: str) -> None:
    X = inputs(70)[name]
    whole = maximize(function, X, 70)
    for budget in (0, 1, 2, 33, 69):
        part = maximize(function, X, budget)
        assert part.items.tolist() == whole.items[:budget].tolist()
        assert part.gains.tobytes() == whole.gains[:budget].tobytes()


@pytest.mark.parametrize(("function", "name"), cases())
@pytest.mark.parametrize("budget", [1, 7, 60, 150])
def test_lazier_than_lazy_is_stochastic_bit_for_bit(function: Any, name: str, budget: int) -> None:
    X = inputs(150)[name]
    for seed in (0, 1, -5):
        stochastic = maximize(function, X, budget, optimizer="stochastic", seed=seed, epsilon=0.1)
        lazier = maximize(function, X, budget, optimizer="lazier-than-lazy", seed=seed, epsilon=0.1)
        assert same(stochastic, lazier)
        assert len(set(stochastic.items.tolist())) == budget


@pytest.mark.parametrize(("function", "name"), cases())
def test_a_sample_that_covers_everything_gives_greedy(function: Any, name: str) -> None:
    X = inputs(60)[name]
    exact = maximize(function, X, 20)
    for optimizer in ("stochastic", "lazier-than-lazy"):
        sampled = maximize(function, X, 20, optimizer=optimizer, epsilon=1e-12)  # type: ignore[arg-type]
        assert same(exact, sampled)


def test_a_sample_is_of_the_size_that_the_paper_asks_for() -> None:
    n, budget, epsilon = 400, 20, 0.1
    size = int(np.ceil(n / budget * np.log(1 / epsilon)))
    rows = np.random.default_rng(0).normal(size=(n, 8))  # no two are equal
    selection = maximize(FacilityLocation(), rows, budget, optimizer="stochastic", epsilon=epsilon)
    assert selection.evaluations == budget * size


def test_the_seed_alone_decides_what_stochastic_greedy_chooses() -> None:
    X = clustered(200)
    runs = [
        maximize(FacilityLocation(), X, 30, optimizer="stochastic", seed=seed, epsilon=0.3).items
        for seed in (1, 1, 2)
    ]
    assert runs[0].tolist() == runs[1].tolist()
    assert runs[0].tolist() != runs[2].tolist()


@pytest.mark.parametrize("optimizer", ["naive", "lazy", "stochastic", "lazier-than-lazy"])
@pytest.mark.parametrize(("function", "name"), cases())
def test_threads_change_no_byte(function: Any, name: str, optimizer: Any) -> None:
    X = inputs(200)[name]
    one, two, eight = (
        maximize(function, X, 90, optimizer=optimizer, threads=threads, certificate=True)
        for threads in (1, 2, 8)
    )
    assert same(one, two)
    assert same(one, eight)
    assert one.bound == two.bound == eight.bound
