"""Greedy orders under functions that are sums over the rows that are covered.

    f(S) = sum over rows u of what S gives to u
What one more row gives to u depends on a state of u alone. So gains are kept up to date by the rows
u whose state changed: of most rows it changes a few times in all, which makes the full order of n
rows about n^2 steps. All numbers are whole, hence exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from smartx.engine import DENSE_BYTES

MOST_ROWS = int((DENSE_BYTES / 4) ** 0.5)  # of a unit: their products of all pairs have room
_BLOCK_ROWS = 4096
_UPDATE_VALUES = 1 << 20  # that are looked at together when states change


def products_of_pairs(vectors: NDArray[np.int16]) -> NDArray[np.int32]:
    """(n, n) int32, products of Q12 rows, negative ones as 0.

    Products are whole numbers up to 2^24 in size, and so is each partial sum: float32 is exact.
    """
    wide = vectors.astype(np.float32)
    found = np.empty((len(wide), len(wide)), dtype=np.int32)
    for start in range(0, len(wide), _BLOCK_ROWS):
        near = wide[start : start + _BLOCK_ROWS] @ wide.T
        found[start : start + _BLOCK_ROWS] = np.maximum(near, 0.0)
    return found


class States(Protocol):
    """What every row has been given so far. Numbers are in the units of the products."""

    def terms(self, near: NDArray[np.int32], rows: NDArray[np.int64]) -> NDArray[np.int32]:
        """(k, n) what each column would give to k rows.  near: (k, n) products with these rows."""

    def add(self, near: NDArray[np.int32]) -> NDArray[np.int64]:
        """Give what a row gives, whose products with all rows are (n,) `near`, and return the rows
        of which `terms` are other ones now: those that are returned may be too many, never too few.
        """

    def will_change(self, near: NDArray[np.int32]) -> NDArray[np.int64]:
        """The rows that `add` would return."""


@dataclass(eq=False)
class Best:
    """Facility location: a row is given the largest product with a chosen row."""

    best: NDArray[np.int32]

    def terms(self, near: NDArray[np.int32], rows: NDArray[np.int64]) -> NDArray[np.int32]:
        """What is above the best so far."""
        return np.asarray(np.maximum(near - self.best[rows, None], 0))

    def will_change(self, near: NDArray[np.int32]) -> NDArray[np.int64]:
        """Rows with a better one now."""
        return np.flatnonzero(near > self.best)

    def add(self, near: NDArray[np.int32]) -> NDArray[np.int64]:
        """The better of the two."""
        changed = self.will_change(near)
        np.maximum(self.best, near, out=self.best)
        return changed


@dataclass(eq=False)
class Room:
    """Saturated coverage: a row is given the sum of its products, until it has enough.

    room: (n,) int64, how much it lacks.  peaks: (n,) int32, its largest product.
    """

    room: NDArray[np.int64]
    peaks: NDArray[np.int32]

    def terms(self, near: NDArray[np.int32], rows: NDArray[np.int64]) -> NDArray[np.int32]:
        """Up to what is lacking."""
        room = np.minimum(self.room[rows], self.peaks[rows]).astype(np.int32)
        return np.minimum(near, room[:, None])

    def will_change(self, near: NDArray[np.int32]) -> NDArray[np.int64]:
        """Rows that will lack less than any one may give."""
        return np.flatnonzero((near > 0) & (self.room > 0) & (self.room - near < self.peaks))

    def add(self, near: NDArray[np.int32]) -> NDArray[np.int64]:
        """Fill the room."""
        changed = self.will_change(near)
        np.maximum(self.room - near, 0, out=self.room)
        return changed


class Covering:
    """The gains of all rows, while rows are added one by one.

    near: (n, n) int32, symmetric, at least 0.  gains: (n,) int64 of adding each row.
    """

    def __init__(self, near: NDArray[np.int32], states: States) -> None:
        self.near, self.states = near, states
        self.gains = np.zeros(len(near), dtype=np.int64)
        self._count(np.arange(len(near)), 1)

    def add(self, row: int) -> None:
        """The row is chosen: all gains become those that come after it."""
        column = self.near[row]
        changed = self.states.will_change(column)
        self._count(changed, -1)
        self.states.add(column)
        self._count(changed, 1)

    def _count(self, rows: NDArray[np.int64], sign: int) -> None:
        step = max(1, _UPDATE_VALUES // max(1, len(self.near)))
        for start in range(0, len(rows), step):
            some = rows[start : start + step]
            terms = self.states.terms(self.near[some], some)
            self.gains += sign * terms.sum(axis=0, dtype=np.int64)
