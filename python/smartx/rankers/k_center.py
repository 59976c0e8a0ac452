"""Farthest first: each row as far as can be from all that come before it.

The next row is the one with the largest squared distance to its nearest chosen row. A prefix of k
rows is within twice the smallest radius that k centres can have.
Source: Gonzalez 1985; Sener and Savarese 2018 (Active learning for convolutional neural networks: a
core-set approach), greedy k-center.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from smartx.engine import NOMINAL, SCALE, Speed, sum_rows
from smartx.rankers.one_by_one import one_by_one, trained_of
from smartx.rankers.pool import Pool
from smartx.rankers.ranker import Order, Ranker

_TOGETHER = 64  # candidates whose distances are computed at once
_BLOCK_ROWS = 16_384


@dataclass(frozen=True)
class KCenterRanker(Ranker):
    """The row that is farthest from those before it first; the most central one begins.

    The most central row is that with the largest product with the sum of its unit. Distances are
    those of rows of length 1; each row's gain is its squared distance to those before it, and the
    first one's is 4, as far as rows can be.
    Rows that a model was trained on are centres from the start, and come first with a gain of 0.
    Published: farthest first from any row. Ours: which one.
    """

    name: ClassVar[str] = "k-center"

    def seconds(
        self, sizes: NDArray[np.int64], dimensions: int, speed: Speed = NOMINAL
    ) -> NDArray[np.float64]:
        """All pairs of a unit."""
        pairs = (5e-11 * max(1, dimensions) + 2e-9) * sizes.astype(np.float64) ** 2
        return np.asarray((pairs + 3e-5 * sizes) / speed.greedy + 1e-5, dtype=np.float64)

    def memory(self, sizes: NDArray[np.int64], dimensions: int, threads: int) -> int:
        """The rows as float32, and products of a block of them."""
        rows = int(sizes.max(initial=0))
        return rows * (4 * max(1, dimensions) + 64) + 24 * _TOGETHER * min(rows, _BLOCK_ROWS)

    def rank(self, pool: Pool, *, threads: int) -> Order:
        """Each unit by itself."""

        def ranked(part: slice) -> Order:
            return farthest_first(pool.vectors[part], trained_of(pool, part))

        return one_by_one(pool, ranked)


def most_central(vectors: NDArray[np.int16]) -> int:
    """The row with the largest product with the sum of all; ties go to the lower row.

    Products are whole numbers below 2^53: float64 is exact.
    """
    total = sum_rows(vectors).astype(np.float64)
    best, most = 0, -np.inf
    for start in range(0, len(vectors), _BLOCK_ROWS):
        near = vectors[start : start + _BLOCK_ROWS].astype(np.float64) @ total
        if near.max() > most:
            best, most = start + int(near.argmax()), float(near.max())
    return best


def farthest_first(vectors: NDArray[np.int16], trained: NDArray[np.int64]) -> Order:
    """The order of one unit. Squared distances are whole numbers, so they are exact.

    Distances only shrink, so those that are known bound the true ones. The farthest candidates are
    looked at together, and taken as long as none of the other rows can be farther.
    """
    wide, count = vectors.astype(np.float32), len(vectors)
    norms = np.einsum("ij,ij->i", wide, wide).astype(np.int32)  # at most 2^24: exact
    far = np.full(count, np.iinfo(np.int32).max, dtype=np.int32)
    order, gains = trained.tolist(), [0.0] * len(trained)
    if not order:
        order, gains = [most_central(vectors)], [4 * SCALE * SCALE]
    _see(wide, norms, far, np.array(order))
    while len(order) < count:
        rows, squares = _next(wide, norms, far)
        _see(wide, norms, far, np.array(rows))
        order += rows
        gains += squares
    return np.array(order, dtype=np.int32), np.array(gains) / (SCALE * SCALE)


def _next(
    wide: NDArray[np.float32], norms: NDArray[np.int32], far: NDArray[np.int32]
) -> tuple[list[int], list[float]]:
    """The next rows, at least one, and how far each is."""
    most = min(_TOGETHER, len(far))
    bar = np.partition(far, len(far) - most)[len(far) - most]
    above, level = np.flatnonzero(far > bar), np.flatnonzero(far == bar)
    room = most - len(above)
    rows = np.sort(np.concatenate([above, level[:room]]))
    outside = int(level[room]) if len(level) > room else len(far)
    between = _squares(wide[rows], norms[rows], wide[rows], norms[rows])
    own, taken, squares = far[rows], list[int](), list[float]()
    while True:
        best = int(own.argmax())
        # no other row is farther than the bar, and `outside` is the first that may be so far
        if own[best] < max(0, bar) or (own[best] == bar and rows[best] > outside):
            return taken, squares
        taken.append(int(rows[best]))
        squares.append(float(own[best]))
        own = np.minimum(own, between[best])
        own[best] = -1


def _see(
    wide: NDArray[np.float32],
    norms: NDArray[np.int32],
    far: NDArray[np.int32],
    centres: NDArray[np.int64],
) -> None:
    """Bring distances up to date after these rows became centres, which are at -1 from then on."""
    for start in range(0, len(wide), _BLOCK_ROWS):
        some = slice(start, start + _BLOCK_ROWS)
        for first in range(0, len(centres), _TOGETHER):
            own = centres[first : first + _TOGETHER]
            squares = _squares(wide[own], norms[own], wide[some], norms[some])
            np.minimum(far[some], squares.min(axis=0), out=far[some])  # chosen ones stay at -1
    far[centres] = -1


def _squares(
    left: NDArray[np.float32],
    left_norms: NDArray[np.int32],
    right: NDArray[np.float32],
    right_norms: NDArray[np.int32],
) -> NDArray[np.int32]:
    """Squared distances of all pairs; products up to 2^24 are exact in float32."""
    near = (left @ right.T).astype(np.int32)
    near *= -2
    near += left_norms[:, None]
    near += right_norms
    return np.asarray(near)
