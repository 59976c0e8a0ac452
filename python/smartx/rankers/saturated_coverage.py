"""Greedy order by saturated coverage: every row is covered by sums, until it has enough.

    f(S) = sum over i in V of min(sum over j in S of s_ij, alpha times sum over j in V of s_ij)
s: cosines, negative ones as 0; V: the rows of a unit.
Source: Lin and Bilmes 2011 (A class of submodular functions for document summarization, eq. 6); the
values that apricot gives to SaturatedCoverageSelection.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from smartx.engine import NOMINAL, SCALE, Speed
from smartx.options import number
from smartx.rankers.covering import MOST_ROWS, Covering, Room, products_of_pairs
from smartx.rankers.one_by_one import check_rows, one_by_one, trained_of
from smartx.rankers.pool import Pool
from smartx.rankers.ranker import Order, Ranker


@dataclass(frozen=True)
class SaturatedCoverageRanker(Ranker):
    """By how well the first rows cover their unit in sum, a row counting until it has enough.

    alpha: a row has enough when it has this share of what all rows together would give it. With 1
    none ever has before all are chosen: the order is that of centrality.
    After about alpha n rows all have enough and no gain is left. Published greedy takes any then;
    here coverage begins anew among the rows that are left, and so on, while gains stay 0.
    Rows that a model was trained on have given what they give, and come first with a gain of 0.
    Units above MOST_ROWS rows are refused: the products of all pairs are held.
    """

    alpha: Annotated[float, number(0, 1, above=True)] = 0.1

    name: ClassVar[str] = "saturated-coverage"

    def seconds(
        self, sizes: NDArray[np.int64], dimensions: int, speed: Speed = NOMINAL
    ) -> NDArray[np.float64]:
        """Products of all pairs, and some looks at each in every round."""
        pairs = sizes.astype(np.float64) ** 2
        looks = (2e-8 * min(50.0, 1 / self.alpha) + 5e-9) * pairs + 5e-5 * sizes
        return np.asarray(pairs * dimensions / speed.products + looks / speed.greedy + 1e-5)

    def memory(self, sizes: NDArray[np.int64], dimensions: int, threads: int) -> int:
        """The products, and what is put together of them at a time."""
        rows = min(int(sizes.max(initial=0)), MOST_ROWS)
        return rows * (4 * rows + 4 * max(1, dimensions) + 16_384 + 100) + (1 << 24)

    def rank(self, pool: Pool, *, threads: int) -> Order:
        """Each unit by itself. Gains are in units of cosines."""

        def ranked(part: slice) -> Order:
            check_rows(part.stop - part.start, MOST_ROWS, self.name)
            near = products_of_pairs(pool.vectors[part])
            return saturated(near, self.alpha, trained_of(pool, part))

        return one_by_one(pool, ranked)


def saturated(near: NDArray[np.int32], alpha: float, trained: NDArray[np.int64]) -> Order:
    """Greedy over a matrix of products, round after round."""
    enough = np.maximum(1, np.floor(alpha * near.sum(axis=1, dtype=np.int64))).astype(np.int64)
    peaks = near.max(axis=1)
    covering = Covering(near, Room(enough.copy(), peaks))
    for row in trained.tolist():
        covering.add(row)
    left = np.ones(len(near), dtype=np.bool_)
    left[trained] = False
    order, gains = trained.tolist(), [0.0] * len(trained)
    in_first = True
    while left.any():
        row = _best(covering.gains, left)
        if covering.gains[row] <= 0:  # all that is left has enough of everything
            in_first = False
            covering = Covering(near, Room(enough.copy(), peaks))
            row = _best(covering.gains, left)
        order.append(row)
        gains.append(float(covering.gains[row]) if in_first else 0.0)
        left[row] = False
        covering.add(row)
    return np.array(order, dtype=np.int32), np.array(gains) / (SCALE * SCALE)


def _best(gains: NDArray[np.int64], left: NDArray[np.bool_]) -> int:
    return int(np.where(left, gains, -1).argmax())
