"""Similarities of tasks of which sums are exact, so that equal tasks tie on every machine.

The cosine of a task with itself is 1 +- 1e-15 in float64, and sums of cosines depend on their
order: which of two equal tasks is taken first is then decided by rounding, and with it the shares.
Here a unit vector's entries are whole multiples of 2^-25, products of two such vectors are exact in
float64 in any order of summation, and the kernel is rounded to multiples of 2^-32: sums of fewer
than 2^20 entries are exact, too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smartx.engine import DENSE_TASKS
from smartx.errors import ConfigError, InputError

_UNIT, _GRID = 2.0**25, 2.0**32


def exact_kernel(means: NDArray[np.float64], *, centred: bool = False) -> NDArray[np.float64]:
    """(M, M) cosines on the grid, 1 on the diagonal. means: (M, d) float64.

    centred: the mean of the unit vectors is taken away first; what all tasks have in common then
    counts for nothing. A task that is the mean is near to none.
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
    if centred:
        rows = _unit(rows - np.add.accumulate(rows, axis=0)[-1] / len(rows))
    kernel: NDArray[np.float64] = np.round(rows @ rows.T * _GRID) / _GRID
    np.fill_diagonal(kernel, 1.0)
    return kernel


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows of length 1 with entries on the grid; sums run from first to last, on every machine."""
    rows = rows / np.abs(rows).max(axis=1, initial=0.0, keepdims=True).clip(np.finfo(float).tiny)
    lengths = np.sqrt(np.add.accumulate(rows * rows, axis=1)[:, -1:])
    unit: NDArray[np.float64] = np.round(rows / np.maximum(lengths, 1.0) * _UNIT) / _UNIT
    return unit
