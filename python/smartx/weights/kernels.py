"""Similarities of tasks of which sums are exact, so that equal tasks tie on every machine.

The cosine of a task with itself is 1 +- 1e-15 in float64, and sums of cosines depend on their
order: which of two equal tasks is taken first is then decided by rounding, and with it the shares.
Here a unit vector's entries are whole multiples of 2^-25, products of two such vectors are exact in
float64 in any order of summation, and the kernel is rounded to multiples of 2^-32: sums of fewer
than 2^20 entries are exact, too.

What all tasks have in common can be taken away first: their mean ("centred"), or also the few
directions in which most of their difference lies ("whitened"): the unit vectors, centred, are
multiplied by S^(-1/2), S their covariance shrunk towards a multiple of the identity by as much as
Chen et al., 2010 (oracle approximating shrinkage) say for so many tasks. Without that, fewer tasks
than dimensions would all be equally far from each other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smartx.engine import DENSE_TASKS
from smartx.errors import ConfigError, InputError

_UNIT, _GRID = 2.0**25, 2.0**32
_COARSE = 2.0**19  # of unit vectors of which products are summed over all tasks
_ROOT = 2.0**24  # of a whitening matrix whose largest stretch is 1


def exact_kernel(
    means: NDArray[np.float64], *, centred: bool = False, whitened: bool = False
) -> NDArray[np.float64]:
    """(M, M) cosines on the grid, 1 on the diagonal. means: (M, d) float64.

    centred: the mean of the unit vectors is taken away first; what all tasks have in common then
    counts for nothing. A task that is the mean is near to none.
    whitened: and then no direction in which tasks differ counts for more than another, as far as
    so many tasks can tell.
    """
    if len(means) > DENSE_TASKS:
        raise ConfigError(
            f"there is room for the kernel of {DENSE_TASKS:,} tasks, and here are {len(means):,}",
            place="kernel",
            fix="leave `kernel` out",
        )
    if not (np.isfinite(means).all() and means.any(axis=1).all()):
        raise InputError("the mean of a task is zero or not finite", place="means")
    rows = _unit(means)
    if centred or whitened:
        rows = rows - np.add.accumulate(rows, axis=0)[-1] / len(rows)
        rows = _unit(_whitened(rows) if whitened else rows)
    kernel: NDArray[np.float64] = np.round(rows @ rows.T * _GRID) / _GRID
    np.fill_diagonal(kernel, 1.0)
    return kernel


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows of length 1 with entries on the grid; sums run from first to last, on every machine."""
    rows = rows / np.abs(rows).max(axis=1, initial=0.0, keepdims=True).clip(np.finfo(float).tiny)
    lengths = np.sqrt(np.add.accumulate(rows * rows, axis=1)[:, -1:])
    unit: NDArray[np.float64] = np.round(rows / np.maximum(lengths, 1.0) * _UNIT) / _UNIT
    return unit


def _whitened(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Centred rows times the inverse root of their shrunk covariance, up to a factor.

    Every product and sum is exact but for the root itself, which is rounded to a grid on which the
    last bits of an eigenvalue do not show.
    """
    covariance = _covariance(rows)
    if not covariance.any():
        return rows
    values, vectors = np.linalg.eigh(covariance)
    root = (vectors * np.sqrt(values[0] / values)) @ vectors.T
    whitened: NDArray[np.float64] = (np.round(rows * _UNIT) / _UNIT) @ (
        np.round(root * _ROOT) / _ROOT
    )
    return whitened


def _covariance(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """(d, d) of (M, d) centred rows, shrunk; positive definite unless all rows are zero."""
    count, d = rows.shape
    coarse = np.round(rows * _COARSE) / _COARSE
    found: NDArray[np.float64] = coarse.T @ coarse / count
    mean = float(np.add.accumulate(np.diagonal(found))[-1]) / d
    square = float(np.add.accumulate(np.add.accumulate(found**2, axis=0)[-1])[-1]) / d**2
    below = (count + 1) * (square - mean**2 / d)
    shrinkage = min(1.0, (square + mean**2) / below) if below > 0 else 1.0
    found *= 1.0 - shrinkage
    found[np.diag_indices(d)] += shrinkage * mean
    return found
