"""Examples-proportional mixing (EPM): a task's share is its share of the corpus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from smartx.weights.law import Ground, Shares, WeightLaw


@dataclass(frozen=True)
class Proportional(WeightLaw):
    """Shares in the ratio of the tasks' sizes."""

    name: ClassVar[str] = "proportional"

    def shares(self, ground: Ground, total: int) -> Shares:
        """Every task that holds a row, in corpus order."""
        order = np.flatnonzero(ground.rows).astype(np.int64)
        return Shares(order, ground.rows[order].astype(np.float64))
