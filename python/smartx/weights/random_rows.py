"""Random rows: a group's share is what a uniform sample of rows without replacement takes from it.

The draws are those of the random ranker, so with that ranker the mixture is exactly such a sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from smartx.draws import ROW_ORDER, draws
from smartx.weights.law import Ground, Shares, Unit, WeightLaw


@dataclass(frozen=True)
class RandomRows(WeightLaw):
    """How many of the `total` lowest draws over all rows fall into each group."""

    name: ClassVar[str] = "random-rows"
    unit: ClassVar[Unit] = "group"
    samples_rows: ClassVar[bool] = True

    def shares(self, ground: Ground, total: int) -> Shares:
        """The groups that the sample touches, with its rows of each; ties go to the lower row."""
        stop = int(ground.start[-1] + ground.rows[-1]) if len(ground.names) else 0
        counts = _lowest_in_each(draws(ground.seed, ROW_ORDER, 0, stop), total, ground)
        order = np.flatnonzero(counts).astype(np.int64)
        return Shares(order, counts[order].astype(np.float64))


def _lowest_in_each(keys: np.ndarray, total: int, ground: Ground) -> np.ndarray:
    if total >= len(keys):
        return ground.rows
    if total == 0:
        return np.zeros_like(ground.rows)
    last = np.partition(keys, total - 1)[total - 1]
    taken = keys < last
    equal = np.flatnonzero(keys == last)
    taken[equal[: total - int(np.count_nonzero(taken))]] = True
    before = np.concatenate([[0], np.cumsum(taken, dtype=np.int64)])
    return np.asarray(before[ground.start + ground.rows] - before[ground.start])
