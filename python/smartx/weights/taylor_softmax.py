"""SMART: a task's share is the second-order Taylor softmax of its marginal gain among all tasks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from smartx.options import number
from smartx.weights.greedy import GreedyLaw
from smartx.weights.law import Ground, Shares, sum_in_order


@dataclass(frozen=True)
class TaylorSoftmax(GreedyLaw):
    """Shares in the ratio of 1 + x + x²/2, x = gain / temperature, for the first greedy tasks.

    temperature: larger makes the shares more equal; the paper has 1.
    Source: SMART (Renduchintala et al., 2024). Below x = -1 the weight rises again, as published.

    >>> import numpy as np, smartx
    >>> smartx.TaylorSoftmax().weights(np.array([2.0, 1.0, 0.0])).round(3)
    array([0.588, 0.294, 0.118])
    """

    temperature: Annotated[float, number(0, above=True)] = 1.0

    name: ClassVar[str] = "taylor-softmax"

    def weights(self, gains: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weights that sum to 1. gains: (t,) float64."""
        x = np.asarray(gains, dtype=np.float64) / self.temperature
        raw = (1.0 + x) + x * x / 2.0
        return raw / sum_in_order(raw) if len(raw) else raw

    def shares(self, ground: Ground, total: int) -> Shares:
        """Shares of the first `num_tasks` tasks in greedy order; the order is over all tasks."""
        order, gains = self.first_tasks(ground)
        return Shares(order, self.weights(gains), gains, "greedy")
