"""Tasks in greedy order, and what each adds to those before it: what laws over gains begin with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from smartx.draws import TASK_ORDER, draws
from smartx.engine import DenseKernel, FacilityLocation, GraphCut, LogDet, maximize, task_gains
from smartx.errors import ConfigError, InputError
from smartx.options import number, optional, whole
from smartx.strategies import TASK_FUNCTIONS
from smartx.weights.kernels import exact_kernel
from smartx.weights.law import Ground, WeightLaw

Order = tuple[NDArray[np.int64], NDArray[np.float64]]
Kernel = Literal["cosine", "exact", "centred", "whitened"]


def kernel_of(means: NDArray[np.float64], kernel: Kernel) -> NDArray[np.float64]:
    """The exact kernel of a name."""
    return exact_kernel(means, centred=kernel == "centred", whitened=kernel == "whitened")


@dataclass(frozen=True)
class RandomTasks:
    """Instead of a set function: tasks in random order, every gain 1, hence equal shares."""


@dataclass(frozen=True)
class ScaledGraphCut:
    """Graph cut whose penalty is `penalty` * M / M', for M' of M tasks.

    The first sum of graph cut runs over all M tasks, the second over the chosen ones: with the same
    penalty for every M' the second is nothing where few are chosen, and graph cut only ranks tasks
    by how near they are to all others. Divided by M / M' it is the first sum that is scaled.
    """

    penalty: Annotated[float, number(0, 1e6)] = 0.4


TaskFunction = GraphCut | FacilityLocation | LogDet | ScaledGraphCut | RandomTasks


@dataclass(frozen=True)
class GreedyLaw(WeightLaw):
    """A law over the tasks that a set function takes first.

    function: the set function over tasks, or RandomTasks().
    num_tasks: how many tasks get anything (M' of the paper); None: all.
    kernel: of the tasks' mean vectors. "cosine": as published, in float64; near ties are decided by
    rounding. "exact": the diagonal is 1 and sums are exact, so that ties are ties and go to the
    lower task. "centred": the same of the means less their common mean. "whitened": and no
    direction in which they differ counts for more than another.
    """

    function: Annotated[TaskFunction, TASK_FUNCTIONS.takes("graph-cut")] = field(
        default_factory=lambda: GraphCut(penalty=0.4)
    )
    num_tasks: Annotated[int | None, optional(whole(1))] = None
    kernel: Kernel = "cosine"

    @property
    def needs_means(self) -> bool:
        """Set functions look at the tasks' mean vectors; a random order does not."""
        return not isinstance(self.function, RandomTasks)

    def parameters(self) -> dict[str, Any]:
        """The published kernel is not named: mixtures from before there were others did not."""
        own = super().parameters()
        return own if self.kernel != "cosine" else {n: own[n] for n in own if n != "kernel"}

    def check(self, names: Sequence[tuple[str, ...]]) -> None:
        """There are as many tasks as are asked for."""
        if self.num_tasks is not None and self.num_tasks > len(names):
            raise ConfigError(
                f"{self.num_tasks:,} tasks are asked for and the corpus has {len(names):,}",
                place="num_tasks",
                fix=f"give at most {len(names):,}, or leave it out for all tasks",
            )

    def first_tasks(self, ground: Ground) -> Order:
        """The first `num_tasks` tasks of the greedy order over all, and their gains."""
        self.check(ground.names)
        order, gains = self._greedy_order(ground)
        return order[: self.num_tasks], gains[: self.num_tasks]

    def _greedy_order(self, ground: Ground) -> Order:
        count, function = len(ground.names), self.function
        if isinstance(function, RandomTasks):
            order = np.argsort(draws(ground.seed, TASK_ORDER, 0, count), kind="stable")
            return order.astype(np.int64), np.ones(count)
        if ground.means is None:
            raise InputError("this law needs the mean vector of every task", place="means")
        if isinstance(function, ScaledGraphCut):
            function = GraphCut(function.penalty * count / (self.num_tasks or count))
        if self.kernel == "cosine":
            chosen = task_gains(ground.means, function)
        else:
            kernel = kernel_of(ground.means, self.kernel)
            chosen = maximize(function, DenseKernel(kernel), count)
        return chosen.items.astype(np.int64), np.asarray(chosen.gains, dtype=np.float64)
