"""Examples-proportional mixing (EPM): a task's share is its share of the corpus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from smartx.weights.law import Ground, Shares, Unit


@dataclass(frozen=True)
class Proportional:
    """Shares in the ratio of the tasks' sizes."""

    name: ClassVar[str] = "proportional"
    unit: ClassVar[Unit] = "task"
    needs_means: ClassVar[bool] = False

    def parameters(self) -> dict[str, Any]:
        """There are none."""
        return {}

    def shares(self, ground: Ground, total: int) -> Shares:
        """Every task that holds a row, in corpus order."""
        order = np.flatnonzero(ground.rows).astype(np.int64)
        return Shares(order, ground.rows[order].astype(np.float64))
