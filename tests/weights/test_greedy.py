"""The greedy order over tasks: its kernels, and graph cut with a scaled penalty."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from reference import facility_location, gain, graph_cut, greedy
from smartx.engine import FacilityLocation, GraphCut, LogDet, task_gains
from smartx.errors import ConfigError, InputError
from smartx.weights import (
    Ground,
    RandomTasks,
    ScaledGraphCut,
    TaylorSoftmax,
    exact_kernel,
    kernels,
)


def ground_of(means):
    sizes = np.full(len(means), 10)
    names = [("s", f"t{i}") for i in range(len(means))]
    return Ground(names, np.cumsum(sizes) - sizes, sizes, means, 0)


@pytest.fixture
def means():
    return np.random.default_rng(0).normal(size=(9, 5)) + 1.0


@pytest.mark.parametrize("centred", [False, True])
def test_the_exact_kernel_is_the_cosine_on_a_grid(means, centred):
    kernel = exact_kernel(means * np.arange(1, 10)[:, None], centred=centred)
    unit = means / np.linalg.norm(means, axis=1, keepdims=True)
    if centred:
        unit = unit - unit.mean(axis=0)
        unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    np.testing.assert_allclose(kernel, unit @ unit.T, atol=2e-7)
    assert (kernel * 2**32 == np.round(kernel * 2**32)).all()
    assert (np.diagonal(kernel) == 1).all()
    assert (kernel == kernel.T).all()


def test_its_entries_are_exact_sums_of_products(means):
    rows = kernels._unit(means)
    whole = [[int(x * 2**25) for x in row] for row in rows.tolist()]
    kernel = exact_kernel(means)
    for i, j in np.argwhere(~np.eye(len(means), dtype=bool)).tolist():
        exact = Fraction(sum(a * b for a, b in zip(whole[i], whole[j], strict=True)), 2**50)
        assert kernel[i, j] == float(Fraction(round(exact * 2**32), 2**32))


def test_the_order_of_dimensions_and_the_lengths_of_means_change_no_bit(means):
    shuffled = np.random.default_rng(1).permutation(means.shape[1])
    assert (exact_kernel(means[:, shuffled] * 2.0) == exact_kernel(means)).all()


def test_a_mean_that_is_all_that_tasks_have_in_common_is_near_to_none():
    same = exact_kernel(np.ones((2, 3)), centred=True)
    assert same.tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize("function", [FacilityLocation(), LogDet(), GraphCut()])
def test_tasks_that_are_equal_tie_and_the_lower_one_comes_first(function):
    """Two tasks that cover only each other, the case of the T0 corpus: with the published kernel
    the last bits decide.
    """
    rng = np.random.default_rng(2)
    pairs = rng.normal(size=(6, 8))
    means = np.repeat(pairs, 2, axis=0) * rng.uniform(1, 9, size=(12, 1))
    law = TaylorSoftmax(function, kernel="exact")
    order = law.shares(ground_of(means), 10).order.tolist()
    place = {task: at for at, task in enumerate(order)}
    assert all(place[task] < place[task + 1] for task in range(0, 12, 2))


@pytest.mark.parametrize("kernel", ["exact", "centred"])
@pytest.mark.parametrize(
    ("function", "reference"),
    [(FacilityLocation(), facility_location), (GraphCut(0.25), graph_cut(0.25))],
)
def test_order_and_gains_are_those_of_plain_greedy(means, kernel, function, reference):
    shares = TaylorSoftmax(function, kernel=kernel).shares(ground_of(means), 10)
    table = exact_kernel(means, centred=kernel == "centred").tolist()
    order = greedy(reference, table, len(means))
    gains = [gain(reference, table, order[:i], item) for i, item in enumerate(order)]
    assert shares.order.tolist() == order
    np.testing.assert_allclose(shares.gains, gains, rtol=1e-12, atol=1e-12)


def test_the_published_kernel_is_what_it_was(means):
    shares = TaylorSoftmax().shares(ground_of(means), 10)
    chosen = task_gains(means, GraphCut(0.4))
    assert shares.order.tolist() == chosen.items.tolist()
    assert shares.gains.tobytes() == chosen.gains.tobytes()
    assert "kernel" not in TaylorSoftmax().parameters()
    assert TaylorSoftmax(kernel="exact").parameters()["kernel"] == "exact"


def test_the_scaled_penalty_is_that_of_graph_cut_times_tasks_by_chosen_tasks(means):
    scaled = TaylorSoftmax(ScaledGraphCut(0.4), num_tasks=3).shares(ground_of(means), 10)
    plain = TaylorSoftmax(GraphCut(0.4 * 9 / 3), num_tasks=3).shares(ground_of(means), 10)
    assert scaled.order.tolist() == plain.order.tolist()
    assert scaled.gains.tobytes() == plain.gains.tobytes()


def test_the_scaled_penalty_spreads_what_the_plain_one_takes_from_one_corner():
    """A dense cluster of 20 tasks and 5 others: graph cut takes 5 of the cluster."""
    rng = np.random.default_rng(3)
    cluster = np.array([3.0, 0, 0, 0, 0, 0]) + 0.3 * rng.normal(size=(20, 6))
    others = 3 * np.eye(6)[1:] + 0.3 * rng.normal(size=(5, 6))
    ground = ground_of(np.concatenate([cluster, others]))
    plain = TaylorSoftmax(GraphCut(1.0), num_tasks=5).shares(ground, 10)
    scaled = TaylorSoftmax(ScaledGraphCut(1.0), num_tasks=5).shares(ground, 10)
    assert (plain.order < 20).all()
    assert (scaled.order >= 20).sum() >= 2


def test_more_tasks_than_have_room_and_means_of_no_length_are_errors(means, monkeypatch):
    with pytest.raises(InputError, match="zero"):
        exact_kernel(np.zeros((2, 3)))
    monkeypatch.setattr(kernels, "DENSE_TASKS", 8)
    with pytest.raises(ConfigError, match="8 tasks, and here are 9") as caught:
        TaylorSoftmax(kernel="exact").shares(ground_of(means), 10)
    assert caught.value.place == "kernel"


def test_a_random_order_needs_no_kernel(means):
    ground = ground_of(means)
    order = TaylorSoftmax(RandomTasks(), kernel="exact").shares(ground, 10).order
    assert sorted(order.tolist()) == list(range(9))
