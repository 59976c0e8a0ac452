"""Intervals and test keep their word on simulated runs; forms that forget runs or families do not.

The whole table is `python bench/quality/simulate.py`; here are few cases and few experiments, so
what is allowed is the tolerance and two Monte Carlo standard errors.
"""

from __future__ import annotations

import sys

import numpy as np
import pytest
from quality import bootstraps, simulate, statistics

CASES = {f"{case.name}, {case.seeds} seeds": case for case in simulate.CASES}
SMALL = ("only runs differ, 3 seeds", "pilot, families of T0, 3 seeds", "BIG-bench, 3 seeds")


@pytest.mark.parametrize("name", SMALL)
def test_intervals_cover_and_the_test_errs_as_often_as_they_say(name):
    found = simulate.rates(CASES[name], times=400, draws=199, seed=1)
    for (rate, _), nominal in ((found.new, 95), (found.these, 95), (found.false, 5)):
        assert abs(rate - nominal) <= simulate.NEAR + 2 * 100 * (0.05 * 0.95 / 400) ** 0.5
    assert found.any[0] <= 5 + simulate.NEAR + 2 * 100 * (0.05 * 0.95 / 100) ** 0.5
    assert found.seen[0] == pytest.approx(found.told, abs=12)


def test_a_bootstrap_of_rows_and_flips_of_families_alone_fail():
    case, rng = CASES["only runs differ, 5 seeds"], np.random.default_rng(0)
    many, _ = simulate.experiments(case, rng, 0.0, 200)
    p = bootstraps.families_alone(many, draws=199, seed=0)
    assert np.mean(p <= 0.05) > 0.15
    each = [bootstraps.rows(one, draws=199, seed=0) for one in simulate.first(many, 60)]
    assert np.mean([low <= 0 <= high for low, high in each]) < 0.85
    low, high = statistics.intervals_new(many, draws=199)
    assert np.mean((low <= 0) & (high >= 0)) > 0.9


def test_of_independent_rows_the_bootstrap_of_rows_holds():
    """What fails above is what it assumes, not how it is done."""
    case = simulate.Case("rows", (1,) * 36, 5, 0, 0, 0, 1.0)
    many, _ = simulate.experiments(case, np.random.default_rng(0), 0.0, 100)
    each = [bootstraps.rows(one, draws=199, seed=0) for one in simulate.first(many, 100)]
    assert 0.88 < np.mean([low <= 0 <= high for low, high in each]) < 0.99


def test_the_hierarchy_counts_what_varies_at_every_level_again():
    case = CASES["pilot, small spread, 5 seeds"]
    many, _ = simulate.experiments(case, np.random.default_rng(0), 0.0, 30)
    wider = []
    for one in simulate.first(many, 30):
        low, high = bootstraps.hierarchy(one, draws=199, seed=0)
        wider.append((high - low) / 3.92 / one.spread.new**0.5)
    assert 1.05 < np.median(wider) < 1.6


def test_experiments_have_the_layout_and_the_effect_of_their_case():
    case = CASES["pilot, families of T0, 3 seeds"]
    many, true = simulate.experiments(case, np.random.default_rng(0), -5.0, 6, arms=2)
    assert many.values.shape == (6, 2, 12, 36)
    assert np.isnan(many.values).mean() == pytest.approx(0.75)
    assert many.means.shape == true.shape == (6, 2)
    assert many.means == pytest.approx(true, abs=3)
    assert true.mean() == pytest.approx(-5, abs=1)
    for family in range(many.families.max() + 1):  # kept together
        own = ~np.isnan(many.values[0, 0][:, many.families == family])
        assert (own == own[:, :1]).all()


@pytest.mark.parametrize(("near", "status"), [(-1.0, 1), (50.0, 0)])
def test_the_command_fails_where_a_rate_is_too_far_off(near, status, monkeypatch, capsys):
    monkeypatch.setattr(simulate, "NEAR", near)
    monkeypatch.setattr(simulate, "CASES", (CASES["only runs differ, 3 seeds"],))
    monkeypatch.setattr(sys, "argv", ["simulate.py", "--times", "40", "--draws", "99"])
    assert simulate.main() == status
    printed = capsys.readouterr().out
    assert "only runs differ" in printed
    assert ("holds" in printed) is (status == 0)
