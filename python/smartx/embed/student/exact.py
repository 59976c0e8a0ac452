"""Small dense least squares with the same bits on any number of threads and any processor.

Products are of numbers on a grid, so their sums are exact in every order; the elimination goes
through elementwise operations in one fixed order.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_GRID = 4_096.0  # of the rows: sums of products stay far below 2^53
_TABLE = 2.0**20  # of the map, whose entries are within 2^6 or so
_Reals = NDArray[np.float64]


def least_squares(rows: NDArray[np.float32], targets: NDArray[np.float32], ridge: float) -> _Reals:
    """(k, d) the map B of least |rows @ B - targets|^2 + ridge |B|^2, on a grid of 2^-20.

    rows: (n, k), targets: (n, d), of entries within 1 or so.
    """
    left, right = (np.rint(x.astype(np.float64) * _GRID) for x in (rows, targets))
    gram = left.T @ left + ridge * _GRID * _GRID * np.eye(left.shape[1])
    solved = _solved(gram, left.T @ right)
    return np.rint(solved * _TABLE) / _TABLE


def mapped(rows: NDArray[np.int16], by: _Reals) -> NDArray[np.float32]:
    """The product, exact before it is rounded. rows: (n, k) Q12.  by: of `least_squares`."""
    whole = rows.astype(np.float64) @ (by * _TABLE)
    return (whole / (_GRID * _TABLE)).astype(np.float32)


def _solved(gram: _Reals, right: _Reals) -> _Reals:
    """gram^-1 right of a positive definite matrix, by elimination without pivots."""
    gram, right, n = gram.copy(), right.copy(), len(gram)
    for k in range(n - 1):
        factors = gram[k + 1 :, k] / gram[k, k]
        gram[k + 1 :, k + 1 :] -= factors[:, np.newaxis] * gram[k, k + 1 :]
        right[k + 1 :] -= factors[:, np.newaxis] * right[k]
    for k in range(n - 1, -1, -1):
        right[k] /= gram[k, k]
        right[:k] -= gram[:k, k, np.newaxis] * right[k]
    return right
