"""Which proxy orders the arms as training does: correlations beside plain ones, and known cases."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from quality.outcomes import OUTCOMES
from quality.suites import Suite, read, suites
from quality.trust import beside, correlations, reachable, repeats, spearman

from made_runs import PLACES, Made, write
from smartx.errors import InputError

EFFECTS = {
    "untuned": 0.9, "random a": 0.0, "random b": 0.01, "equal": -0.1, "proportional": 0.05,
    "smart-acl2024": 0.2, "equal, balanced": -0.3, "half": 0.5,
}  # fmt: skip
ARMS = ("random a", "random b", "proportional", "equal", "smart-acl2024", "equal, balanced")
BY_NAME = {outcome.name: outcome for outcome in OUTCOMES}


def suite_of(folder: Path, **made) -> Suite:
    given = {"effects": EFFECTS, "noise": 1e-4, "luck": 1e-4, **made}
    (suite,) = suites(*read(write(folder, Made(**given).lines())))
    return suite


def proxies_for(suite: Suite, of=lambda arm, fold, seed: {}):
    """Three that know the effects (one of them turned), one that knows nothing."""
    found = {}
    for arm, fold, seed in suite.runs:
        if arm != "untuned":
            level = EFFECTS[arm]
            found[arm, fold, seed] = {
                "coverage, unseen": 10 * fold - level,  # right
                "twins": 3 * seed + level,  # right: less is better
                "probe": level,  # wrong way round
                "rows": 5.0,  # the same everywhere
                **of(arm, fold, seed),
            }
    return found


def by_name(lines):
    return {line.proxy: line for line in lines}


numbers = st.lists(st.sampled_from([0.0, 1.0, 2.0, 3.0]), min_size=2, max_size=7)


@st.composite
def two_sides(draw):
    one = draw(numbers)
    return one, draw(
        st.lists(st.sampled_from([0.0, 1.0, 2.0]), min_size=len(one), max_size=len(one))
    )


def plain_ranks(values):
    return [
        sum(other < value for other in values) + (values.count(value) + 1) / 2 for value in values
    ]


def plain_spearman(one, other):
    a, b = plain_ranks(one), plain_ranks(other)
    if len(set(a)) == 1 or len(set(b)) == 1:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def plain_means(found, table, folds=range(4), seeds=range(3)):
    """Of each arm: every data set of the folds counts as much as any other."""
    sets = [sum(place == fold for place in PLACES.values()) for fold in found.folds]
    weights = [sets[f] for f in folds for _ in seeds]
    return [sum(sets[f] * arm[f, s] for f in folds for s in seeds) / sum(weights) for arm in table]


@given(two_sides())
def test_spearman_is_what_its_formula_says(sides):
    assert spearman(*sides) == pytest.approx(plain_spearman(*sides), abs=1e-9)


@pytest.mark.parametrize("name", [outcome.name for outcome in OUTCOMES])
def test_above_zero_means_that_the_proxy_points_the_right_way(tmp_path, name):
    suite = suite_of(tmp_path, noise=1e-5, luck=1e-5)
    found = beside(suite, proxies_for(suite), outcome=BY_NAME[name])
    assert found.arms == ARMS
    lines = by_name(correlations(found, resamples=200))
    wanted = 0.6 if name == "ranked" else 0.9  # right answers are drawn: random a may beat b
    assert lines["coverage, unseen"].value > wanted
    assert lines["twins"].value == pytest.approx(lines["coverage, unseen"].value)
    assert lines["probe"].value == pytest.approx(-lines["twins"].value)
    constant = lines["rows"]
    assert (constant.value, constant.interval, constant.p) == (None,) * 3


def test_the_values_are_improvements_against_random_rows(tmp_path):
    suite = suite_of(tmp_path)
    found = beside(suite, proxies_for(suite))
    for a, arm in enumerate(found.arms):
        for f, fold in enumerate(found.folds):
            for s, seed in enumerate(found.seeds):

                def loss(name, fold=fold, seed=seed):
                    held = suite.run(name, fold, seed).evaluated["held"]
                    assert {PLACES[task] for task in held} == {fold}
                    return np.mean([kept[0] / kept[1] for kept in held.values()])

                base = (loss("random a") + loss("random b")) / 2
                assert found.improvement[a, f, s] == pytest.approx(100 * (1 - loss(arm) / base))


def test_a_correlation_is_that_of_the_means_and_its_interval_that_of_folds_and_seeds(tmp_path):
    rng = np.random.default_rng(5)
    suite = suite_of(tmp_path, noise=0.2)
    noisy = proxies_for(suite, of=lambda *key: {"of greedy": EFFECTS[key[0]] + rng.normal(0, 0.2)})
    found = beside(suite, noisy)
    line = by_name(correlations(found, resamples=500))["of greedy"]
    sides = found.proxies["of greedy"], found.improvement
    assert line.value == pytest.approx(plain_spearman(*(plain_means(found, x) for x in sides)))
    drawn = []
    for _ in range(500):
        folds, seeds = rng.integers(0, 4, 4), rng.integers(0, 3, 3)
        drawn.append(plain_spearman(*(plain_means(found, x, folds, seeds) for x in sides)))
    assert line.interval == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.1)


def test_p_is_the_part_of_all_orders_of_the_arms_that_correlate_as_much(tmp_path):
    order = {arm: place for place, arm in enumerate(("equal", *(a for a in ARMS if a != "equal")))}
    suite = suite_of(tmp_path)
    given = proxies_for(suite, of=lambda arm, *_: {"objective": order.get(arm, 0)})
    found = beside(suite, given)
    line = by_name(correlations(found, resamples=6_000, seed=3))["objective"]
    own, outcome = (
        plain_means(found, table) for table in (found.proxies["objective"], found.improvement)
    )
    every = [plain_spearman(list(one), outcome) for one in itertools.permutations(own)]
    exact = np.mean([abs(value) >= abs(line.value) - 1e-9 for value in every])
    assert 0.05 < exact < 0.95
    assert line.p == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / 6_000) + 1e-3)


def test_a_proxy_without_knowledge_is_called_significant_at_its_level(tmp_path):
    suite, rng, small = suite_of(tmp_path), np.random.default_rng(1), 0
    found = beside(suite, proxies_for(suite))
    for trial in range(200):
        values = rng.normal(size=(6, 1, 1)) + np.zeros((6, 4, 3))
        knowing_nothing = replace(found, proxies={"objective": values})
        small += correlations(knowing_nothing, resamples=200, seed=trial)[0].p <= 0.1
    assert 6 <= small <= 36  # 20 expected, with a deviation of 4.2


def test_repeats_is_high_where_arms_differ_and_near_zero_where_they_do_not(tmp_path):
    clear = suite_of(tmp_path / "clear", seeds=range(4))
    assert repeats(beside(clear, proxies_for(clear))) > 0.9
    values = []
    for trial in range(12):
        same, own = dict.fromkeys(EFFECTS, 0.0), (2 * trial, 2 * trial + 1)
        suite = suite_of(tmp_path / f"same {trial}", effects=same, luck=0.1, seeds=own)
        values.append(repeats(beside(suite, proxies_for(suite))))
    assert abs(np.mean(values)) < 0.45  # each has a deviation of 1 / sqrt(5)
    alone = suite_of(tmp_path / "alone", seeds=(0,))
    assert repeats(beside(alone, proxies_for(alone))) is None


def test_what_is_reachable_is_what_the_truth_correlates_with_what_is_measured():
    """The truth of 4,000 arms, and two halves that add noise of their own."""
    rng = np.random.default_rng(0)
    for noise in (0.5, 1.0, 2.0):
        truth = rng.normal(size=4_000)
        halves = truth + noise * rng.normal(size=(2, 4_000))
        found = reachable(spearman(*halves))
        assert found == pytest.approx(spearman(truth, halves.mean(axis=0)), abs=0.04)
    assert reachable(-0.3) == 0


def test_what_is_incomplete_is_left_out_or_named(tmp_path):
    suite = suite_of(tmp_path)
    whole = proxies_for(suite)
    del whole["equal", 1, 2]["twins"]
    assert "twins" not in beside(suite, whole).proxies
    del whole["equal", 1, 2]
    with pytest.raises(InputError, match="arm equal, fold 1, seed 2"):
        beside(suite, whole)
    others = [arm for arm in ARMS if arm != "equal"]
    assert beside(suite, whole, arms=others).arms == tuple(others)
    with pytest.raises(InputError, match="2 arms"):
        beside(suite, whole, arms=ARMS[:2])


def test_means_are_told_as_they_are_measured(tmp_path):
    suite = suite_of(tmp_path)
    found = beside(suite, proxies_for(suite))
    assert found.means["twins"]["equal"] == pytest.approx(3 + EFFECTS["equal"])
    assert found.means["probe"]["equal"] == pytest.approx(EFFECTS["equal"])


def test_arms_are_compared_with_the_first_draw_where_the_second_has_few_runs(tmp_path):
    lines = Made(EFFECTS, noise=1e-4, luck=1e-4).lines()
    few = [x for x in lines if (s := x["setting"])["arm"] != "random b" or s["seed"] == 0]
    (suite,) = suites(*read(write(tmp_path, few)))
    arms = [arm for arm in ARMS if arm != "random b"]
    found = beside(suite, proxies_for(suite), arms=arms)
    assert found.seeds == (0, 1, 2)
    assert (found.improvement[0] == 0).all()  # random a against itself
    assert beside(suite, proxies_for(suite)).seeds == (0,)
