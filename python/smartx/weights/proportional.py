"""Examples-proportional mixing (EPM): a task's share is its share of the corpus.

    share ~ min(size, cap)
Source of the cap: T5 (Raffel et al., 2020), section 3.5.2: an artificial limit on a task's size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from smartx.options import optional, whole
from smartx.weights.law import Ground, Shares, WeightLaw


@dataclass(frozen=True)
class Proportional(WeightLaw):
    """Shares in the ratio of the tasks' sizes. cap: a larger task counts as one of this size."""

    cap: Annotated[int | None, optional(whole(1))] = None

    name: ClassVar[str] = "proportional"
    samples_rows: ClassVar[bool] = True

    def parameters(self) -> dict[str, Any]:
        """No cap is not named: mixtures from before there were any did not."""
        return {"cap": self.cap} if self.cap else {}

    def shares(self, ground: Ground, total: int) -> Shares:
        """Every task that holds a row, in corpus order."""
        order = np.flatnonzero(ground.rows).astype(np.int64)
        sizes = np.minimum(ground.rows[order], self.cap or np.iinfo(np.int64).max)
        return Shares(order, sizes.astype(np.float64))
