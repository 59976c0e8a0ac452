"""Spread, intervals, test and floors against plain loops, and what must not change them."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quality import statistics as q
from quality.differences import Differences, Spread, crossed, held_out
from quality.outcomes import OUTCOMES, paired
from quality.suites import Run, Sample, Suite
from scipy import stats

from made_runs import PLACES, TASKS, Made
from smartx.errors import InputError

SIZES = (4, 2, 2, 1, 1, 1, 1)
FAMILIES = [name for name, size in zip("abcdefg", SIZES, strict=True) for _ in range(size)]
FOLDS = [{"a": 0, "b": 1, "c": 2, "d": 1, "e": 2, "f": 1, "g": 2}[name] for name in FAMILIES]


def held(seed: int, seeds: int = 3, run: float = 0.5) -> tuple[np.ndarray, Differences]:
    rng = np.random.default_rng(seed)
    table = rng.normal(0.3, 1.0, len(FAMILIES)) + 0.5 * rng.standard_normal((seeds, len(FAMILIES)))
    table += run * rng.standard_normal((seeds, 3))[:, FOLDS]
    return table, held_out(table, FAMILIES, FOLDS)


def plain_spread(table: np.ndarray) -> tuple[float, float, float]:
    """families, runs and cells of `Spread` for `held`, by the formulas, in loops."""
    seeds, sets = table.shape
    mean = table.mean()
    families = runs = cells = left = squares = 0.0
    weight = {name: FAMILIES.count(name) / sets for name in FAMILIES}
    total = sum(w**2 for w in weight.values())
    for name, w in weight.items():
        own = [table[:, d].mean() for d in range(sets) if FAMILIES[d] == name]
        families += (sum(own) / sets - mean * w) ** 2
        left += w**2 * (1 - 2 * w + total)
        squares += w**2
    groups = [[d for d in range(sets) if FOLDS[d] == fold] for fold in set(FOLDS)]
    own_groups = [[d for d in range(sets) if FAMILIES[d] == name] for name in weight]
    for of, columns in [("runs", g) for g in groups] + [("cells", g) for g in own_groups]:
        each = [sum(table[s, d] for d in columns) / sets / seeds for s in range(seeds)]
        part = seeds * float(np.var(each, ddof=1))
        runs, cells = (runs + part, cells) if of == "runs" else (runs, cells + part)
    return families * squares / left, runs, cells


@pytest.mark.parametrize("seed", range(3))
def test_the_parts_of_the_variance_are_those_of_plain_loops(seed):
    table, differences = held(seed)
    spread = differences.spread
    assert (spread.families, spread.runs, spread.cells) == pytest.approx(plain_spread(table))
    assert differences.mean == pytest.approx(table.mean())


def test_a_table_of_folds_with_gaps_is_the_same_as_held_out_ones():
    table, differences = held(0)
    cube = np.stack([np.where(np.array(FOLDS) == fold, table, np.nan) for fold in range(3)])
    other = crossed(cube, FAMILIES)
    assert q.sign_flip(other) == q.sign_flip(differences)
    assert q.interval_these(other) == pytest.approx(q.interval_these(differences))


def test_every_data_set_weighs_the_same_however_many_runs_it_has():
    table = np.arange(12.0).reshape(2, 2, 3)
    table[0, :, 1] = np.nan
    assert crossed(table, "abc").mean == pytest.approx(np.nanmean(table, axis=(0, 1)).mean())


def plain_flips(own: np.ndarray, weight: np.ndarray) -> float:
    """The exact test of symmetric families: all patterns, the mean over its standard error."""

    def size(values: np.ndarray) -> float:
        mean = values.sum()
        return abs(mean) / np.sqrt(((values - mean * weight) ** 2).sum())

    bar = size(own) * (1 - 1e-6)
    found = [size(np.array(signs) * own) >= bar for signs in product((1, -1), repeat=len(own))]
    return float(np.mean(found))


@pytest.mark.parametrize("seed", range(4))
def test_without_noise_of_runs_the_test_is_the_exact_one(seed):
    table, _ = held(seed, seeds=1)
    differences = held_out(np.repeat(table, 3, axis=0), FAMILIES, FOLDS)
    own = differences.contributions.sum(axis=0)
    weight = differences.shares.sum(axis=0)
    assert q.sign_flip(differences) == pytest.approx(plain_flips(own, weight))
    assert q.sign_flip(differences, draws=50) == pytest.approx(plain_flips(own, weight), abs=0.3)


def test_of_equal_families_it_is_fishers_sign_flip():
    rng = np.random.default_rng(5)
    row = rng.normal(0.4, 1.0, 9)
    differences = held_out(np.repeat(row[None], 2, axis=0), range(9), [0, 1, 2] * 3)
    sums = np.array([np.dot(signs, row) for signs in product((1, -1), repeat=9)])
    assert q.sign_flip(differences) == pytest.approx(np.mean(abs(sums) >= abs(row.sum()) - 1e-9))


@pytest.mark.parametrize("seed", range(3))
def test_the_interval_ends_where_the_test_begins_to_exclude(seed):
    table, differences = held(seed)
    low, high = q.interval_new(differences, draws=999)
    assert low < differences.mean < high
    step = (high - low) / 100
    for end, inside in ((low, step), (high, -step)):
        assert q.sign_flip(held_out(table - end - inside, FAMILIES, FOLDS), draws=999) > 0.05
        assert q.sign_flip(held_out(table - end + inside, FAMILIES, FOLDS), draws=999) <= 0.05


def test_many_contrasts_at_once_are_what_each_is_alone():
    each = [held(seed, run=0.0)[1] for seed in range(5)]
    many = Differences(np.stack([x.values for x in each]), each[0].families, each[0].folds)
    assert many.means == pytest.approx([x.mean for x in each])
    low, high = q.intervals_these(many)
    assert [*zip(low, high, strict=True)] == [pytest.approx(q.interval_these(x)) for x in each]
    assert many.spread.new == pytest.approx([x.spread.new for x in each])
    # The sizes of the runs' noise are drawn for each, so the rest agrees to what draws leave open.
    p = [q.sign_flip(x, draws=4095) for x in each]
    assert q.sign_flips(many, draws=4095) == pytest.approx(p, abs=0.03)
    low, high = q.intervals_new(many, draws=4095)
    alone = np.array([q.interval_new(x, draws=4095) for x in each])
    assert np.stack([low, high], axis=1) == pytest.approx(alone, abs=0.1)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), shift=st.floats(-9, 9), scale=st.floats(0.01, 100))
def test_a_shift_and_a_scale_move_the_intervals_as_they_move_the_mean(seed, shift, scale):
    table, differences = held(seed)
    moved = held_out(table * scale + shift, FAMILIES, FOLDS)
    for interval in (q.interval_these, lambda d: q.interval_new(d, draws=199)):
        expected = np.array(interval(differences)) * scale + shift
        assert interval(moved) == pytest.approx(expected, rel=1e-3, abs=1e-2 * scale)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999))
def test_neither_names_nor_the_order_of_seeds_nor_the_side_change_p(seed):
    table, differences = held(seed)
    p = q.sign_flip(differences, draws=1023)
    renamed = held_out(table[::-1], [name.upper() for name in FAMILIES], FOLDS)
    assert q.sign_flip(renamed, draws=1023) == p
    other_side = held_out(-table, FAMILIES, FOLDS)
    assert q.sign_flip(other_side, draws=1023) == pytest.approx(p, abs=0.12)


def test_these_data_sets_in_one_fold_are_a_plain_t_interval_of_seeds():
    table, _ = held(1, seeds=5)
    differences = held_out(table, FAMILIES, [0] * len(FAMILIES))
    means = table.mean(axis=1)
    told = stats.t.interval(0.95, 4, means.mean(), stats.sem(means))
    assert q.interval_these(differences) == pytest.approx(told)


def test_equally_noisy_folds_lend_each_other_their_freedom_and_a_lone_loud_one_does_not():
    def freedom(*by_fold: float) -> float:
        parts = np.array(by_fold)
        return float(q.run_freedom(Spread(parts, parts.sum(), parts, parts, np.full(4, 4))))

    assert (freedom(1, 1, 1, 1), freedom(4, 0, 0, 0)) == (16, 4)
    assert 4 < freedom(4, 1, 1, 1) < 16


def test_noise_that_runs_share_widens_what_families_alone_would_say():
    quiet, loud = held(2, run=0.0)[1], held(2, run=3.0)[1]
    assert loud.spread.shared > 10 * quiet.spread.shared
    assert loud.spread.new > loud.spread.families


def test_one_seed_tells_nothing_and_few_families_exclude_nothing():
    _, one = held(0, seeds=1)
    assert np.isnan([*q.interval_new(one), *q.interval_these(one), q.sign_flip(one)]).all()
    five = held_out(np.random.default_rng(0).normal(5, 0.1, (3, 5)), range(5), [0] * 5)
    assert q.interval_new(five) == (-np.inf, np.inf)
    assert q.sign_flip(five) >= 2 / 32
    assert np.isfinite(q.interval_these(five)).all()


def test_one_family_cannot_stand_for_others():
    alone = held_out(np.random.default_rng(0).normal(5, 0.1, (3, 4)), "aaaa", [0] * 4)
    assert np.isnan([*q.interval_new(alone), q.sign_flip(alone)]).all()


def test_what_is_the_same_everywhere_is_found_with_no_room():
    same = held_out(np.full((3, 8), 0.5), range(8), [0, 1] * 4)
    assert q.interval_new(same) == (0.5, 0.5) == q.interval_these(same)
    assert q.sign_flip(same) == pytest.approx(2 / 2**8)
    assert q.sign_flip(held_out(np.zeros((3, 8)), range(8), [0, 1] * 4)) == 1.0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_holm_is_the_step_down_rule(p):
    found = q.holm(p)
    for level in (0.01, 0.05, 0.3):
        passed, ordered = set(), sorted(range(len(p)), key=lambda i: p[i])
        for rank, place in enumerate(ordered):
            if p[place] * (len(p) - rank) > level:
                break
            passed.add(place)
        assert {i for i, value in enumerate(found) if value <= level} == passed


def test_holm_leaves_out_what_could_not_be_asked():
    assert q.holm([0.01, float("nan"), 0.04]) == pytest.approx([0.02, np.nan, 0.04], nan_ok=True)


def test_the_floor_of_the_same_arm_twice_by_hand():
    table = np.array([[0.2, 0.4, -0.1], [0.0, -0.2, 0.3]])  # two seeds; folds 0, 0, 1
    floor = q.floor(held_out(table, "abc", [0, 0, 1]))
    # a fold's mean over its data sets is 0.3, -0.1 and -0.1, 0.3: two of three data sets, and one
    parts = [0.3 * 2 / 3 / 2, -0.1 * 2 / 3 / 2, -0.1 / 3 / 2, 0.3 / 3 / 2]
    assert floor == pytest.approx(stats.t.ppf(0.975, 4) * np.sqrt(np.square(parts).sum()))


def test_the_floor_finds_the_noise_that_was_put_in():
    rng = np.random.default_rng(0)

    def noise() -> np.ndarray:
        return 0.02 * rng.standard_normal((30, 4))[:, [0, 1, 2, 3] * 10]

    twice = q.floor(held_out(noise() - noise(), range(40), [0, 1, 2, 3] * 10))
    # 4 folds x 30 seeds of either: the sd of the difference of the two means
    assert twice == pytest.approx(1.98 * 0.02 * (2 / 120) ** 0.5, rel=0.2)


def test_tables_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match=r"\(3, 4\)"):
        Differences(np.zeros((3, 4)), np.zeros(4, np.int64), np.zeros(2, np.int64))
    with pytest.raises(InputError, match="no run"):
        held_out([[1.0, np.nan]], "ab", [0, 0])


def test_the_worst_quarter_is_not_chosen_by_the_luck_of_one_side():
    """Chosen by the base's own loss it would favour every arm: the base was unlucky there."""
    worst = next(outcome for outcome in OUTCOMES if outcome.worst)
    sample, fair, by_base = Sample(TASKS, PLACES, {}), [], []
    for seed in range(60):
        made = Made({"random a": 0.0, "equal": 0.0}, seeds=(seed,), noise=1.0)
        runs = [Run(*(line[k] for k in ("setting", "chosen", "trained", "evaluated", "machine")))
                for line in made.lines()]  # fmt: skip
        suite = Suite(runs, sample)
        pair, whole = paired(suite, "equal", worst), paired(suite, "equal")
        fair.append(pair.differences.mean)
        base, own = (np.nanmean(x, axis=(0, 1)) for x in (whole.against, whole.values))
        chosen = np.argsort(-base)[:6]
        by_base.append(float((own - base)[chosen].mean()))
    error = [np.std(x, ddof=1) / len(x) ** 0.5 for x in (fair, by_base)]
    assert abs(np.mean(fair)) < 3 * error[0]
    assert np.mean(by_base) < -6 * error[1]
