"""The log-linear surface against plain Bayesian regression, and against the truth."""

from dataclasses import replace

import numpy as np
import pytest

from smartx.swarm.log_linear import RIDGES, _column, _loss, _with_ones, fit_log_linear
from swarm_responses import log_linear, measured, swarm_of


def standing(units=6, count=20, seed=0):
    """Columns and a target of mean 0 and variance 1."""
    shares = swarm_of(np.full(units, 1 / units), count, seed)
    centre = shares.mean(axis=0)
    unit = np.sqrt(((shares - centre) ** 2).sum(axis=1).mean())
    target = measured(log_linear(units, seed), shares, 0.3, seed)
    return _with_ones((shares - centre) / unit), (target - target.mean()) / target.std()


def test_without_a_bend_it_is_ridge_regression_and_the_evidence_is_that_of_its_marginal():
    """y ~ t with the covariance I + Z Z' / ridge, and a flat prior of the intercept."""
    design, target = standing()
    ridges = np.array([0.01, 0.3, 3.0])
    nodes, expected = _column(design, target, 0.0, ridges), []
    for node, ridge in zip(nodes, ridges, strict=True):
        rows = np.vstack([design, np.sqrt(ridge) * np.eye(design.shape[1])[1:]])
        padded = np.append(target, np.zeros(design.shape[1] - 1))
        assert node.best == pytest.approx(np.linalg.lstsq(rows, padded, rcond=None)[0], abs=1e-6)
        columns, ones = design[:, 1:], np.ones(len(target))
        inverse = np.linalg.inv(np.eye(len(target)) + columns @ columns.T / ridge)
        of_ones = ones @ inverse @ ones
        rest = target - (ones @ inverse @ target) / of_ones
        lost = rest @ inverse @ rest
        assert node.scale == pytest.approx(lost / (len(target) - 1), rel=1e-5)
        expected.append(
            0.5 * np.linalg.slogdet(inverse)[1]
            - 0.5 * np.log(of_ones)
            - 0.5 * (len(target) - 1) * np.log(lost)
        )
    found = [node.evidence for node in nodes]
    assert np.diff(found) == pytest.approx(np.diff(expected), abs=1e-4)


@pytest.mark.parametrize("bend", [-0.6, 0.4, 1.2])
def test_with_a_bend_no_step_from_the_best_goes_down(bend):
    design, target = standing()
    (node,) = _column(design, target, bend, np.array([0.1]))
    stiff = np.append(1e-9, np.full(design.shape[1] - 1, 0.1))
    least = _loss(design, target, bend, stiff, node.best)
    for step in 1e-3 * np.vstack([np.eye(design.shape[1]), -np.eye(design.shape[1])]):
        assert _loss(design, target, bend, stiff, node.best + step) >= least - 1e-9


def test_runs_without_noise_give_the_response_itself_far_from_them_too():
    response = log_linear(5, 3)
    shares = swarm_of(np.full(5, 0.2), 40, 1)
    surface = fit_log_linear(shares, response(shares))
    corners = 0.5 * np.full((5, 5), 0.2) + 0.5 * np.eye(5)
    spread = response(shares).std()
    assert surface.mean(corners) == pytest.approx(response(corners), abs=0.03 * spread)


@pytest.mark.parametrize("noise", [0.1, 0.5])
def test_intervals_cover_responses_and_runs_at_their_level(noise):
    """12 tasks and 24 runs: the mean over 40 truths, whose standard error is about .01."""
    prior, truths, runs = np.full(12, 1 / 12), [], []
    for seed in range(40):
        response = log_linear(12, seed)
        shares = swarm_of(prior, 24, seed)
        asked = swarm_of(prior, 60, 1000 + seed)
        surface = fit_log_linear(shares, measured(response, shares, noise, seed))
        said, truth = surface.predict(asked), response(asked)
        low, high = said.interval(0.9)
        truths.append(((low <= truth) & (truth <= high)).mean())
        new = truth + noise * response(shares).std() * np.random.default_rng(seed + 99).normal(
            size=60
        )
        low, high = said.interval(0.9, of_run=True)
        runs.append(((low <= new) & (new <= high)).mean())
    assert np.mean(truths) == pytest.approx(0.9, abs=0.045)
    assert np.mean(runs) == pytest.approx(0.9, abs=0.045)


def test_with_more_tasks_than_runs_what_no_run_varied_is_as_uncertain_as_before():
    """Against the posterior of all p slopes, without a basis, at k = 0."""
    shares = swarm_of(np.full(30, 1 / 30), 12, 0)
    metric = measured(log_linear(30, 0), shares, 0.3, 0)
    surface = fit_log_linear(shares, metric)
    assert surface.basis.shape == (30, 11)
    rows = (shares - surface.centre) / surface.unit
    asked = swarm_of(np.full(30, 1 / 30), 4, 5)
    for node in surface.nodes[:3]:
        inner = _with_ones(rows) @ np.append(node.best[0], surface.basis @ node.best[1:])
        slopes = np.exp(node.bend * inner)[:, None] * _with_ones(rows)
        stiff = np.append(1e-9, np.full(30, node.ridge))
        covariance = node.scale * np.linalg.inv(slopes.T @ slopes + np.diag(stiff))
        one = replace(surface, nodes=(node,), weights=np.ones(1), size=1.0)
        for base in (None, asked[3]):
            columns = _with_ones((asked - surface.centre) / surface.unit)
            at = columns @ np.append(node.best[0], surface.basis @ node.best[1:])
            columns = np.exp(node.bend * at)[:, None] * columns
            columns = columns if base is None else columns - columns[3]
            said = one.predict(asked) if base is None else one.difference(asked, base)
            slow = np.sqrt(np.einsum("ij,jk,ik->i", columns, covariance, columns))
            assert said.spread == pytest.approx(slow, rel=1e-5, abs=1e-7)


def test_every_ridge_of_the_grid_is_fitted_where_nothing_is_known():
    """Pure noise: the evidence does not choose, and nothing is infinite."""
    shares = swarm_of(np.full(4, 0.25), 12, 0)
    surface = fit_log_linear(shares, np.random.default_rng(0).normal(size=12))
    assert np.isfinite(surface.predict(shares).spread).all()
    assert surface.weights.sum() == pytest.approx(1)
    assert len(surface.nodes) > len(RIDGES)
