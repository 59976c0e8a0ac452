"""Designs: shares that sum to 1 around a prior, drawn by number, within caps."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smartx.draws import SWARM, draws
from smartx.errors import InputError
from smartx.swarm.designs import dirichlet, divergence, leave_one_out, scale_one

priors = (
    st.lists(st.integers(0, 9), min_size=2, max_size=9)
    .filter(lambda parts: sum(part > 0 for part in parts) >= 2)
    .map(lambda parts: np.array(parts, dtype=float) / sum(parts))
)


@given(priors, st.sampled_from([0.5, 5.0, 500.0]), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_mixtures_sum_to_1_and_give_nothing_to_what_has_nothing(prior, concentration, seed):
    for design in (
        dirichlet(prior, 5, concentration=concentration, seed=seed),
        leave_one_out(prior),
        scale_one(prior, 0.5),
    ):
        assert np.abs(design.sum(axis=1) - 1).max() < 1e-7
        assert (design >= 0).all()
        assert not design[:, prior == 0].any()


def test_a_larger_swarm_begins_with_the_smaller_one():
    prior = np.full(5, 0.2)
    small = dirichlet(prior, 3, concentration=5, seed=7)
    assert np.array_equal(dirichlet(prior, 9, concentration=5, seed=7)[:3], small)
    assert not np.array_equal(dirichlet(prior, 3, concentration=5, seed=8), small)


def test_draws_have_the_mean_and_the_variance_of_a_dirichlet_distribution():
    prior, concentration = np.array([0.5, 0.3, 0.15, 0.05]), 6.0
    found = dirichlet(prior, 4000, concentration=concentration, seed=1)
    deviation = np.sqrt(prior * (1 - prior) / (concentration + 1))
    assert np.abs(found.mean(axis=0) - prior).max() < 4 * deviation.max() / math.sqrt(4000)
    assert found.std(axis=0) == pytest.approx(deviation, rel=0.06)


def test_two_equal_parts_are_gamma_variates_by_inverse_distribution_function():
    """Shape 1 is the exponential distribution: a variate of shape 2 times a uniform number."""
    from scipy.stats import gamma

    numbers = ((draws(3, SWARM, 0, 4) >> np.uint64(11)).astype(float) + 0.5) / 2**53
    sizes = gamma.ppf(numbers[[0, 2]], 2) * numbers[[1, 3]]
    found = dirichlet(np.array([0.5, 0.5]), 1, concentration=2, seed=3)[0]
    assert found == pytest.approx(sizes / sizes.sum(), abs=1e-8)


def test_tiny_parts_are_drawn_though_their_variates_are_smaller_than_float64():
    prior = np.array([1 - 3e-5, 1e-5, 1e-5, 1e-5])
    found = dirichlet(prior, 50, concentration=1e-2, seed=0)
    assert np.isfinite(found).all()
    assert np.abs(found.sum(axis=1) - 1).max() < 1e-7


def test_draws_above_a_cap_are_drawn_again_and_others_stay():
    prior, caps = np.full(4, 0.25), np.full(4, 0.5)
    free = dirichlet(prior, 40, concentration=4, seed=2)
    capped = dirichlet(prior, 40, concentration=4, caps=caps, seed=2)
    kept = (free <= caps).all(axis=1)
    assert 0 < kept.sum() < 40
    assert np.array_equal(free[kept], capped[kept])
    assert (capped <= caps).all()


def test_a_cap_that_no_draw_keeps_is_said_with_its_unit():
    """All three caps are the prior's own shares: to keep two of them is to break the third."""
    prior = np.array([0.2, 0.2, 0.6])
    with pytest.raises(InputError, match=r"10,000 draws .* unit \d \(share 0\.") as told:
        dirichlet(prior, 1, concentration=1, caps=prior)
    assert told.value.place == "concentration"


def test_a_prior_above_a_cap_is_refused():
    with pytest.raises(InputError, match=r"0\.6000.*0\.5000"):
        dirichlet(np.array([0.4, 0.6]), 2, concentration=9, caps=np.array([1, 0.5]))


def test_leave_one_out_leaves_out_each_unit_that_has_a_share():
    found = leave_one_out(np.array([0.5, 0.0, 0.25, 0.25]))
    expected = [[0, 0, 0.5, 0.5], [2 / 3, 0, 0, 1 / 3], [2 / 3, 0, 1 / 3, 0]]
    assert found == pytest.approx(np.array(expected), abs=1e-8)


def test_scale_one_keeps_the_ratios_of_all_others():
    found = scale_one(np.array([0.5, 0.3, 0.2]), 1.5)
    assert found[0] == pytest.approx([0.75, 0.15, 0.1], abs=1e-8)
    assert found[2] == pytest.approx([0.4375, 0.2625, 0.3], abs=1e-8)


def test_a_factor_that_leaves_nothing_for_others_is_refused_with_what_goes():
    with pytest.raises(InputError, match=r"at most 1\.98"):
        scale_one(np.array([0.5, 0.5]), 2.0)


def test_one_unit_cannot_be_left_out():
    with pytest.raises(InputError, match="only one unit"):
        leave_one_out(np.array([0.0, 1.0]))


@given(priors)
@settings(deadline=None)
def test_divergence_is_its_formula(prior):
    shares = dirichlet(prior, 4, concentration=4, seed=0)
    slow = [
        sum(s * math.log(s / p) for s, p in zip(row, prior, strict=True) if s > 0)
        for row in shares.tolist()
    ]
    assert divergence(shares, prior) == pytest.approx(slow, abs=1e-7)


def test_a_share_for_what_has_none_is_infinitely_far():
    assert divergence(np.array([[0.5, 0.5]]), np.array([1.0, 0.0]))[0] == np.inf
