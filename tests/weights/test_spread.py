"""How a law spreads the rows, against the formulas written out."""

from __future__ import annotations

import numpy as np
import pytest

from smartx.weights import effective, spread_line, spread_of


def test_the_numbers_are_those_of_the_formulas():
    weights, rows = np.array([0.5, 0.0, 0.3, 0.2]), np.array([10, 50, 20, 20])
    found = spread_of(weights, rows)
    w, p = weights[weights > 0], rows[weights > 0] / rows.sum()
    assert found["tasks"] == 3
    assert found["effective_tasks"] == pytest.approx(np.exp(-(w * np.log(w)).sum()), abs=1e-4)
    assert found["kl_to_proportional"] == pytest.approx((w * np.log(w / p)).sum(), abs=1e-6)
    assert found["largest"] == {"task": 0, "share": 0.5}
    assert found["moved"]["equal"] == pytest.approx(np.abs(w - 1 / 3).sum() / 2, abs=1e-6)
    assert found["moved"]["proportional"] == pytest.approx(
        np.abs(w - p / p.sum()).sum() / 2, abs=1e-6
    )
    assert found["like"] is None


def test_one_task_is_one_and_equal_shares_are_their_number():
    assert effective(np.array([3.0])) == 1
    assert effective(np.full(7, 0.25)) == pytest.approx(7)


@pytest.mark.parametrize(
    ("weights", "like"),
    [
        ([1, 1, 1, 1], "equal"),
        ([1, 1, 1.04, 1], "equal"),
        ([1, 1, 1.2, 1], None),
        ([10, 20, 30, 40], "proportional"),
        ([10, 20, 30, 41], "proportional"),
        ([10, 0, 0, 40], "proportional"),  # of the tasks that it chose
        ([1, 0, 0, 1], "equal"),
        ([5, 1, 1, 1], None),
    ],
)
def test_a_law_within_two_percent_of_equal_or_proportional_is_called_so(weights, like):
    found = spread_of(np.array(weights, dtype=float), np.array([10, 20, 30, 40]))
    assert found["like"] == like
    assert (f"{like} mixing but for" in spread_line(found, "a")) is bool(like)


def test_the_line_says_its_terms_in_plain_words():
    found = spread_of(np.array([0.5, 0.5, 0.0]), np.array([10, 30, 60]))
    line = spread_line(found, "maths")
    assert line.startswith("2.0 effective of 2 tasks (as even as so many of one size)")
    assert "the largest share 50.0% (maths)" in line
    assert "proportional mixing would take 25.0% of the rows elsewhere (KL to" in line
    assert line.endswith("equal mixing but for 0.0% of the rows")
    assert "elsewhere" not in spread_line(spread_of(np.ones(2), np.ones(2)), "a")


def test_no_shares_have_no_spread():
    assert spread_of(np.zeros(3), np.ones(3, dtype=np.int64)) is None


def test_one_task_is_not_spoken_of_as_several():
    found = {
        "tasks": 1, "effective_tasks": 1.0, "kl_to_proportional": 0.0,
        "largest": {"task": 0, "share": 1.0}, "like": "equal",
        "moved": {"equal": 0.0, "proportional": 0.0},
    }  # fmt: skip
    assert spread_line(found, "maths") == "all rows are of one task (maths)"
