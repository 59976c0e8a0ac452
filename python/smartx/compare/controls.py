"""What chance does: many random choices, so that a number can be compared with them.

Two controls: rows drawn from the whole pool, and rows drawn from each task as many as a strategy
took of it. The second says what the choice inside the tasks adds to the shares.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smartx.draws import BOOTSTRAP, CONTROL, draws, draws_at

RESAMPLES = 2_000
IntVector = NDArray[np.int64]


def random_rows(pool: IntVector, count: int, draw: int, *, seed: int) -> IntVector:
    """`count` of the rows `pool`, rising: those with the lowest numbers in a numbered draw."""
    keys = draws_at(seed, CONTROL + (draw << 8), pool)
    if count >= len(pool):
        return pool
    last = np.partition(keys, count)[count]
    taken = np.flatnonzero(keys < last)
    if len(taken) < count:  # equal draws
        taken = np.sort(np.argsort(keys, kind="stable")[:count])
    chosen: IntVector = pool[taken]
    return chosen


def orders_in_tasks(pool: IntVector, task: IntVector, draw: int, *, seed: int) -> IntVector:
    """(p,) the place of each row of the pool in a random order of the pool's rows of its task.

    pool: row ids.  task: (p,) the task of each, rising. The rows with a place below b are a random
    choice of b of them.
    """
    keys = draws_at(seed, CONTROL + (draw << 8), pool)
    order = np.lexsort((keys, task))
    begins = np.searchsorted(task, task)
    places = np.empty(len(pool), dtype=np.int64)
    places[order] = np.arange(len(pool)) - begins
    return places


@dataclass(frozen=True)
class Chance:
    """Where a value stands among those of random choices.

    mean, deviation: of theirs; the latter with n - 1 in the denominator.
    """

    mean: float
    deviation: float

    def z(self, value: float) -> float | None:
        """How many deviations the value is above the mean; None where they do not differ."""
        return (value - self.mean) / self.deviation if self.deviation > 1e-12 else None


def chance(values: NDArray[np.float64]) -> Chance:
    """values: (r,) of r >= 2 random choices."""
    return Chance(float(values.mean()), float(values.std(ddof=1)))


def interval(
    deltas: NDArray[np.float64], families: IntVector, *, seed: int
) -> tuple[float, float] | None:
    """95 % interval of the mean of the deltas, by resampling families of tasks.

    deltas: (t,) one a held-out task.  families: (t,) numbers. None with fewer than 5 families.
    """
    _, own = np.unique(families, return_inverse=True)
    own = own.reshape(-1)
    count = int(own.max(initial=-1)) + 1
    if count < 5:
        return None
    sums, sizes = np.bincount(own, deltas), np.bincount(own).astype(np.float64)
    keys = draws(seed, BOOTSTRAP, 0, RESAMPLES * count)
    picked = (keys % np.uint64(count)).astype(np.int64).reshape(RESAMPLES, count)
    means = sums[picked].sum(axis=1) / sizes[picked].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def means_by(values: NDArray[np.float64], keys: IntVector) -> Iterator[tuple[int, float]]:
    """(key, mean of its values), by rising key."""
    names, own = np.unique(keys, return_inverse=True)
    own = own.reshape(-1)
    for name, whole, count in zip(
        names.tolist(), np.bincount(own, values), np.bincount(own), strict=True
    ):
        yield name, float(whole / count)
