"""Shares that follow a ranking of the whole corpus: its first rows, whatever task they are of.

    share of a group = how many of the first rows of the ranking are in it
So selectors that know no tasks (RDS+, LESS, D4, a score) choose as their authors had it: with a
ranker whose `per` is "corpus" the mixture is exactly the beginning of its ranking.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from smartx.errors import InputError
from smartx.weights.law import Ground, Shares, Unit, WeightLaw


@dataclass(frozen=True)
class AsRanked(WeightLaw):
    """How many of the first rows of a ranking of the whole corpus fall into each group."""

    name: ClassVar[str] = "as-ranked"
    unit: ClassVar[Unit] = "group"
    follows_ranking: ClassVar[bool] = True

    def shares(self, ground: Ground, total: int) -> Shares:
        """The groups of the first `total` rows, with the number of these in each."""
        if ground.ranked is None:
            raise InputError("this law needs a ranking of the whole corpus", place="ranked")
        counts = np.bincount(ground.ranked[:total], minlength=len(ground.names))
        order = np.flatnonzero(counts).astype(np.int64)
        return Shares(order, counts[order].astype(np.float64))
