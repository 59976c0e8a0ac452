"""Fits: what is said of a swarm, in both directions of a metric; what cannot be fitted."""

import numpy as np
import pytest

from smartx.errors import InputError
from smartx.swarm.designs import divergence
from smartx.swarm.fit import POINT, Asked, fit_swarm
from swarm_responses import log_linear, measured, swarm_of

PRIOR, CAPS = np.full(6, 1 / 6), np.full(6, 0.6)
SHARES = swarm_of(PRIOR, 30, 0)
RESPONSE = log_linear(6, 1)
LOSS = measured(RESPONSE, SHARES, 0.2, 1)
LINEAR = Asked(lower_is_better=True, model="log-linear")


@pytest.fixture(scope="module")
def found():
    return fit_swarm(SHARES, LOSS, PRIOR, CAPS, LINEAR)


def test_the_proposal_keeps_caps_and_bound_and_is_better_than_every_mixture_of_the_swarm(found):
    shares = found.proposal.shares
    assert found.bound == pytest.approx(np.median(divergence(SHARES, PRIOR)))
    assert (shares <= CAPS + 1e-8).all()
    assert found.proposal.kl <= found.bound + 1e-6
    near = SHARES[divergence(SHARES, PRIOR) <= found.bound]
    assert RESPONSE(shares[None])[0] < RESPONSE(near).min()
    assert RESPONSE(found.worst.shares[None])[0] > RESPONSE(near).max()
    assert found.worst.kl <= found.bound + 1e-6


def test_what_is_said_of_the_proposal_is_what_the_surface_says(found):
    said = found.surface.predict(found.proposal.shares[None])
    low, high = said.interval(0.9)
    told = found.proposal.foretold
    assert (told.value, told.low, told.high) == pytest.approx((said.mean[0], low[0], high[0]))
    assert told.run_low < told.low < told.value < told.high < told.run_high
    assert found.gain_over_prior.value == pytest.approx(found.prior.foretold.value - told.value)
    assert found.gain_over_prior.chance > 0.95
    assert found.gain_over_prior.low < found.gain_over_prior.value < found.gain_over_prior.high


def test_an_effect_is_the_gain_of_one_point_more_at_the_cost_of_all_others(found):
    for unit, gain in enumerate(found.effects):
        moved = PRIOR * (1 - POINT / (1 - PRIOR[unit]))
        moved[unit] = PRIOR[unit] + POINT
        assert moved.sum() == pytest.approx(1)
        less = found.surface.difference(moved[None], PRIOR)
        assert gain.value == pytest.approx(-less.mean[0], abs=1e-12)
        assert gain.low <= gain.value <= gain.high


def test_a_metric_and_its_opposite_say_the_same_of_mixtures(found):
    mirrored = fit_swarm(SHARES, -LOSS, PRIOR, CAPS, Asked(model="log-linear"))
    assert np.array_equal(mirrored.proposal.shares, found.proposal.shares)
    ours, theirs = found.proposal.foretold, mirrored.proposal.foretold
    assert (theirs.value, theirs.low, theirs.run_high) == pytest.approx(
        (-ours.value, -ours.high, -ours.run_low)
    )
    assert mirrored.gain_over_best == found.gain_over_best
    assert mirrored.effects == found.effects
    assert (mirrored.best, mirrored.poorest) == (found.best, found.poorest)
    assert mirrored.left_out == pytest.approx(-found.left_out)


def test_best_and_poorest_are_mixtures_by_the_mean_of_their_runs():
    """One lucky run of a poor mixture is not the best mixture."""
    shares = np.vstack([SHARES, SHARES[:2]])
    values = np.append(LOSS, LOSS[:2])
    values[0], values[30] = LOSS.min() - 1, LOSS.max() + 2
    found = fit_swarm(shares, values, PRIOR, CAPS, LINEAR)
    assert found.best == int(np.argmin(LOSS[1:])) + 1
    assert found.floor.freedom == 2


def test_auto_tries_every_kind_and_says_the_error_of_each():
    found = fit_swarm(SHARES, LOSS, PRIOR, CAPS, Asked(lower_is_better=True))
    assert set(found.validations) == {"log-linear", "gp", "boosted-trees"}
    least = min(one.error for one in found.validations.values())
    assert found.validations[found.model].error == least


def test_noise_is_called_a_guess():
    noise = np.random.default_rng(4).normal(size=30)
    notes = fit_swarm(SHARES, noise, PRIOR, CAPS, LINEAR).notes
    assert any("no better than a guess" in note for note in notes)


def test_trees_say_what_their_intervals_are_of():
    found = fit_swarm(SHARES, LOSS, PRIOR, CAPS, Asked(lower_is_better=True, model="boosted-trees"))
    assert any("of a measured run" in note for note in found.notes)
    assert found.noise > 0


def with_(array, place, value):
    changed = array.copy()
    changed[place] = value
    return changed


@pytest.mark.parametrize(
    ("shares", "values", "prior", "caps", "place", "words"),
    [
        (SHARES[:5], LOSS[:5], PRIOR, CAPS, "shares", "5 different mixtures"),
        (np.tile(SHARES[:4], (9, 1)), np.arange(36.0), PRIOR, CAPS, "shares", "4 different"),
        (SHARES, np.full(30, 2.5), PRIOR, CAPS, "values", "2.5 for every run"),
        (SHARES, with_(LOSS, 3, np.nan), PRIOR, CAPS, "values", "numbers that are none"),
        (with_(SHARES, (0, 0), -0.1), LOSS, PRIOR, CAPS, "shares", "below 0"),
        (with_(SHARES, (0, 0), 0.9), LOSS, PRIOR, CAPS, "shares", "sum to 1"),
        (SHARES, LOSS[:4], PRIOR, CAPS, "shares", "do not fit"),
        (SHARES, LOSS, PRIOR[:5], CAPS, "prior", "5 entries for 6"),
        (SHARES, LOSS, PRIOR, CAPS / 5, "repetition", "in all"),
        (SHARES, LOSS, np.array([1.0, 0, 0, 0, 0, 0]), CAPS, "prior", "have none"),
    ],
)
def test_what_cannot_be_fitted_is_said(shares, values, prior, caps, place, words):
    with pytest.raises(InputError, match=words) as told:
        fit_swarm(shares, values, prior, caps, LINEAR)
    assert told.value.place == place


@pytest.mark.parametrize(
    ("asked", "place"),
    [({"model": "tree"}, "model"), ({"level": 1.0}, "level"), ({"kl": -1}, "kl")],
)
def test_what_cannot_be_asked_is_said(asked, place):
    with pytest.raises(InputError) as told:
        Asked(**asked)
    assert told.value.place == place
