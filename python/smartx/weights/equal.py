"""Equal mixing (EM): every task gets the same, as far as it has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from smartx.weights.law import Ground, Shares, WeightLaw


@dataclass(frozen=True)
class Equal(WeightLaw):
    """The same share for every task; what a small one cannot give goes to the others."""

    name: ClassVar[str] = "equal"

    def shares(self, ground: Ground, total: int) -> Shares:
        """Every task that holds a row, in corpus order."""
        order = np.flatnonzero(ground.rows).astype(np.int64)
        return Shares(order, np.ones(len(order)))
