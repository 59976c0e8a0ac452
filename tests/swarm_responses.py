"""Swarms with a response that is known."""

import numpy as np

from smartx.swarm.designs import dirichlet


def swarm_of(prior, count, seed):
    shares = dirichlet(prior, count, concentration=float(len(prior)), seed=seed)
    return shares / shares.sum(axis=1, keepdims=True)


def log_linear(units, seed, *, spread=0.5, floor=2.0):
    """c + exp(b + w . shares), of which w . shares varies by `spread` over a swarm of `swarm_of`:
    Dirichlet draws of u equal parts have the covariance (I - 1/u) / (u (u + 1)).
    """
    rng = np.random.default_rng(seed)
    slopes = rng.normal(size=units)
    slopes *= spread * np.sqrt(units + 1) / slopes.std()
    height = 0.3 * rng.normal()
    return lambda shares: floor + np.exp(height + (shares - 1 / units) @ slopes)


def measured(response, shares, noise, seed):
    """Runs with noise of `noise` times the spread of the response."""
    truth = response(shares)
    return truth + noise * truth.std() * np.random.default_rng(seed).normal(size=len(truth))
