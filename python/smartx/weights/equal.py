"""Equal mixing (EM): every task gets the same, as far as it has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from smartx.weights.law import Ground, Shares, Unit


@dataclass(frozen=True)
class Equal:
    """The same share for every task; what a small one cannot give goes to the others."""

    name: ClassVar[str] = "equal"
    unit: ClassVar[Unit] = "task"
    needs_means: ClassVar[bool] = False

    def parameters(self) -> dict[str, Any]:
        """There are none."""
        return {}

    def shares(self, ground: Ground, total: int) -> Shares:
        """Every task that holds a row, in corpus order."""
        order = np.flatnonzero(ground.rows).astype(np.int64)
        return Shares(order, np.ones(len(order)))
