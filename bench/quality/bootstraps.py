"""Forms that were tried and are not used, so that simulate.py can show why.

Each takes `Differences` and, but for the last, returns a 95 % interval.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quality.differences import Differences
from quality.statistics import Interval

Counts = NDArray[np.int64]


def rows(differences: Differences, *, draws: int, seed: int) -> Interval:
    """Every (run, data set) value drawn by itself, as if none had anything in common."""
    rng = np.random.default_rng(seed)
    there = ~np.isnan(differences.values)
    values, weights = differences.values[there], differences.weights[there]
    counts = rng.multinomial(len(values), np.full(len(values), 1 / len(values)), draws)
    return _percentiles(counts @ (values * weights) / (counts @ weights))


def hierarchy(differences: Differences, *, draws: int, seed: int) -> Interval:
    """Families, data sets inside them, and the runs of each fold, all drawn with replacement."""
    rng = np.random.default_rng(seed)
    sizes = np.bincount(differences.families)
    chosen = rng.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), draws)
    sets = np.zeros((draws, len(differences.families)))
    for family, size in enumerate(sizes):
        # A family that is drawn c times draws c times `size` of its data sets.
        of_family = rng.multinomial(chosen[:, family] * size, np.full(size, 1 / size))
        sets[:, differences.families == family] = of_family
    runs = np.zeros((draws, len(differences.folds)))
    for fold in range(differences.folds.max() + 1):
        count = np.count_nonzero(differences.folds == fold)
        drawn = rng.multinomial(count, np.full(count, 1 / count), draws)
        runs[:, differences.folds == fold] = drawn
    weights = differences.weights
    given = runs @ (np.nan_to_num(differences.values) * weights)
    return _percentiles((given * sets).sum(axis=1) / ((runs @ weights) * sets).sum(axis=1))


def families_alone(differences: Differences, *, draws: int, seed: int) -> NDArray[np.float64]:
    """p of the plain sign-flip test: families' sums flip, and runs are taken for no noise.

    One for each contrast.
    """
    rng = np.random.default_rng(seed)
    own = differences.contributions.sum(axis=-2)
    flipped = np.abs(own @ rng.choice((1.0, -1.0), (own.shape[-1], draws)))
    bar = np.abs(differences.means)[..., None] * (1 - 1e-9)
    return np.asarray((1 + np.count_nonzero(flipped >= bar, axis=-1)) / (1 + draws), np.float64)


def _percentiles(means: NDArray[np.float64]) -> Interval:
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)
