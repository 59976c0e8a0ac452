"""Webster's method against its definition, one row at a time, and what it is there for."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartx.budget import apportion, webster
from smartx.errors import BudgetError, InputError


def one_at_a_time(weights, capacities, total, floors):
    has, parts = list(floors), [Fraction(weight) for weight in weights]
    while sum(has) < total:
        places = [i for i in range(len(has)) if has[i] < capacities[i]]
        has[min(places, key=lambda i: (Fraction(2 * has[i] + 1) / parts[i], i))] += 1
    return has


@st.composite
def bounded(draw):
    """weights, capacities, floors: many ties among the weights, and some far apart."""
    weight = st.sampled_from([1.0, 1.0, 0.5, 3.0, 1e-9, 1e9]) | st.floats(1e-3, 1e3)
    units = draw(
        st.lists(st.tuples(weight, st.integers(0, 6), st.integers(0, 20)), min_size=1, max_size=8)
    )
    weights, floors, more = (list(column) for column in zip(*units, strict=True))
    return weights, [low + extra for low, extra in zip(floors, more, strict=True)], floors


@given(bounded(), st.data())
def test_rows_are_those_that_go_out_one_at_a_time(case, data):
    weights, capacities, floors = case
    total = data.draw(st.integers(sum(floors), sum(capacities)))
    found = webster(weights, capacities, total, floors)
    assert found.dtype == np.int64
    assert found.tolist() == one_at_a_time(weights, capacities, total, floors)


@given(bounded(), st.data())
def test_nobody_loses_a_row_when_the_total_grows(case, data):
    weights, capacities, floors = case
    total = data.draw(st.integers(sum(floors), sum(capacities)))
    small, large = (webster(weights, capacities, n, floors) for n in (sum(floors), total))
    larger = webster(weights, capacities, min(total + 1, sum(capacities)), floors)
    assert (small <= large).all()
    assert (large <= larger).all()


def test_largest_remainders_take_a_row_away_where_the_total_grows():
    """The Alabama paradox: why there is another method at all."""
    weights, many = [6.0, 6.0, 2.0], [99] * 3
    assert apportion(weights, many, 10).tolist() == [4, 4, 2]
    assert apportion(weights, many, 11).tolist() == [5, 5, 1]
    assert (np.diff([webster(weights, many, n) for n in range(12)], axis=0) >= 0).all()


def test_ten_million_rows_of_many_equal_tasks_are_exact_and_quick():
    tasks, total = 1_840, 10**7 + 7
    found = webster(np.ones(tasks), np.full(tasks, total), total)
    assert found.tolist() == [5_435] * 1_447 + [5_434] * 393


def test_weights_at_the_ends_of_what_a_number_can_be_are_no_trouble():
    found = webster([1e-300, 1.0, 1e300], [5, 5, 5], 12)
    assert found.tolist() == [2, 5, 5]


def test_what_cannot_be_is_an_error():
    with pytest.raises(BudgetError, match="5 rows, 1 fewer than the 6"):
        webster([1.0, 1.0], [2, 3], 6)
    with pytest.raises(BudgetError, match="the floors ask for 4, 1 more than the 3"):
        webster([1.0, 1.0], [3, 3], 3, [2, 2])
    with pytest.raises(BudgetError, match="floor 1 asks for 4 and 3 are there"):
        webster([1.0, 1.0], [3, 3], 5, [0, 4])
    with pytest.raises(InputError, match="weight 0"):
        webster([0.0, 1.0], [3, 3], 5)


@given(bounded(), st.data())
def test_largest_remainders_stay_within_floors_and_capacities_too(case, data):
    weights, capacities, floors = case
    total = data.draw(st.integers(sum(floors), sum(capacities)))
    found = apportion(weights, capacities, total, floors).tolist()
    assert sum(found) == total
    exact = levels(weights, capacities, floors, total)
    for rows, low, high, share in zip(found, floors, capacities, exact, strict=True):
        assert low <= rows <= high
        assert abs(rows - share) < 1


def levels(weights, capacities, floors, total):
    """Exact real shares: weight * level within the bounds, the level such that they sum."""
    parts = [Fraction(weight) for weight in weights]
    bends = sorted(
        Fraction(bound) / part
        for bounds in (floors, capacities)
        for bound, part in zip(bounds, parts, strict=True)
    )

    def at(level):
        return [
            min(max(part * level, low), high)
            for part, low, high in zip(parts, floors, capacities, strict=True)
        ]

    upper = next(level for level in bends if sum(at(level)) >= total)
    lower = max((level for level in bends if level < upper), default=upper)
    low, high = sum(at(lower)), sum(at(upper))
    part = (total - low) / (high - low) if high > low else 0  # in between all is linear
    return at(lower + (upper - lower) * part)
