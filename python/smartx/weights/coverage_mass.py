"""Shares by what each chosen task stands for: its part of all tasks under facility location.

    chosen: the first M' tasks, by facility location unless another function is named
    share of a chosen one ~ the tasks (or their rows) whose nearest chosen task it is
Unlike the published law on facility location's gains, of which the first is nearly all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

import numpy as np

from smartx.engine import FacilityLocation
from smartx.errors import InputError
from smartx.strategies import TASK_FUNCTIONS
from smartx.weights.greedy import GreedyLaw, Kernel, TaskFunction, kernel_of
from smartx.weights.law import Ground, Shares


@dataclass(frozen=True)
class CoverageMass(GreedyLaw):
    """The chosen tasks by how many tasks they are the nearest of; with all chosen, equal shares.

    of: what is counted: tasks, or their rows. Of two as near ones the lower task counts; a chosen
    task always stands for itself.
    """

    function: Annotated[TaskFunction, TASK_FUNCTIONS.takes("facility-location")] = field(
        default_factory=FacilityLocation
    )
    kernel: Kernel = "exact"
    of: Literal["tasks", "rows"] = "tasks"

    name: ClassVar[str] = "coverage-mass"

    @property
    def needs_means(self) -> bool:
        """To see which is nearest."""
        return True

    def shares(self, ground: Ground, total: int) -> Shares:
        """Shares of the first tasks in greedy order."""
        order, gains = self.first_tasks(ground)
        if ground.means is None:
            raise InputError("this law needs the mean vector of every task", place="means")
        kernel = kernel_of(ground.means, self.kernel)
        kernel[order, order] = 2.0
        chosen = np.sort(order)
        nearest = chosen[kernel[:, chosen].argmax(axis=1)]
        mass = np.zeros(len(kernel))
        np.add.at(mass, nearest, 1.0 if self.of == "tasks" else ground.rows.astype(np.float64))
        return Shares(order, mass[order], gains)
