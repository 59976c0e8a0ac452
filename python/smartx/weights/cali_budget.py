"""CaliBudget: rows for those that need them, less where they run out or where the need is unsure.

    floor of a task = min(floor, total // M, its rows)
    residual of a task = its rows less its floor
    score = need * residual ** exponent / (1 + sigma)
    rows = floor + what the floors leave, by score, never above a task's rows
need: the mean of a column over the task's rows that have a value, such as a model's loss plus its
error on rows that were held out; sigma: the standard deviation of that mean over bootstrap samples
of these rows, in the limit of many: sqrt(sum (x - mean)^2) / n.
Source: CaliBudget (2026), sections 1 and 2: exponent 1/4, largest remainders. No code is published.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from smartx.errors import InputError
from smartx.needs import Need
from smartx.options import number, whole
from smartx.weights.law import Ground, Shares, WeightLaw, on_grid, sum_in_order


@dataclass(frozen=True)
class CaliBudget(WeightLaw):
    """A floor for every task, the rest by need, by what a task has left, and by how sure that is.

    need: the column that is averaged over each task.
    floor: rows of every task that has them; where the budget does not reach, equal parts of it.
    exponent: of what a task has left; 0: sizes count for nothing but as limits.
    """

    need: str
    floor: Annotated[int, whole(0)] = 1
    exponent: Annotated[float, number(0, 1)] = 0.25

    name: ClassVar[str] = "cali-budget"

    @property
    def needs(self) -> tuple[Need, ...]:
        """The column."""
        return (Need(self.need, "column"),)

    def shares(self, ground: Ground, total: int) -> Shares:
        """Tasks by the rows that they get, before these are rounded, in corpus order.

        Raises InputError where a task has no row with a value, or a mean below 0.
        """
        held = np.flatnonzero(ground.rows).astype(np.int64)
        if not len(held):
            return Shares(held, np.zeros(0))
        need, sigma = self._needs_of(ground, held)
        rows = ground.rows[held].astype(np.float64)
        floor = np.minimum(rows, min(self.floor, total // len(held)))
        room = rows - floor
        score = need * room**self.exponent / (1.0 + sigma)
        score[room == 0] = 0.0
        asked = floor + _within(score, room, min(total, sum_in_order(rows)) - sum_in_order(floor))
        if not asked.any():  # nothing is to be shared
            asked = np.ones(len(held))
        some = asked > 0
        return Shares(held[some], on_grid(asked[some]))

    def _needs_of(
        self, ground: Ground, held: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and deviation of the mean, of each task that holds rows."""
        key = Need(self.need, "column").key
        need, sigma = np.zeros(len(held)), np.zeros(len(held))
        for place, task in enumerate(held.tolist()):
            values = ground.feature_of(task, key).astype(np.float64)
            values = values[~np.isnan(values)]
            mean = sum_in_order(values) / max(1, len(values))
            if not len(values) or not np.isfinite(mean) or mean < 0:
                fault = f"the mean is {mean:g}" if len(values) else "no row has a value"
                raise InputError(
                    f'{fault} in the task "{"/".join(filter(None, ground.names[task][:2]))}"',
                    place=f"need.{self.need}",
                    fix="give numbers from 0 on, for some rows of every task",
                )
            need[place] = mean
            sigma[place] = np.sqrt(sum_in_order((values - mean) ** 2)) / len(values)
        return need, sigma


def _within(
    score: NDArray[np.float64], room: NDArray[np.float64], amount: float
) -> NDArray[np.float64]:
    """`amount` by score, nobody above the room; tasks without a score come last, by their room."""
    given = np.zeros(len(score))
    for parts in (score, np.where(score > 0, 0.0, room)):
        still = (parts > 0) & (given < room)
        while amount > 0 and still.any():
            share = amount * np.where(still, parts, 0.0) / sum_in_order(parts[still])
            full = still & (share >= room)
            if not full.any():
                given += share
                amount = 0.0
                break
            given[full] = room[full]
            amount -= sum_in_order(room[full])
            still &= ~full
    return given
