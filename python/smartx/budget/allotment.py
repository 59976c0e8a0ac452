"""Shares become whole numbers of rows: they sum to the budget, and nobody gets more than they have.

Two ways of rounding: "greedy" is that of the published SMART scripts, to the row;
"largest-remainder" is used for the baselines. Inside a task the rows are split among its templates
by their sizes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from smartx.budget.arguments import FloatVector, IntVector, check_room, scatter, whole_number
from smartx.budget.rounding import apportion, round_greedy
from smartx.budget.templates import template_budgets
from smartx.errors import InputError
from smartx.weights import Ground, Shares, WeightLaw, group_ground, task_ground

if TYPE_CHECKING:
    from smartx.corpus import Groups
    from smartx.corpus.corpus import Tasks


@dataclass(frozen=True, eq=False)
class Allotment:
    """Who gets how many rows, and how that came about.

    groups: (g,) int64 rows of each group.  tasks: (M,) int64 rows of each task; both sum to the
    total.
    order: (t,) int64, the tasks that the law chose, in its order.
    weights: (M,) float64, the law's shares, summing to 1; 0 for a task it did not choose.
    asked: (M,) int64, rows by weight alone, before any task's size was looked at.
    gains: (M,) float64, NaN for a task that was not chosen; None where the law has no gains.
    """

    groups: IntVector
    tasks: IntVector
    order: IntVector
    weights: FloatVector
    asked: IntVector
    gains: FloatVector | None


def allot(
    groups: Groups,
    law: WeightLaw,
    *,
    means: FloatVector | None,
    total: int,
    seed: int,
    left_out: int = 0,
) -> Allotment:
    """Budgets of all tasks and groups of a corpus under a weight law.

    means: (M, d) float64, mean vector of each task, or None where the law needs none.
    left_out: near duplicates that the groups do not count, for messages.
    Raises BudgetError if the corpus, or the tasks that the law chose, hold fewer than `total` rows.
    """
    total = check_total(groups, total, left_out=left_out)
    if law.unit == "group":
        return _allot_to_groups(groups, law, total, seed)
    tasks = groups.tasks()
    shares = _shares(law, task_ground(groups, means=means, seed=seed), total)
    capacities = tasks.rows[shares.order]
    some = len(shares.order) < len(tasks.rows)
    fix = "let `weights` choose more tasks, or lower `rows`" if some else "lower `rows`"
    check_room(capacities, total, "chosen tasks", fix)
    asked, given = _round(shares, capacities, total)
    by_task = scatter(shares.order, given, len(tasks.rows))
    return Allotment(
        groups=_among_templates(groups, tasks, shares.order, by_task),
        tasks=by_task,
        order=shares.order,
        weights=scatter(shares.order, shares.weights / shares.weights.sum(), len(tasks.rows)),
        asked=scatter(shares.order, asked, len(tasks.rows)),
        gains=_gains(shares, len(tasks.rows)),
    )


def check_total(groups: Groups, total: int, *, left_out: int = 0) -> int:
    """The total as a whole number. Raises BudgetError if the groups hold fewer rows.

    left_out: near duplicates that are not counted in the groups, for the message.
    """
    total = whole_number("rows", total)
    what, fix = "groups of the corpus", "lower `rows`"
    if left_out:
        what += f", without {left_out:,} near duplicates,"
        fix = "raise `near_duplicates` or lower `rows`"
    check_room(groups.rows, total, what, fix)
    return total


def _shares(law: WeightLaw, ground: Ground, total: int) -> Shares:
    """The shares of a law, checked: it may be anybody's."""
    shares = law.shares(ground, total)
    order, weights = shares.order, shares.weights
    if not (
        len(order) == len(weights) == len(np.unique(order))
        and order.dtype.kind == "i"
        and weights.dtype == np.float64
        and ((order >= 0) & (order < len(ground.names))).all()
        and (np.isfinite(weights) & (weights > 0)).all()
        and (shares.gains is None or len(shares.gains) == len(order))
    ):
        raise InputError(
            f"the weight law {law.name} did not name some of {len(ground.names):,} {law.unit}s "
            "once, each with a weight above 0",
            place="weights",
        )
    return shares


def _allot_to_groups(groups: Groups, law: WeightLaw, total: int, seed: int) -> Allotment:
    shares = _shares(law, group_ground(groups, seed=seed), total)
    check_room(groups.rows[shares.order], total, "chosen groups", "lower `rows`")
    asked, given = _round(shares, groups.rows[shares.order], total)
    first = groups.tasks().first_group[:-1]
    by_group = scatter(shares.order, given, len(groups))
    by_task = np.add.reduceat(by_group, first)
    weights = np.add.reduceat(scatter(shares.order, shares.weights, len(groups)), first)
    return Allotment(
        groups=by_group,
        tasks=by_task,
        order=np.flatnonzero(weights).astype(np.int64),
        weights=weights / weights.sum() if total else weights,
        asked=np.add.reduceat(scatter(shares.order, asked, len(groups)), first),
        gains=None,
    )


def _among_templates(
    groups: Groups, tasks: Tasks, chosen: IntVector, by_task: IntVector
) -> IntVector:
    """(g,) the budgets of the chosen tasks, split among their groups."""
    by_group, begins = np.zeros(len(groups), dtype=np.int64), tasks.first_group
    for task in chosen.tolist():
        first, last = int(begins[task]), int(begins[task + 1])
        if last == first + 1:  # nothing to split, and corpora may have very many such tasks
            by_group[first] = by_task[task]
            continue
        by_group[first:last] = template_budgets(
            groups.rows[first:last], int(by_task[task]), groups.template[first:last]
        )
    return by_group


def _round(shares: Shares, capacities: IntVector, total: int) -> tuple[IntVector, IntVector]:
    """What each chosen unit was asked for by weight alone, and what it is given."""
    if shares.rounding == "greedy":
        return round_greedy(shares.weights, capacities, total)
    unbounded = np.full(len(capacities), total, dtype=np.int64)
    return apportion(shares.weights, unbounded, total), apportion(shares.weights, capacities, total)


def _gains(shares: Shares, size: int) -> FloatVector | None:
    if shares.gains is None:
        return None
    gains = np.full(size, np.nan)
    gains[shares.order] = shares.gains
    return gains
