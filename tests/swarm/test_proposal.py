"""Proposals: within caps and bound, and no worse than what a general solver finds there."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from smartx.errors import InputError
from smartx.swarm.designs import dirichlet, divergence
from smartx.swarm.proposal import Limits, drawn_in, propose, tilted, within_caps
from smartx.swarm.surface import Prediction


@dataclass
class Known:
    """A surface that is known exactly."""

    response: object

    def mean(self, shares):
        return self.response(shares)

    def predict(self, shares):
        return Prediction(self.response(shares), np.zeros(len(shares)), 0.0, 9.0)

    difference = None


def solved(response, limits):
    """What SLSQP finds from the prior."""
    size = len(limits.prior)
    return minimize(
        lambda x: float(response(x[None, :])[0]),
        limits.prior,
        method="SLSQP",
        bounds=[(1e-12, cap) for cap in limits.caps],
        constraints=[
            {"type": "eq", "fun": lambda x: x.sum() - 1},
            {"type": "ineq", "fun": lambda x: limits.bound - divergence(x, limits.prior)},
        ],
        options={"maxiter": 1000, "ftol": 1e-12},
    ).x.reshape(size)


limits_of = st.builds(
    lambda parts, bound, cap: Limits(
        np.array(parts) / sum(parts),
        bound,
        np.maximum(cap, 1.05 * np.array(parts) / sum(parts)),
    ),
    st.lists(st.integers(1, 9), min_size=3, max_size=8),
    st.sampled_from([0.01, 0.1, 0.5]),
    st.sampled_from([0.3, 0.5, 1.0]),
)


@given(limits_of, st.integers(0, 999))
@settings(max_examples=40, deadline=None)
def test_the_best_point_of_a_linear_response_is_that_of_a_general_solver(limits, seed):
    slopes = np.random.default_rng(seed).normal(size=len(limits.prior))
    found = tilted(slopes, limits.prior, limits.caps, limits.bound)
    assert found.sum() == pytest.approx(1, abs=1e-9)
    assert (found <= limits.caps + 1e-12).all()
    assert divergence(found, limits.prior) <= limits.bound + 1e-9
    best = solved(lambda x: x @ slopes, limits)
    coldest = 2e-3 * np.ptp(slopes) * divergence(np.maximum(best, 0), limits.prior)
    feasible = abs(best.sum() - 1) < 1e-6 and divergence(best, limits.prior) < limits.bound + 1e-6
    assert not feasible or slopes @ found <= slopes @ best + coldest + 1e-5


@given(limits_of, st.integers(0, 999))
@settings(max_examples=6, deadline=None)
def test_proposals_keep_every_bound_and_are_as_good_as_a_general_solvers(limits, seed):
    rng = np.random.default_rng(seed)
    goal = rng.dirichlet(np.ones(len(limits.prior)))

    def bowl(shares):
        return ((shares - goal) ** 2).sum(axis=1)

    swarm = dirichlet(limits.prior, 8, concentration=9, seed=seed)
    found = propose(Known(bowl), limits, swarm)
    assert found.sum() == pytest.approx(1, abs=1e-7)
    assert (found <= limits.caps + 1e-8).all()
    assert divergence(found, limits.prior) <= limits.bound + 1e-6
    assert bowl(found[None])[0] <= bowl(solved(bowl, limits)[None])[0] + 1e-4
    worst = propose(Known(bowl), limits, swarm, worst=True)
    assert bowl(worst[None])[0] >= bowl(np.vstack([limits.prior, found])).max() - 1e-9


def test_a_surface_of_steps_is_searched():
    """Nothing can be learned from slopes that are 0."""
    prior = np.full(4, 0.25)
    steps = Known(lambda shares: np.where(shares[:, 2] > 0.35, -1.0, 0.0))
    found = propose(steps, Limits(prior, 0.3, np.ones(4)), prior[None, :])
    assert found[2] > 0.35
    assert divergence(found, prior) <= 0.3


def test_what_has_no_share_gets_none():
    prior = np.array([0.5, 0.0, 0.5])
    wants = Known(lambda shares: -shares[:, 1] + shares[:, 0])
    found = propose(wants, Limits(prior, 0.2, np.ones(3)), prior[None, :])
    assert found[1] == 0
    assert found[0] < 0.4


def test_a_bound_of_nothing_leaves_the_prior():
    prior = np.array([0.2, 0.3, 0.5])
    found = propose(Known(lambda s: s[:, 0]), Limits(prior, 0.0, np.ones(3)), prior[None, :])
    assert found == pytest.approx(prior, abs=1e-8)


def test_a_prior_above_a_cap_moves_to_the_nearest_mixture_that_keeps_it():
    prior, caps = np.array([0.6, 0.2, 0.2]), np.array([0.5, 1.0, 1.0])
    assert within_caps(prior, caps, 1.0) == pytest.approx([0.5, 0.25, 0.25])
    with pytest.raises(InputError, match=r"at least 0\.02"):
        within_caps(prior, caps, 0.01)
    with pytest.raises(InputError, match=r"0\.900 in all"):
        within_caps(prior, np.full(3, 0.3), 1.0)


def test_mixtures_are_moved_to_the_centre_no_further_than_needed():
    prior = np.full(3, 1 / 3)
    limits = Limits(prior, 0.1, np.array([1.0, 1.0, 0.4]))
    starts = np.array([[0.34, 0.33, 0.33], [1.0, 0.0, 0.0], [0.1, 0.1, 0.8]])
    moved = drawn_in(starts, prior, limits)
    assert np.array_equal(moved[0], starts[0])
    assert divergence(moved[1], prior) == pytest.approx(0.1, abs=1e-6)
    assert moved[2, 2] == pytest.approx(0.4, abs=1e-6)
