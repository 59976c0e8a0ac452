"""A picture of vectors in a plane: their two principal components, the same bytes everywhere.

Every sum here is of whole numbers below 2^53, which float64 holds exactly in any order: neither the
number of threads nor the library that multiplies changes a coordinate.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smartx.draws import MAP_START, draws_at

MOST_ROWS = 1 << 19  # above it, sums would not be exact
MOST_DIMENSIONS = 1 << 16
GRID = 4_096  # places of an axis of a picture
_ROUNDS = 20  # of orthogonal iteration
_AXIS, _SHORT, _WIDE = 2.0**14, 2.0**-7, 2.0**18  # length of an axis; scales of what is summed
_Floats = NDArray[np.float64]


def plane(rows: NDArray[np.int16]) -> _Floats:
    """(n, 2) float64 from (n, d) Q12 rows: places along their two principal axes.

    By orthogonal iteration in whole numbers (Golub and Van Loan, 4th edition, 8.2.4): after 20
    rounds the first axis is exact enough for a picture unless two variances are nearly equal, and
    then any axis between them serves as well. The larger half of an axis points up.
    """
    if len(rows) > MOST_ROWS or rows.shape[1] > MOST_DIMENSIONS:
        raise ValueError(f"{rows.shape} rows are more than sums of whole numbers are exact for")
    centred = rows.astype(np.float64)
    centred -= np.rint(centred.sum(axis=0) / max(1, len(rows)))
    first, second = _starts(rows.shape[1])
    for _ in range(_ROUNDS):
        seen = np.rint(centred @ np.stack([first, second], axis=1) * _SHORT)
        moved = centred.T @ seen
        first = _unit(_scaled(moved[:, 0]))
        rest = _scaled(moved[:, 1])
        second = _unit(_scaled(rest - first * ((rest * first).sum() / _AXIS**2)))
    axes = np.stack([_upright(first), _upright(second)], axis=1)
    return np.asarray(centred @ axes)


def on_grid(places: _Floats) -> NDArray[np.uint16]:
    """(n, 2) whole numbers below GRID, both axes to one scale, the picture in the middle."""
    if not len(places):
        return np.zeros((0, 2), dtype=np.uint16)
    low, high = places.min(axis=0), places.max(axis=0)
    span = float((high - low).max()) or 1.0
    inside = ((places - (low + high) / 2) / span + 0.5) * (GRID - 1)
    found: NDArray[np.uint16] = np.clip(np.rint(inside), 0, GRID - 1).astype(np.uint16)
    return found


def _starts(dimensions: int) -> tuple[_Floats, _Floats]:
    """Two vectors of about _AXIS / 2 that no corpus was made to be orthogonal to."""
    drawn = draws_at(0, MAP_START, np.arange(2 * dimensions)) >> np.uint64(52)
    both = drawn.astype(np.float64).reshape(2, dimensions) - 2_048
    return _unit(_scaled(both[0])), _unit(_scaled(both[1]))


def _scaled(vector: _Floats) -> _Floats:
    """Whole numbers of which the largest is 2^18; nothing stays nothing."""
    most = float(np.abs(vector).max(initial=0.0))
    return np.rint(vector * (_WIDE / most)) if most else np.zeros_like(vector)


def _unit(vector: _Floats) -> _Floats:
    """Whole numbers, about _AXIS long. The squares of `_scaled` values sum exactly."""
    length = float(np.sqrt((vector * vector).sum()))
    return np.rint(vector * (_AXIS / length)) if length else vector


def _upright(axis: _Floats) -> _Floats:
    largest = int(np.abs(axis).argmax()) if len(axis) else 0
    return -axis if len(axis) and axis[largest] < 0 else axis
