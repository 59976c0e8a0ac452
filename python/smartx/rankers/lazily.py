"""Greedy in whose every step few rows are looked at: gains only shrink, so that what was known of a
row before bounds what it adds now.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from smartx.rankers.ranker import Order

_TOGETHER = 32  # rows whose bounds are renewed at once; twice as many each time in one step


def lazily(
    count: int,
    gains_of: Callable[[NDArray[np.int64]], NDArray[np.float64]],
    add: Callable[[int], None],
    first: NDArray[np.int64],
) -> Order:
    """The order that naive greedy finds: in each step the largest gain, ties to the lower row.

    gains_of: (k,) float64 of some rows, given those that were added; what it says of a row must not
    depend on which others are asked for.  add: a row is chosen.
    first: rows that are chosen from the start, with a gain of 0.
    """
    order, gains = first.tolist(), [0.0] * len(first)
    for row in order:
        add(row)
    bounds = gains_of(np.arange(count))
    bounds[first] = -np.inf
    while len(order) < count:
        row = _largest(bounds, gains_of) if len(order) > len(first) else int(bounds.argmax())
        order.append(row)
        gains.append(float(bounds[row]))
        bounds[row] = -np.inf
        add(row)
    return np.array(order, dtype=np.int32), np.array(gains)


def _largest(
    bounds: NDArray[np.float64], gains_of: Callable[[NDArray[np.int64]], NDArray[np.float64]]
) -> int:
    """The row with the largest gain; bounds that are looked at become gains."""
    stale, together = bounds.copy(), _TOGETHER
    while True:
        row = int(bounds.argmax())  # the lowest of equal ones
        if stale[row] == -np.inf:
            return row
        if together < len(bounds):
            rows = np.argpartition(stale, len(stale) - together)[len(stale) - together :]
            rows = rows[stale[rows] > -np.inf]
            rows = np.union1d(rows, row)
        else:
            rows = np.flatnonzero(stale > -np.inf)
        bounds[rows] = gains_of(rows)
        stale[rows] = -np.inf
        together *= 2
