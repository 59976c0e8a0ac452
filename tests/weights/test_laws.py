"""Each weight law against its formula in plain Python."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from reference import facility_location, greedy
from smartx.engine import SCALE, FacilityLocation, GraphCut, LogDet
from smartx.errors import ConfigError
from smartx.strategies import LAWS, facts_of
from smartx.weights import (
    Chameleon,
    CoverageMass,
    Given,
    Ground,
    Power,
    Proportional,
    ScaleFree,
    TaylorSoftmax,
    Temperature,
    effective,
    exact_kernel,
    on_grid,
)

ROWS = np.array([900, 10, 40, 250, 1, 90])
NAMES = [
    ("flan", "anli"),
    ("flan", "boolq"),
    ("cot", "gsm8k"),
    ("cot", "aqua"),
    ("t0", "x"),
    ("t0", "y"),
]


def ground_of(rows=ROWS, names=NAMES, means=None):
    rows = np.asarray(rows, dtype=np.int64)
    return Ground(names, np.cumsum(rows) - rows, rows, means, 0)


def shares_of(law, ground=None):
    """By task, summing to 1."""
    ground = ground or ground_of()
    shares = law.shares(ground, 100)
    by_task = np.zeros(len(ground.names))
    by_task[shares.order] = shares.weights / shares.weights.sum()
    return by_task


def normal(values):
    return [value / math.fsum(values) for value in values]


@pytest.mark.parametrize("cap", [None, 100, 1])
def test_proportional_is_the_size_up_to_a_cap(cap):
    plain = normal([min(n, cap or n) for n in ROWS.tolist()])
    np.testing.assert_allclose(shares_of(Proportional(cap)), plain, rtol=1e-15)


@pytest.mark.parametrize("cap", [None, 100])
@pytest.mark.parametrize("exponent", [0.0, 0.3, 0.5, 1.0])
def test_power_and_temperature_are_the_size_to_a_power(cap, exponent):
    plain = normal([min(n, cap or n) ** exponent for n in ROWS.tolist()])
    np.testing.assert_allclose(shares_of(Power(exponent, cap)), plain, rtol=1e-8)
    if exponent:
        np.testing.assert_allclose(shares_of(Temperature(1 / exponent, cap)), plain, rtol=1e-8)


def test_the_default_power_is_the_square_root():
    assert LAWS.made("power") == Power(0.5)
    np.testing.assert_allclose(shares_of(Power()), normal(np.sqrt(ROWS).tolist()), rtol=1e-9)


def test_given_shares_go_to_patterns_and_within_them_by_size():
    law = LAWS.made({"name": "given", "parts": {"flan/*": 3, "aqua": 1.5, "cot/*": "0.5"}})
    plain = {("flan", "anli"): 3 * 900 / 910, ("flan", "boolq"): 3 * 10 / 910}
    plain |= {("cot", "aqua"): 1.5, ("cot", "gsm8k"): 0.5}
    np.testing.assert_allclose(shares_of(law), normal([plain.get(n, 0.0) for n in NAMES]))


def test_caps_of_given_shares_hold_within_a_pattern():
    law = Given({"flan/*": 0.4, "*": 0.6}, {"anli": 30, "cot/*": 100})
    sizes = [30, 10, 40, 100, 1, 90]
    plain = [0.4 * n / 40 for n in sizes[:2]] + [0.6 * n / 231 for n in sizes[2:]]
    np.testing.assert_allclose(shares_of(law), plain, rtol=1e-12)


def test_a_source_of_given_shares_is_named_as_floors_and_caps_name_it():
    law = Given({"flan/": 0.4, "aqua": 0.1, "cot/": 0.5}, {"flan/": 30})
    globs = Given({"flan/*": 0.4, "aqua": 0.1, "cot/*": 0.5}, {"flan/*": 30})
    assert shares_of(law).tolist() == shares_of(globs).tolist()
    with pytest.raises(ConfigError, match="no task"):
        Given({"fla/": 1}).check(NAMES)


@pytest.mark.parametrize(
    ("options", "place", "words"),
    [
        ({"parts": {"gsm9k": 1}}, "parts.gsm9k", "did you mean gsm8k?"),
        ({"parts": {"*": 1}, "caps": {"p3/*": 9}}, "caps.p3/*", "no task"),
        ({"parts": {"cot/*": 1, "aqua": 1}}, "parts.aqua", "before it"),
    ],
)
def test_a_pattern_without_a_task_is_an_error(options, place, words):
    with pytest.raises(ConfigError) as caught:
        Given(**options).check(NAMES)
    assert caught.value.place == place
    assert words in str(caught.value)


@pytest.mark.parametrize("parts", [{"a": 0}, {"a": -1}, {"a": "x"}, "a", 3])
def test_parts_are_numbers_above_zero_by_name(parts):
    with pytest.raises(ConfigError):
        LAWS.made({"name": "given", "parts": parts})
    with pytest.raises(ConfigError, match="cannot do without it"):
        LAWS.made("given")


@pytest.fixture(scope="module")
def tasks():
    rng = np.random.default_rng(5)
    means = rng.normal(size=(24, 6)) + 0.8
    names = [("s", f"t{i}") for i in range(24)]
    return ground_of(rng.integers(1, 500, size=24), names, means)


FUNCTIONS = [FacilityLocation(), GraphCut(0.4), LogDet(1.0)]


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("count", [None, 8])
def test_the_published_law_is_the_second_order_taylor_form(tasks, function, count):
    shares = TaylorSoftmax(function, count, temperature=2.0).shares(tasks, 10)
    plain = normal([1 + g / 2 + (g / 2) ** 2 / 2 for g in shares.gains.tolist()])
    np.testing.assert_allclose(shares.weights, plain, rtol=1e-13)
    assert shares.rounding == "greedy"


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("curve", ["softmax", "taylor"])
def test_scale_free_shares_are_a_curve_of_gains_by_the_largest(tasks, function, curve):
    shares = ScaleFree(function, 8, curve=curve, temperature=0.5).shares(tasks, 10)
    x = [max(g, 0) / max(shares.gains) / 0.5 for g in shares.gains.tolist()]
    plain = [math.exp(y) if curve == "softmax" else 1 + y + y * y / 2 for y in x]
    np.testing.assert_allclose(normal(shares.weights.tolist()), normal(plain), rtol=1e-9)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(("curve", "wanted"), [("softmax", 2.5), ("softmax", 15), ("taylor", 20)])
def test_the_temperature_is_found_for_a_wanted_number_of_tasks(tasks, function, curve, wanted):
    law = ScaleFree(function, curve=curve, effective=wanted)
    if (curve, function) == ("taylor", LogDet(1.0)):
        wanted, law = 23.5, ScaleFree(function, curve=curve, effective=23.5)
    if (curve, function) == ("taylor", FacilityLocation()):
        wanted, law = 12, ScaleFree(function, curve=curve, effective=12)
    shares = law.shares(tasks, 10)
    assert effective(shares.weights) == pytest.approx(wanted, rel=1e-6)
    by_gain = shares.weights[np.argsort(shares.gains)].tolist()
    assert all(a <= b for a, b in pairwise(by_gain))


def test_it_does_not_see_the_unit_of_the_gains(tasks):
    few = ScaleFree(GraphCut(0.0), effective=9.0)
    twice = ground_of(tasks.rows, tasks.names, np.repeat(tasks.means, 2, axis=1) * 7)
    np.testing.assert_allclose(shares_of(few, tasks), shares_of(few, twice), rtol=1e-6)


def test_a_number_of_tasks_that_no_temperature_gives_is_an_error(tasks):
    with pytest.raises(ConfigError, match=r"25 effective tasks .* to 24.00 can be had") as caught:
        ScaleFree(effective=25).shares(tasks, 10)
    assert caught.value.place == "effective"


@pytest.mark.parametrize("of", ["tasks", "rows"])
@pytest.mark.parametrize("centred", [False, True])
def test_coverage_mass_counts_what_each_chosen_task_is_nearest_to(tasks, of, centred):
    kernel = exact_kernel(tasks.means, centred=centred).tolist()
    chosen = greedy(facility_location, kernel, 5)
    mass = dict.fromkeys(chosen, 0.0)
    for task, row in enumerate(kernel):
        near = task if task in mass else max(mass, key=lambda c: (row[c], -c))
        mass[near] += 1.0 if of == "tasks" else float(tasks.rows[task])
    law = CoverageMass(num_tasks=5, kernel="centred" if centred else "exact", of=of)
    shares = law.shares(tasks, 10)
    assert shares.order.tolist() == chosen
    assert shares.weights.tolist() == [mass[task] for task in chosen]
    assert shares.weights.sum() == (24 if of == "tasks" else tasks.rows.sum())


def test_coverage_mass_of_all_tasks_is_equal_mixing(tasks):
    assert set(CoverageMass().shares(tasks, 10).weights.tolist()) == {1.0}


def test_weights_on_the_grid_keep_their_ratios_and_are_above_zero():
    weights = np.array([1.0, 1 / 3, 1e-30])
    grid = on_grid(weights)
    assert (grid == np.round(grid)).all()
    assert grid[2] == 1
    np.testing.assert_allclose(grid / grid[0], weights, atol=2**-40)


def test_laws_from_before_there_were_options_say_in_keys_what_they_said():
    assert facts_of(Proportional()) == {"name": "proportional"}
    assert facts_of(Proportional(9)) == {"name": "proportional", "cap": 9}


@pytest.mark.parametrize(("stage", "temperature"), [("finetune", 0.2), ("pretrain", 5.0)])
@pytest.mark.parametrize("ridge", [0.01, 10.0])
def test_chameleon_is_a_softmax_of_ridge_leverage_scores(tasks, stage, temperature, ridge):
    kernel = tasks.means @ tasks.means.T
    tasks = ground_of(tasks.rows, tasks.names, tasks.means * SCALE)  # as the corpus has them
    ones = np.full_like(kernel, 1 / 24)
    kernel = kernel - ones @ kernel - kernel @ ones + ones @ kernel @ ones
    scores = np.diag(kernel @ np.linalg.inv(kernel + ridge * 24 * np.eye(24)))
    scores = scores / scores.sum()
    logits = (scores if stage == "finetune" else 1 / (scores + 1e-12)) / temperature
    plain = np.exp(logits - logits.max())
    law = Chameleon(stage, ridge)
    np.testing.assert_allclose(shares_of(law, tasks), plain / plain.sum(), rtol=1e-8, atol=1e-12)


def test_chameleon_of_equal_tasks_is_equal_mixing(tasks):
    same = ground_of(tasks.rows, tasks.names, np.ones_like(tasks.means))
    assert len(set(Chameleon().shares(same, 10).weights.tolist())) == 1
