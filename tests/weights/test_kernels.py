"""Whitened similarities of tasks against their definition by libraries."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.covariance import oas

from smartx.engine import FacilityLocation
from smartx.weights import Ground, ScaleFree, exact_kernel


def means_of(tasks, dimensions, seed=0):
    rng = np.random.default_rng(seed)
    stretched = rng.normal(size=(tasks, dimensions)) * np.geomspace(1, 0.05, dimensions)
    return stretched + 2 * rng.normal(size=dimensions)


def plain(means):
    rows = means / np.linalg.norm(means, axis=1, keepdims=True)
    rows = rows - rows.mean(axis=0)
    covariance, _ = oas(rows, assume_centered=True)
    values, vectors = np.linalg.eigh(covariance)
    rows = rows @ (vectors / np.sqrt(values)) @ vectors.T
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows @ rows.T


@pytest.mark.parametrize(("tasks", "dimensions"), [(3, 40), (37, 20), (200, 12), (1, 4), (2, 4)])
def test_whitened_rows_are_multiplied_by_the_root_of_a_shrunk_covariance(tasks, dimensions):
    means = means_of(tasks, dimensions)
    kernel = exact_kernel(means, whitened=True)
    if tasks > 1:
        np.testing.assert_allclose(kernel, plain(means), atol=2e-5)
    assert (np.diagonal(kernel) == 1).all()
    assert (kernel * 2.0**32 == np.round(kernel * 2.0**32)).all()


def test_whitening_takes_the_widest_direction_its_weight():
    """Tasks that differ in many ways, and by far the most in one: without it that one decides."""
    rng = np.random.default_rng(1)
    means = rng.normal(size=(400, 6)) + 9
    means[:, 0] += rng.choice([-6.0, 6.0], size=400)
    side = np.sign(means[:, 0] - 9)
    same = np.equal.outer(side, side) & ~np.eye(400, dtype=bool)
    other = ~np.equal.outer(side, side)
    apart = {
        form: kernel[same].mean() - kernel[other].mean()
        for form, kernel in (
            ("centred", exact_kernel(means, centred=True)),
            ("whitened", exact_kernel(means, whitened=True)),
        )
    }
    assert apart["whitened"] < 0.5 * apart["centred"]


def test_equal_tasks_tie_whatever_stands_beside_them():
    means = means_of(23, 16)
    means[[5, 11, 19]] = means[2]
    kernel = exact_kernel(means, whitened=True)
    for twin in (5, 11, 19):
        assert kernel[twin].tobytes() != kernel[3].tobytes()
        assert (
            np.delete(kernel[twin], [2, twin]).tobytes()
            == np.delete(kernel[2], [2, twin]).tobytes()
        )


def test_tasks_that_are_all_equal_are_near_to_none():
    kernel = exact_kernel(np.ones((4, 5)), whitened=True)
    assert kernel.tolist() == np.eye(4).tolist()


def test_a_law_takes_it_by_name():
    rows = np.full(30, 9)
    means = means_of(30, 8)
    ground = Ground([("s", f"t{i}") for i in range(30)], np.arange(30) * 9, rows, means, 0)
    order = ScaleFree(FacilityLocation(), 9, kernel="whitened").shares(ground, 20).order
    kernel, chosen, best = plain(means), [], np.zeros(30)
    for _ in range(9):
        gains = np.maximum(kernel - best, 0).sum(axis=1)
        gains[chosen] = -1
        chosen.append(int(gains.argmax()))
        best = np.maximum(best, kernel[chosen[-1]])
    assert order.tolist() == chosen
