"""MixMin against its published code, and against the minimum that it looks for."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from smartx.errors import ConfigError, InputError
from smartx.strategies import LAWS
from smartx.weights import Ground, MixMin, mixmin_weights

PUBLISHED = json.loads((Path(__file__).parent / "conformance" / "mixmin.json").read_text())
NAMES = [("cot", "aqua"), ("cot", "gsm8k"), ("flan", "anli"), ("flan", "boolq")]
ROWS = np.array([30, 10, 5, 0])


def ground_of(table, lengths=None, names=NAMES, rows=ROWS):
    features = {"probs": np.asarray(table, dtype=np.float32)}
    if lengths is not None:
        features["lengths"] = np.asarray(lengths, dtype=np.float32)
    return Ground(names, np.cumsum(rows) - rows, rows, None, 0, features)


def shares_of(law, ground):
    shares = law.shares(ground, 20)
    by_task = np.zeros(len(ground.names))
    by_task[shares.order] = shares.weights / shares.weights.sum()
    return by_task.tolist()


@pytest.mark.parametrize("steps_and_rate", PUBLISHED["weights"])
def test_steps_are_those_of_the_published_code(steps_and_rate):
    steps, rate = steps_and_rate.split()
    found = mixmin_weights(
        np.array(PUBLISHED["log_probs"]),
        np.array(PUBLISHED["lengths"]),
        steps=int(steps),
        rate=float(rate),
    )
    np.testing.assert_allclose(found, PUBLISHED["weights"][steps_and_rate], rtol=1e-12, atol=1e-15)


def test_many_steps_reach_the_minimum():
    """Where no share can move: the pull of all that have one is the same, and none is stronger."""
    probs = np.exp(np.array(PUBLISHED["log_probs"]))
    weights = mixmin_weights(np.log(probs), np.ones(len(probs)), steps=20_000, rate=1.0)
    pull = (probs / (probs @ weights)[:, None]).mean(axis=0)
    np.testing.assert_allclose(pull[weights > 1e-6], 1.0, rtol=1e-5)
    assert pull.max() <= 1 + 1e-5


def test_texts_of_tiny_probability_count_as_others():
    table = np.array(PUBLISHED["log_probs"])
    far = table - np.linspace(0, 90_000, len(table))[:, None]
    ones = np.ones(len(table))
    same = mixmin_weights(table, ones, steps=50, rate=1.0)
    np.testing.assert_allclose(mixmin_weights(far, ones, steps=50, rate=1.0), same, rtol=1e-9)


def test_a_task_without_rows_or_chance_gets_nothing():
    table = np.array(PUBLISHED["log_probs"])
    table[:, 0] = -np.inf
    found = shares_of(MixMin("probs"), ground_of(table, rows=np.array([30, 10, 5, 0])))
    assert found[0] == found[3] == 0
    assert min(found[1:3]) > 0


def test_columns_may_be_tasks_in_another_order_or_patterns_that_share_by_size():
    table = np.array(PUBLISHED["log_probs"])
    rows = np.array([30, 10, 5, 20])
    usual = shares_of(MixMin("probs", "lengths"), ground_of(table, PUBLISHED["lengths"], rows=rows))
    turned = LAWS.made("mixmin:log_probs=probs,lengths=lengths,columns=boolq+flan/anli+gsm8k+aqua")
    ground = ground_of(table[:, ::-1], PUBLISHED["lengths"], rows=rows)
    np.testing.assert_allclose(shares_of(turned, ground), usual, rtol=1e-9)
    two = MixMin("probs", columns=("cot/*", "flan/*"))
    cot, flan = mixmin_weights(
        np.float32(table[:, :2]).astype(float), np.ones(12), steps=100, rate=1
    )
    np.testing.assert_allclose(
        shares_of(two, ground_of(table[:, :2], rows=rows)),
        [cot * 0.75, cot * 0.25, flan * 0.2, flan * 0.8],
        rtol=1e-9,
    )


def test_a_column_without_a_task_is_an_error_before_any_work():
    with pytest.raises(ConfigError, match="did you mean gsm8k") as caught:
        MixMin("probs", columns=("gsm8", "*")).check(NAMES)
    assert caught.value.place == "columns.gsm8"
    with pytest.raises(ConfigError, match="twice"):
        MixMin("probs", columns=("aqua", "aqua")).check(NAMES)


@pytest.mark.parametrize(
    ("table", "lengths", "words"),
    [
        (np.zeros((5, 3)), None, r"\(5, 3\), and 4 columns"),
        (np.zeros((0, 4)), None, r"\(0, 4\)"),
        ([[0, 0, 0, math.nan]], None, "row 0"),
        ([[0, 0, 0, 0], [-math.inf] * 4], None, "row 1"),
        (np.zeros((2, 4)), [1, 2, 3], "2 numbers above 0"),
        (np.zeros((2, 4)), [1, 0], "2 numbers above 0"),
    ],
)
def test_tables_that_do_not_fit_are_an_error(table, lengths, words):
    law = MixMin("probs", None if lengths is None else "lengths")
    with pytest.raises(InputError, match=words):
        law.shares(ground_of(table, lengths), 10)


def test_it_reads_tables_and_says_which():
    needs = MixMin("probs", "lengths").needs
    assert [(need.name, need.kind) for need in needs] == [("probs", "table"), ("lengths", "table")]
    assert len(MixMin("probs").needs) == 1
