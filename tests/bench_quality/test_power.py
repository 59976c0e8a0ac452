"""Power: the design that was measured comes out as measured, others as the formulas say."""

from __future__ import annotations

import numpy as np
import pytest
from quality.differences import held_out
from quality.power import Parts, parts_of
from quality.simulate import CASES, FOLDS, experiments

PARTS = Parts(families=4.0, cells=0.5, shared=1.0, seeds=5, sets=36, relatives=18.0, folds=4.0)


def one_contrast(seeds: int = 3):
    rng = np.random.default_rng(4)
    folds = [0, 1, 2, 3] * 6
    table = rng.standard_normal(24) + rng.standard_normal((seeds, 4))[:, folds]
    return held_out(table + 0.2 * rng.standard_normal((seeds, 24)), range(24), folds)


def test_the_design_that_was_measured_has_the_error_that_was_measured():
    contrast = one_contrast()
    parts = parts_of([contrast])
    assert (parts.seeds, parts.sets, parts.relatives) == (3, 24, pytest.approx(24))
    assert parts.error(3, new=True) == pytest.approx(contrast.spread.new**0.5)
    assert parts.error(3, new=False) == pytest.approx(contrast.spread.runs**0.5)


def test_seeds_shrink_what_runs_do_and_data_sets_what_families_do():
    assert PARTS.error(5, new=True) == pytest.approx(5.5**0.5)
    assert PARTS.error(10, new=True) == pytest.approx((4 + 0.75) ** 0.5)
    assert PARTS.error(5, 72, new=True) == pytest.approx((2 + 0.25 + 1) ** 0.5)
    assert PARTS.error(10, 72, new=False) == pytest.approx((0.125 + 0.5) ** 0.5)
    assert PARTS.error(10**9, new=True) == pytest.approx(2.0)


def test_of_families_alone_it_is_the_power_of_a_t_test():
    """80 % power of a two-sided t test of 20 at 5 %: an effect of .660 standard deviations."""
    alone = Parts(1 / 20, 0.0, 0.0, 5, 20, 20.0, 4.0)
    assert alone.smallest(5, new=True) == pytest.approx(0.660, abs=0.001)
    assert alone.smallest(5, 80, new=True) == pytest.approx(0.317, abs=0.001)  # of 80


@pytest.mark.parametrize("new", [True, False])
def test_the_smallest_effect_is_seen_in_80_of_100_and_holm_asks_for_more(new):
    for tests in (1, 7):
        smallest = PARTS.smallest(5, new=new, tests=tests)
        assert PARTS.power(smallest, 5, new=new, tests=tests) == pytest.approx(0.8, abs=1e-4)
        assert PARTS.power(-smallest, 5, new=new, tests=tests) == pytest.approx(0.8, abs=1e-4)
    assert PARTS.smallest(5, new=new, tests=7) > 1.1 * PARTS.smallest(5, new=new)
    assert PARTS.smallest(3, new=new) > PARTS.smallest(5, new=new)
    assert PARTS.power(0.0, 5, new=new) == pytest.approx(0.05)
    assert PARTS.power(1e3, 5, new=new) == 1.0


def test_one_seed_sees_nothing():
    assert PARTS.smallest(1, new=True) == float("inf")
    assert PARTS.power(100.0, 1, new=False) == 0.0
    assert np.isnan(parts_of([one_contrast(seeds=1)]).error(3, new=True))


def test_parts_that_were_put_in_are_found():
    case = next(case for case in CASES if case.name == "pilot, small spread" and case.seeds == 5)
    many, _ = experiments(case, np.random.default_rng(0), 0.0, 400)
    parts = parts_of([many])
    weight = np.array(case.sizes) / sum(case.sizes)
    families = case.family**2 * (weight**2).sum() + case.data_set**2 / sum(case.sizes)
    runs = case.run**2 / FOLDS / case.seeds + case.cell**2 / sum(case.sizes) / case.seeds
    assert parts.error(5, new=True) ** 2 == pytest.approx(families + runs, rel=0.1)
    assert parts.error(5, new=False) ** 2 == pytest.approx(runs, rel=0.1)
    assert parts.families == pytest.approx(families, rel=0.1)
