"""CaliBudget against its formula in plain Python."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartx.errors import ConfigError, InputError
from smartx.strategies import LAWS
from smartx.weights import CaliBudget, Ground

NONE = float("nan")


def ground_of(rows, column):
    rows = np.asarray(rows, dtype=np.int64)
    names = [("s", f"t{place}") for place in range(len(rows))]
    features = {"loss": np.asarray(column, dtype=np.float64)}
    return Ground(names, np.cumsum(rows) - rows, rows, None, 0, features)


def plain(rows, column, total, floor, exponent):
    """Rows of each task before they are rounded, one task at a time."""
    start, scores, floors = 0, [], []
    held = sum(1 for n in rows if n)
    for n in rows:
        values = [x for x in column[start : start + n] if not math.isnan(x)]
        start += n
        floors.append(min(n, floor, total // held))
        if not n:
            scores.append(0.0)
            continue
        mean = sum(values) / len(values)
        sigma = math.sqrt(sum((x - mean) ** 2 for x in values)) / len(values)
        left = n - floors[-1]
        scores.append(mean * left**exponent / (1 + sigma) if left else 0.0)
    rest, asked, open_ = total - sum(floors), list(floors), {i for i, s in enumerate(scores) if s}
    while open_:
        whole = sum(scores[i] for i in open_)
        full = {i for i in open_ if rest * scores[i] / whole >= rows[i] - floors[i]}
        if not full:
            for i in open_:
                asked[i] += rest * scores[i] / whole
            break
        for i in full:
            asked[i] = rows[i]
            rest -= rows[i] - floors[i]
        open_ -= full
    return asked


sizes = st.lists(st.integers(1, 40), min_size=1, max_size=6)


@given(st.data(), sizes, st.integers(0, 12), st.sampled_from([0.0, 0.25, 1.0]))
def test_it_is_a_floor_and_the_rest_by_need_within_what_tasks_have(data, rows, floor, exponent):
    value = st.one_of(st.just(NONE), st.floats(0.1, 9.0))
    column = [
        x for n in rows for x in [1.5, *data.draw(st.lists(value, min_size=n - 1, max_size=n - 1))]
    ]
    total = data.draw(st.integers(1, sum(rows)))
    shares = CaliBudget("loss", floor, exponent).shares(ground_of(rows, column), total)
    asked = plain(rows, column, total, floor, exponent)
    found = np.zeros(len(rows))
    found[shares.order] = shares.weights / shares.weights.sum() * total
    np.testing.assert_allclose(found, asked, rtol=1e-9, atol=1e-9)
    assert sum(asked) == pytest.approx(total)


def test_an_unsure_need_counts_for_less_and_a_larger_rest_for_more():
    rows, column = [4, 4, 64], [2, 2, 2, 2, 0, 4, 0, 4] + [2] * 64
    shares = CaliBudget("loss", floor=0).shares(ground_of(rows, column), 8)
    sure, unsure, large = shares.weights / shares.weights[0]
    assert unsure == pytest.approx(1 / 2)  # sigma is sqrt(4 * 4) / 4
    assert (sure, large) == (1, pytest.approx(2))  # 16 ** (1/4)


def test_tasks_without_need_get_their_floor_and_then_what_nobody_else_can_take():
    ground = ground_of([10, 10, 5], [0.0] * 20 + [3.0] * 5)
    shares = CaliBudget("loss", floor=2).shares(ground, 9)
    assert (shares.weights / shares.weights.sum() * 9).tolist() == pytest.approx([2, 2, 5])
    shares = CaliBudget("loss", floor=2).shares(ground, 15)
    assert (shares.weights / shares.weights.sum() * 15).tolist() == pytest.approx([5, 5, 5])


def test_a_floor_that_the_budget_does_not_reach_is_an_equal_part_of_it():
    shares = CaliBudget("loss", floor=100).shares(
        ground_of([50, 500], [9.0] * 50 + [1.0] * 500), 60
    )
    assert shares.weights.tolist() == [shares.weights[0]] * 2


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ([1.0, NONE, NONE], 'no row has a value in the task "s/t1"'),
        ([1.0, -3.0, 1.0], 'the mean is -1 in the task "s/t1"'),
        ([1.0, math.inf, 1.0], "the mean is inf"),
    ],
)
def test_a_task_without_a_need_is_an_error_with_its_name(column, words):
    with pytest.raises(InputError, match=words) as caught:
        CaliBudget("loss").shares(ground_of([1, 2], column), 2)
    assert caught.value.place == "need.loss"


def test_it_reads_a_column_and_says_which():
    (need,) = LAWS.made("cali-budget:need=loss").needs
    assert (need.name, need.kind) == ("loss", "column")
    with pytest.raises(ConfigError, match="cannot do without it"):
        LAWS.made("cali-budget")
