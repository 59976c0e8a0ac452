"""Rows by a number each: the largest first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smartx.rankers.pool import Pool
from smartx.rankers.ranker import Order


def by_score(pool: Pool, scores: NDArray[np.float64]) -> Order:
    """Each unit of a pool by falling scores, which are the gains; ties go to the lower row.

    scores: (n,) float64; a row without one (NaN) comes last, with the gain 0.
    """
    unit = np.repeat(np.arange(len(pool.sizes)), pool.sizes)
    lacking = np.isnan(scores)
    known = np.where(lacking, 0.0, scores)
    order = np.lexsort((-known, lacking, unit))  # stable
    return (order - pool.begins()).astype(np.int32), known[order]
