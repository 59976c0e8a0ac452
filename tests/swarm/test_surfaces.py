"""What every kind of surface keeps to."""

import numpy as np
import pytest

from smartx.swarm.folds import folds_of, mixtures_of
from smartx.swarm.surface import Prediction
from smartx.swarm.validation import MODELS, best_of, noise_floor, validate
from swarm_responses import log_linear, measured, swarm_of

PRIOR = np.full(6, 1 / 6)
SHARES = swarm_of(PRIOR, 30, 0)
METRIC = measured(log_linear(6, 1), SHARES, 0.2, 1)
ASKED = swarm_of(PRIOR, 5, 9)


@pytest.fixture(scope="module", params=MODELS)
def surface(request):
    return MODELS[request.param](SHARES, METRIC)


def test_the_mean_is_that_of_the_prediction_and_a_difference_that_of_two(surface):
    said, base = surface.predict(ASKED), ASKED[2]
    assert surface.mean(ASKED) == pytest.approx(said.mean, abs=1e-9)
    less = surface.difference(ASKED, base)
    assert less.mean == pytest.approx(said.mean - said.mean[2], abs=1e-6)
    assert less.mean[2] == pytest.approx(0, abs=1e-6)


def test_intervals_grow_with_the_level_and_a_run_is_less_certain_than_its_response(surface):
    said = surface.predict(ASKED)
    (low, high), (wide_low, wide_high) = said.interval(0.5), said.interval(0.9)
    assert (wide_low < low).all()
    assert (high < wide_high).all()
    run_low, run_high = said.interval(0.9, of_run=True)
    assert (run_low <= wide_low).all()
    assert (run_high >= wide_high).all()


def test_another_unit_of_the_metric_changes_nothing_else(surface):
    fit = next(fit for fit in MODELS.values() if type(fit(SHARES, METRIC)) is type(surface))
    scaled = fit(SHARES, 100 * METRIC + 7).predict(ASKED)
    said = surface.predict(ASKED)
    tolerance = 0.02 * METRIC.std()
    assert (scaled.mean - 7) / 100 == pytest.approx(said.mean, abs=tolerance)
    assert scaled.spread / 100 == pytest.approx(said.spread, abs=tolerance)


def test_it_says_more_than_the_mean_of_the_swarm(surface):
    truth = log_linear(6, 1)(ASKED)
    rest = surface.mean(ASKED) - truth
    assert (rest**2).mean() < ((METRIC.mean() - truth) ** 2).mean()


def test_what_two_mixtures_share_in_error_cancels():
    """Near mixtures: their difference is known better than either."""
    for name in ("log-linear", "gp"):
        surface = MODELS[name](SHARES, METRIC)
        near = 0.98 * ASKED[:1] + 0.02 * ASKED[1:2]
        assert surface.difference(near, ASKED[0]).spread[0] < 0.5 * surface.predict(near).spread[0]


def test_a_probability_is_that_of_the_students_t_distribution():
    from scipy.stats import t

    said = Prediction(np.array([-1.0, 0.5]), np.array([2.0, 0.5]), 3.0, 7.0)
    assert said.below() == pytest.approx(t.cdf([0.5, -1.0], 7))
    low, high = said.interval(0.8)
    assert high - low == pytest.approx(2 * t.ppf(0.9, 7) * np.array([2.0, 0.5]))
    low, high = said.interval(0.8, of_run=True)
    assert high - low == pytest.approx(2 * t.ppf(0.9, 7) * np.sqrt([4 + 9, 0.25 + 9]))


def test_intervals_of_left_out_errors_are_their_conformal_quantile():
    errors = np.arange(1.0, 10.0)
    said = Prediction(np.zeros(1), np.ones(1), 0.0, 8.0, errors)
    assert said.interval(0.8)[1][0] == 8  # the ceil(.8 * 10)-th of 9
    assert said.interval(0.99)[1][0] == 9


def test_runs_of_one_mixture_are_left_out_together_and_every_run_once():
    shares = np.vstack([SHARES, SHARES[:7]])
    folds = list(folds_of(shares, 5))
    assert (np.array(folds).sum(axis=0) == 1).all()
    for out in folds:
        assert np.array_equal(out[:7], out[30:])
    assert len(list(folds_of(shares[:3], 10))) == 3


def test_numbers_of_mixtures_tell_them_apart():
    found = mixtures_of(np.vstack([SHARES, SHARES[3:5]]))
    assert found[30] == found[3]
    assert found[31] == found[4]
    assert len(set(found.tolist())) == 30


def test_validation_foretells_each_run_without_its_mixture():
    """Against the same by hand: leave out, fit, predict."""
    found = validate("log-linear", SHARES, METRIC, 0.9)
    out = next(folds_of(SHARES, 10))
    by_hand = MODELS["log-linear"](SHARES[~out], METRIC[~out]).mean(SHARES[out])
    assert found.left_out[out] == pytest.approx(by_hand, abs=1e-9)
    assert found.error == pytest.approx(np.sqrt(((found.left_out - METRIC) ** 2).mean()))
    assert 0.5 < found.explained < 1
    assert 0.6 < found.covered <= 1


def test_noise_is_explained_by_nothing():
    noise = np.random.default_rng(5).normal(size=30)
    assert validate("log-linear", SHARES, noise, 0.9).explained < 0.1


def test_the_least_error_is_chosen_and_of_equal_ones_the_simplest():
    good, bad = validate("log-linear", SHARES, METRIC, 0.9), validate("gp", SHARES, METRIC, 0.9)
    assert best_of({"a": good, "b": good}) == "a"
    worse = bad if bad.error > good.error else good
    better = good if worse is bad else bad
    assert best_of({"a": worse, "b": better}) == "b"


def test_the_noise_floor_is_pooled_over_mixtures_that_ran_often():
    from scipy.stats import t

    shares = np.vstack([SHARES[:3], SHARES[:1], SHARES[:1], SHARES[1:2]])
    values = np.array([1.0, 5.0, 9.0, 2.0, 3.0, 6.0])
    found = noise_floor(shares, values)
    assert found.freedom == 3
    assert found.deviation == pytest.approx(np.sqrt((2.0 + 0.5) / 3))
    assert found.least == pytest.approx(t.ppf(0.975, 3) * np.sqrt(2) * found.deviation)
    assert noise_floor(SHARES, METRIC) is None
