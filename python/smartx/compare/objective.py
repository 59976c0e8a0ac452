"""What a choice is worth under facility location over its own tasks, and what none surpasses.

The value is the mean, over all rows of the corpus, of the largest cosine with a chosen row of the
same task (0 where nothing of the task was chosen). The bound belongs to the numbers of rows that a
choice takes of each task: no choice of so many rows is worth more. It is that of greedy, whose
first rows are near the best, so value / bound says how near to the best choice a ranker came.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from smartx.compare.nearest import Rows
from smartx.engine import SCALE, FacilityLocation, maximize
from smartx.engine.worth import facility_worth

if TYPE_CHECKING:
    from smartx.corpus import Groups

MOST_PAIRS = 2_000_000_000  # rows with rows of their task; above it, nothing is looked for
SMALL = 4_096  # rows of a task on which threads would wait for each other
BLOCK = 4_096  # rows of one product
LARGEST_TASK = 30_000  # rows; above it, no bound is
IntVector = NDArray[np.int64]


@dataclass(frozen=True)
class Worth:
    """value: mean cosine.  greedy: the same of greedy's choice of these sizes.  bound: of the best
    one, at most. The latter two are None where a task is too large for them.
    """

    value: float
    greedy: float | None
    bound: float | None


def covered(rows: NDArray[np.int16], items: IntVector) -> float:
    """The sum over all rows of the largest cosine, at least 0, with one of `items`."""
    whole, aims = 0, np.ascontiguousarray(rows[items].astype(np.float32).T)
    for start in range(0, len(rows), BLOCK):
        best = (rows[start : start + BLOCK].astype(np.float32) @ aims).max(axis=1)
        whole += int(np.maximum(best, 0).sum(dtype=np.int64))
    return whole / float(SCALE) ** 2


@dataclass(eq=False)
class Objective:
    """Facility location over the rows of each task; bounds are kept, as strategies share sizes."""

    groups: Groups
    rows: Rows
    threads: int = 1
    _bounds: dict[tuple[int, int], tuple[float, float]] = field(default_factory=dict)
    _orders: dict[int, tuple[int, NDArray[np.int32]]] = field(default_factory=dict)

    def worth(self, row_ids: IntVector) -> Worth | None:
        """row_ids: rising. None where the corpus is so large that it would take minutes."""
        tasks = self.groups.tasks()
        if int((tasks.rows * tasks.rows).sum()) > MOST_PAIRS:
            return None
        whole, bounds = 0.0, [(0.0, 0.0)]
        held = max(1, int(tasks.rows.sum()))
        bounded = int(tasks.rows.max(initial=0)) <= LARGEST_TASK
        cuts = np.searchsorted(row_ids, [*tasks.start.tolist(), held])
        for task in np.flatnonzero(np.diff(cuts)).tolist():
            own = row_ids[cuts[task] : cuts[task + 1]]
            start, count = int(tasks.start[task]), int(tasks.rows[task])
            rows = self.rows.rows(start, start + count)
            whole += covered(rows, own - start)
            if bounded:
                bounds.append(self._bound(task, len(own), rows))
        greedy, bound = (sum(column) / held for column in zip(*bounds, strict=True))
        return Worth(whole / held, *((greedy, bound) if bounded else (None, None)))

    def _bound(self, task: int, count: int, rows: NDArray[np.int16]) -> tuple[float, float]:
        """What greedy's `count` rows of a task are worth, and no others surpass."""
        if (task, count) not in self._bounds:
            threads = 1 if len(rows) < SMALL else self.threads
            known, order = self._orders.get(task, (0, np.empty(0, np.int32)))
            if known < count:  # a smaller budget is a prefix
                known = min(len(rows), max(count, 2 * known))
                order = maximize(FacilityLocation(), rows, known, threads=threads).items
                self._orders[task] = (known, order)
            first = order[:count].astype(np.int64)
            bound = facility_worth(rows, first, threads=threads)[1]
            self._bounds[task, count] = (covered(rows, first), bound)
        return self._bounds[task, count]
