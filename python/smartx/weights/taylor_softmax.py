"""SMART: a task's share is the second-order Taylor softmax of its marginal gain among all tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from smartx.draws import TASK_ORDER, draws
from smartx.engine import FacilityLocation, GraphCut, LogDet, task_gains
from smartx.errors import ConfigError, InputError
from smartx.options import number, optional, whole
from smartx.strategies import TASK_FUNCTIONS
from smartx.weights.law import Ground, Shares, WeightLaw, sum_in_order


@dataclass(frozen=True)
class RandomTasks:
    """Instead of a set function: tasks in random order, every gain 1, hence equal shares."""


@dataclass(frozen=True)
class TaylorSoftmax(WeightLaw):
    """Shares in the ratio of 1 + x + x²/2, x = gain / temperature, for the first greedy tasks.

    function: the set function over tasks, or RandomTasks().
    num_tasks: how many tasks get anything (M' of the paper); None: all.
    temperature: larger makes the shares more equal; the paper has 1.
    Source: SMART (Renduchintala et al., 2024). Below x = -1 the weight rises again, as published.
    """

    function: Annotated[
        GraphCut | FacilityLocation | LogDet | RandomTasks, TASK_FUNCTIONS.takes("graph-cut")
    ] = field(default_factory=lambda: GraphCut(penalty=0.4))
    num_tasks: Annotated[int | None, optional(whole(1))] = None
    temperature: Annotated[float, number(0, above=True)] = 1.0

    name: ClassVar[str] = "taylor-softmax"

    @property
    def needs_means(self) -> bool:
        """Set functions look at the tasks' mean vectors; a random order does not."""
        return not isinstance(self.function, RandomTasks)

    def check(self, names: Sequence[tuple[str, ...]]) -> None:
        """There are as many tasks as are asked for."""
        if self.num_tasks is not None and self.num_tasks > len(names):
            raise ConfigError(
                f"{self.num_tasks:,} tasks are asked for and the corpus has {len(names):,}",
                place="num_tasks",
                fix=f"give at most {len(names):,}, or leave it out for all tasks",
            )

    def weights(self, gains: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weights that sum to 1. gains: (t,) float64."""
        x = np.asarray(gains, dtype=np.float64) / self.temperature
        raw = (1.0 + x) + x * x / 2.0
        return raw / sum_in_order(raw) if len(raw) else raw

    def shares(self, ground: Ground, total: int) -> Shares:
        """Shares of the first `num_tasks` tasks in greedy order; the order is over all tasks."""
        self.check(ground.names)
        order, gains = self._greedy_order(ground)
        order, gains = order[: self.num_tasks], gains[: self.num_tasks]
        return Shares(order, self.weights(gains), gains, "greedy")

    def _greedy_order(self, ground: Ground) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        count = len(ground.names)
        if isinstance(self.function, RandomTasks):
            order = np.argsort(draws(ground.seed, TASK_ORDER, 0, count), kind="stable")
            return order.astype(np.int64), np.ones(count)
        if ground.means is None:
            raise InputError("this law needs the mean vector of every task", place="means")
        chosen = task_gains(ground.means, self.function)
        return chosen.items.astype(np.int64), np.asarray(chosen.gains, dtype=np.float64)
