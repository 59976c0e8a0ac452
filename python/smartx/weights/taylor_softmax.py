"""SMART: a task's share is the second-order Taylor softmax of its marginal gain among all tasks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from smartx.draws import TASK_ORDER, draws
from smartx.engine import FacilityLocation, GraphCut, LogDet, task_gains
from smartx.errors import ConfigError, InputError
from smartx.weights.law import Ground, Shares, Unit, described, sum_in_order


@dataclass(frozen=True)
class RandomTasks:
    """Instead of a set function: tasks in random order, every gain 1, hence equal shares."""


@dataclass(frozen=True)
class TaylorSoftmax:
    """Shares in the ratio of 1 + x + x²/2, x = gain / temperature, for the first greedy tasks.

    function: the set function over tasks, or RandomTasks().
    num_tasks: how many tasks get anything (M' of the paper); None: all.
    temperature: larger makes the shares more equal; the paper has 1.
    Source: SMART (Renduchintala et al., 2024). Below x = -1 the weight rises again, as published.
    """

    function: GraphCut | FacilityLocation | LogDet | RandomTasks = field(
        default_factory=lambda: GraphCut(penalty=0.4)
    )
    num_tasks: int | None = None
    temperature: float = 1.0

    name: ClassVar[str] = "taylor-softmax"
    unit: ClassVar[Unit] = "task"

    def __post_init__(self) -> None:
        if not (np.isfinite(self.temperature) and self.temperature > 0):
            raise ConfigError(
                f"the temperature must be above 0, not {self.temperature}", place="temperature"
            )
        if self.num_tasks is not None and self.num_tasks < 1:
            raise ConfigError(f"at least 1 task is needed, not {self.num_tasks}", place="num_tasks")

    @property
    def needs_means(self) -> bool:
        """Set functions look at the tasks' mean vectors; a random order does not."""
        return not isinstance(self.function, RandomTasks)

    def parameters(self) -> dict[str, Any]:
        """The set function, the number of tasks and the temperature."""
        return {
            "function": described(self.function),
            "num_tasks": self.num_tasks,
            "temperature": float(self.temperature),
        }

    def weights(self, gains: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weights that sum to 1. gains: (t,) float64."""
        x = np.asarray(gains, dtype=np.float64) / self.temperature
        raw = (1.0 + x) + x * x / 2.0
        return raw / sum_in_order(raw) if len(raw) else raw

    def shares(self, ground: Ground, total: int) -> Shares:
        """Shares of the first `num_tasks` tasks in greedy order; the order is over all tasks.

        Raises ConfigError where there are fewer tasks than `num_tasks`.
        """
        count = len(ground.names) if self.num_tasks is None else self.num_tasks
        if count > len(ground.names):
            raise ConfigError(
                f"{count:,} tasks are asked for and the corpus has {len(ground.names):,}",
                place="num_tasks",
                fix=f"pass at most {len(ground.names):,}, or leave it out for all tasks",
            )
        order, gains = self._greedy_order(ground)
        order, gains = order[:count], gains[:count]
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
