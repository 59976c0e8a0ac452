"""Equal mixing (EM): every task gets the same, as far as it has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from smartx.weights.law import Ground, Shares, Unit


@dataclass(frozen=True)
class Equal:
    """The same share for every task; what a small task cannot give goes to the others in equal parts."""

    name = "equal"
    unit: Unit = "task"
    needs_means = False

    def parameters(self) -> dict[str, Any]:
        """There are none."""
        return {}

    def shares(self, ground: Ground, total: int) -> Shares:
        """Every task that holds a row, in corpus order."""
        order = np.flatnonzero(ground.rows).astype(np.int64)
        return Shares(order, np.ones(len(order)))
