"""Runs in folds for cross-validation: all runs of one mixture are left out together."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from smartx.draws import SWARM_FOLDS, draws


def mixtures_of(shares: NDArray[np.float64]) -> NDArray[np.int64]:
    """(n,) the number of each run's mixture: runs with the same shares have the same one."""
    return np.unique(shares, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def folds_of(shares: NDArray[np.float64], folds: int) -> Iterator[NDArray[np.bool_]]:
    """For each fold (n,) which runs are left out. Which they are depends on the shares alone.

    As many folds as there are mixtures, at most.
    """
    mixture = mixtures_of(shares)
    number = int(mixture.max()) + 1
    order = np.argsort(draws(0, SWARM_FOLDS, 0, number), kind="stable")
    fold = np.empty(number, dtype=np.int64)
    fold[order] = np.arange(number) % min(folds, number)
    for one in range(min(folds, number)):
        yield fold[mixture] == one
