"""Budgets against the published procedure, written out literally, and what must always hold."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from small import flan_like
from smartx.budget import allot, apportion, task_budgets, template_budgets
from smartx.errors import BudgetError, InputError
from smartx.weights import Shares, TaylorSoftmax, WeightLaw

sizes = st.integers(0, 60)
gains = st.integers(-8, 40).map(lambda eighths: eighths / 8)


def literal_split(total, ratio):
    scale = 0
    for part in ratio:
        scale += part
    parts = [math.floor(total * part / scale) for part in ratio]
    for extra in range(total - sum(parts)):
        parts[extra % len(parts)] += 1
    return parts


def literal_task_budgets(gains, capacities, total):
    """The published steps one by one: weights, split, cap, +1 round and round until used up."""
    raw = [1 + g + g * g / 2 for g in gains]
    scale = 0
    for part in raw:
        scale += part
    budgets = literal_split(total, [part / scale for part in raw])
    surplus = 0
    for task, held in enumerate(capacities):
        if budgets[task] > held:
            surplus += budgets[task] - held
            budgets[task] = held
    while surplus:
        for task, held in enumerate(capacities):
            if budgets[task] < held:
                budgets[task] += 1
                surplus -= 1
                if not surplus:
                    break
    return budgets


@st.composite
def tasks_and_total(draw):
    tasks = draw(st.lists(st.tuples(gains, sizes), min_size=1, max_size=12))
    total = draw(st.integers(0, sum(held for _, held in tasks)))
    return [g for g, _ in tasks], [held for _, held in tasks], total


@given(tasks_and_total())
def test_task_budgets_are_those_of_the_published_loop_to_the_row(case):
    found = task_budgets(*case)
    assert found.dtype == np.int64
    assert found.tolist() == literal_task_budgets(*case)


@given(tasks_and_total())
def test_task_budgets_sum_to_the_total_and_nobody_gets_more_than_they_have(case):
    _, capacities, total = case
    found = task_budgets(*case)
    assert found.sum() == total
    assert (found >= 0).all()
    assert (found <= capacities).all()


def test_a_budget_worked_out_by_hand():
    # 1 + g + g²/2: 5, 2.5, 1 of 8.5; 17 rows: 10, 5, 2. The first holds 4: its 6 go round.
    assert task_budgets([2.0, 1.0, 0.0], [100, 100, 100], 17).tolist() == [10, 5, 2]
    assert task_budgets([2.0, 1.0, 0.0], [4, 100, 100], 17).tolist() == [4, 8, 5]
    assert task_budgets([2.0, 1.0, 0.0], [4, 6, 100], 17).tolist() == [4, 6, 7]
    assert task_budgets([2.0, 1.0, 0.0], [100, 100, 100], 19).tolist() == [12, 5, 2]


def test_equal_gains_give_the_remainder_to_the_first_tasks():
    assert task_budgets([1, 1, 1], [9, 9, 9], 11).tolist() == [4, 4, 3]


def test_millions_of_surplus_rows_are_not_handed_out_one_by_one():
    rng = np.random.default_rng(0)
    capacities = rng.integers(1, 40_000, size=1_840)
    gains = np.r_[1_000.0, np.zeros(1_839)]  # the first task asks for nearly everything
    total = int(capacities.sum()) - 1_234_567
    found = task_budgets(gains, capacities, total)
    assert found.sum() == total
    level = found[found < capacities].max()
    assert (found[1:] >= np.minimum(capacities[1:], level - 2)).all()


def test_a_higher_temperature_makes_budgets_more_equal():
    cold = task_budgets([4.0, 0.0], [99, 99], 50, law=TaylorSoftmax(temperature=1.0))
    warm = task_budgets([4.0, 0.0], [99, 99], 50, law=TaylorSoftmax(temperature=8.0))
    assert cold[0] > warm[0] > 25


def test_too_few_rows_is_an_error_with_both_numbers():
    with pytest.raises(BudgetError, match=r"3,201 rows, 1,799 fewer than the 5,000") as caught:
        task_budgets([1.0, 0.5], [3_000, 201], 5_000)
    assert (caught.value.asked, caught.value.available) == (5_000, 3_201)


@pytest.mark.parametrize(
    ("gains", "capacities", "total", "place"),
    [
        ([1.0, math.nan], [3, 3], 2, "gains"),
        ([math.inf], [3], 2, "gains"),
        ([1.0], [3, 3], 2, "gains"),
        ([[1.0]], [3], 2, "gains"),
        ([1.0], [3.0], 2, "capacities"),
        ([1.0], [-3], 2, "capacities"),
        ([1.0], [3], 2.0, "total"),
        ([1.0], [3], True, "total"),
        ([1.0], [3], -1, "total"),
    ],
)
def test_unusable_arguments_are_named(gains, capacities, total, place):
    with pytest.raises(InputError) as caught:
        task_budgets(gains, capacities, total)
    assert caught.value.place == place


@pytest.mark.parametrize(
    ("counts", "total", "budgets"),
    [
        ([10, 0, 0, 0], 7, [7, 0, 0, 0]),  # one kind only
        ([0, 10, 0, 0], 7, [0, 7, 0, 0]),
        ([6, 3, 0, 0], 5, [4, 1, 0, 0]),  # 3.33 and 1.67: floor, then +1 to the first
        ([4, 0, 4, 0], 5, [3, 0, 2, 0]),  # zero-shot first
        ([0, 4, 0, 4], 5, [0, 3, 0, 2]),
        ([1, 1, 1, 1], 3, [1, 1, 1, 0]),  # 2 zero-shot, 1 few-shot; then inside each
        ([5, 5, 10, 20], 8, [1, 1, 2, 4]),
        ([0, 0, 6, 3], 5, [0, 0, 4, 1]),  # no zero-shot rows: few-shot gets all
        ([0, 0, 0, 9], 5, [0, 0, 0, 5]),
        ([0, 0, 0, 0], 0, [0, 0, 0, 0]),
    ],
)
def test_flan_templates_follow_the_table(counts, total, budgets):
    assert template_budgets(counts, total).tolist() == budgets


@given(st.lists(st.integers(0, 40), min_size=4, max_size=4), st.data())
def test_flan_templates_are_those_of_the_published_split(counts, data):
    total = data.draw(st.integers(0, sum(counts)))
    found = template_budgets(counts, total).tolist()
    assert sum(found) == total
    assert all(0 <= given <= held for given, held in zip(found, counts, strict=True))
    zs, fs = sum(counts[:2]), sum(counts[2:])
    if zs and fs:
        assert [sum(found[:2]), sum(found[2:])] == literal_split(total, [zs, fs])
    for side in (slice(0, 2), slice(2, 4)):
        if all(counts[side]):
            assert found[side] == literal_split(sum(found[side]), counts[side])


def test_template_budgets_follow_the_names_and_not_their_places():
    names = ["fs_noopt", "zs_opt", "zs_noopt"]
    by_name = dict(zip(names, template_budgets([20, 5, 5], 8, names).tolist(), strict=True))
    full = template_budgets([5, 5, 0, 20], 8).tolist()
    assert by_name == {"zs_opt": full[0], "zs_noopt": full[1], "fs_noopt": full[3]}


def test_other_templates_share_in_proportion_to_their_counts():
    names = ["a", "b", "c", "d"]
    assert template_budgets([6, 3, 1, 0], 5, names).tolist() == [3, 2, 0, 0]
    assert template_budgets([6, 3, 1], 10).tolist() == [6, 3, 1]


def test_templates_with_too_few_rows_are_an_error():
    with pytest.raises(BudgetError):
        template_budgets([1, 1, 1, 1], 5)


@st.composite
def weights_capacities_total(draw):
    pairs = draw(st.lists(st.tuples(st.integers(1, 50), sizes), min_size=1, max_size=10))
    total = draw(st.integers(0, sum(held for _, held in pairs)))
    return [weight / 4 for weight, _ in pairs], [held for _, held in pairs], total


@given(weights_capacities_total())
def test_apportioned_rows_sum_and_fit_and_lie_within_one_of_the_water_level(case):
    weights, capacities, total = case
    found = apportion(weights, capacities, total).tolist()
    assert sum(found) == total
    exact = water_levels(weights, capacities, total)
    for given_rows, held, share in zip(found, capacities, exact, strict=True):
        assert 0 <= given_rows <= held
        assert math.floor(share) <= given_rows <= math.ceil(share)


def water_levels(weights, capacities, total):
    """Exact real shares: min(weight * level, capacity), level such that they sum to the total."""
    parts = [Fraction(weight) for weight in weights]
    shares, still, left = [Fraction(0)] * len(parts), list(range(len(parts))), Fraction(total)
    for place in sorted(still, key=lambda i: capacities[i] / parts[i]):
        level = left / sum(parts[i] for i in still)
        shares[place] = min(parts[place] * level, Fraction(capacities[place]))
        left -= shares[place]
        still.remove(place)
    return shares


def test_equal_remainders_go_to_the_lower_place():
    assert apportion([1, 1, 1], [9, 9, 9], 4).tolist() == [2, 1, 1]


def test_weights_must_be_above_zero():
    with pytest.raises(InputError, match="weight 1"):
        apportion([1.0, 0.0], [3, 3], 2)


@pytest.mark.parametrize(
    ("order", "weights"),
    [
        ([0, 0], [1.0, 1.0]),
        ([0, 4], [1.0, 1.0]),
        ([-1, 0], [1.0, 1.0]),
        ([0, 1], [1.0]),
        ([0, 1], [1.0, 0.0]),
        ([0, 1], [1.0, float("nan")]),
        ([0, 1], [1.0, float("inf")]),
        ([0, 1], [1, 1]),
        ([0.0, 1.0], [1.0, 1.0]),
    ],
)
@pytest.mark.parametrize("unit", ["task", "group"])
def test_a_law_of_anybodys_is_held_to_what_it_promises(order, weights, unit, tmp_path):
    class Wrong(WeightLaw):
        name = "wrong"

        def shares(self, ground, total):
            return Shares(np.array(order), np.array(weights))

    Wrong.unit = unit
    sizes = {f"t{i}": [9, 0, 0, 0] for i in range(4)}
    groups = flan_like(tmp_path, sizes).groups
    with pytest.raises(InputError, match="the weight law wrong did not name some of 4"):
        allot(groups, Wrong(), means=None, total=3, seed=0)
