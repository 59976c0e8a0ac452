"""A fold, ready to have many choices from its pool measured on the rows that it holds out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from smartx.compare.holdout import Fold
from smartx.compare.nearest import NearLists, Rows, near_lists, taken
from smartx.compare.proxies import probe

if TYPE_CHECKING:
    from smartx.corpus import Groups

IntVector = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Seen:
    """Of each held-out row, the nearest chosen row and the Q12 product with it.

    task_products: (a,), for rows of held-out tasks.
    template_products, template_rows: (b,), for rows of held-out templates.
    """

    task_products: NDArray[np.int32]
    template_products: NDArray[np.int32]
    template_rows: IntVector


@dataclass(frozen=True, eq=False)
class Board:
    """pool: (p,) int64, row ids that are chosen from.  tasks: (p,) int64, the task of each.

    held_tasks: (a,), held_template_tasks: (b,), the tasks of the held-out rows that are looked at.
    lists: of these rows, the former first.
    """

    fold: Fold
    rows: Rows
    num_rows: int
    pool: IntVector
    tasks: IntVector
    held_tasks: IntVector
    held_template_tasks: IntVector
    lists: NearLists

    def see(self, row_ids: IntVector) -> Seen:
        """The nearest of some rows of the pool to each held-out row."""
        chosen = np.zeros(self.num_rows, dtype=np.bool_)
        chosen[row_ids] = True
        found, products = self.lists.nearest(chosen)
        cut = len(self.held_tasks)
        return Seen(products[:cut], products[cut:], found[cut:])

    def probe(self, row_ids: IntVector, tasks: IntVector) -> float | None:
        """How well the tasks of held-out templates are told after some rows. tasks: of these."""
        return probe(
            taken(self.rows.rows, row_ids),
            tasks,
            self.lists.queries[len(self.held_tasks) :],
            self.held_template_tasks,
        )


def task_of(groups: Groups, row_ids: IntVector) -> IntVector:
    """The task of each row, by number."""
    stops = np.cumsum(groups.tasks().rows)
    return np.searchsorted(stops, row_ids, side="right").astype(np.int64)


def group_of(groups: Groups, row_ids: IntVector) -> IntVector:
    """The group of each row, by number."""
    return np.searchsorted(groups.start + groups.rows, row_ids, side="right").astype(np.int64)


def board_of(groups: Groups, rows: Rows, fold: Fold) -> Board:
    """Time: the products of the held-out rows that are looked at with all rows of the pool."""
    pool = np.flatnonzero(np.repeat(fold.groups, groups.rows)).astype(np.int64)
    held = np.concatenate([fold.task_rows, fold.template_rows])
    return Board(
        fold=fold,
        rows=rows,
        num_rows=int(groups.rows.sum()),
        pool=pool,
        tasks=task_of(groups, pool),
        held_tasks=task_of(groups, fold.task_rows),
        held_template_tasks=task_of(groups, fold.template_rows),
        lists=near_lists(taken(rows.rows, held), rows, pool),
    )
