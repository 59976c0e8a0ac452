"""Shares become whole numbers of rows or tokens: they sum to the budget, within every demand and
size.

Ways of rounding: "greedy" is that of the published SMART scripts, to the row; "largest-remainder"
is used for the baselines; "monotone" takes nothing from anybody when the budget grows. Inside a
task the rows are split among its templates by their sizes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from smartx.amounts import Amount
from smartx.budget.arguments import FloatVector, IntVector, check_room, scatter, whole_number
from smartx.budget.demands import Bounds, Demands, bounds_of
from smartx.budget.laminar import among_templates, among_units, rounded
from smartx.budget.rounding import round_greedy
from smartx.budget.supply import Supply, Unit, supply_of_rows
from smartx.budget.tree import TASK, TEMPLATE, Tree, tree_of
from smartx.errors import InputError
from smartx.strategies import at_work
from smartx.weights import Ground, Shares, WeightLaw, group_ground, task_ground
from smartx.weights.law import Rounding

if TYPE_CHECKING:
    from smartx.corpus import Groups

RoundingName = Literal["published", "largest-remainder", "monotone"]
_ROUNDINGS: dict[str, Rounding] = {
    "published": "greedy",
    "largest-remainder": "largest-remainder",
    "monotone": "monotone",
}


@dataclass(frozen=True, eq=False)
class Allotment:
    """Who gets how much, and how that came about.

    groups: (g,) int64 rows of each group.  tasks: (M,) int64 rows of each task; both sum to the
    total. Of a budget in tokens they are tokens.
    order: (t,) int64, the tasks that the law chose, in its order.
    weights: (M,) float64, the law's shares, summing to 1; 0 for a task it did not choose.
    asked: (M,) int64, rows by weight alone, before any demand or task's size was looked at.
    gains: (M,) float64, NaN for a task that was not chosen; None where the law has no gains.
    bounds: within which all that stays.  for_templates: whether templates have demands of their
    own, or were shared among, so that a ranking of whole tasks cannot say what each gets.
    unit: of all amounts.
    """

    groups: IntVector
    tasks: IntVector
    order: IntVector
    weights: FloatVector
    asked: IntVector
    gains: FloatVector | None
    bounds: Bounds
    for_templates: bool = False
    unit: Unit = "row"


def allot(
    groups: Groups,
    law: WeightLaw,
    *,
    means: FloatVector | None,
    total: int,
    seed: int,
    left_out: int = 0,
    demands: Demands | None = None,
    rounding: RoundingName | None = None,
    supply: Supply | None = None,
    features: Mapping[str, NDArray[Any]] | None = None,
    told_of: Groups | None = None,
    ranked: IntVector | None = None,
) -> Allotment:
    """Budgets of all tasks and groups of a corpus under a weight law.

    means: (M, d) float64, mean vector of each task, or None where the law needs none.
    total: rows, or tokens where the supply is in tokens; the law's shares are of these, but for
    a law that samples rows.
    left_out: rows that the groups do not count, for messages.
    rounding: None is the law's own.  supply: what there is; None: every row of the groups, once.
    features: what the law needs besides, as `Ground` has it, of every row of `told_of`: the groups
    with the rows that are left out, too; None: `groups`.
    ranked: for a law that follows a ranking of the whole corpus, the group of each row that may be
    taken, best first.
    Raises BudgetError if the corpus, or the tasks that the law chose, hold less than `total`, or
    where demands cannot be met.
    """
    tree, wanted = tree_of(groups), demands or Demands()
    levels = wanted.levels(tree)
    there = supply or supply_of_rows(groups)
    there = there.without(wanted.excluded(tree, there.fixed))
    total = check_total(groups, total, left_out=left_out, supply=there)
    sized = groups if supply is None and not wanted.excludes else groups.resized(there.rows)
    known = (told_of or groups).tasks()
    told = (features or {}, (known.start, known.rows))
    if law.follows_ranking:
        level, shares = TEMPLATE, _shares_as_ranked(law, sized, total, there, ranked)
    else:
        level, shares = _shares(law, sized, means, total, seed, there, *told)
    if rounding is not None:
        shares = replace(shares, rounding=_ROUNDINGS[rounding])
    if there.unit == "token" and law.samples_rows:
        shares = _in_tokens(shares, tree, level, there)
    bounds = _bounds(tree, level, shares, wanted, there, total)
    given = among_units(tree, level, shares.order, shares.weights, bounds, total, shares.rounding)
    found = _allotment(tree, level, shares, given, bounds, there, total)
    return replace(found, for_templates=level == TEMPLATE or TEMPLATE in levels)


def _bounds(
    tree: Tree, level: int, shares: Shares, demands: Demands, supply: Supply, total: int
) -> Bounds:
    """Within which every unit stays. level: of the units that the law shares among."""
    held = supply.held if level == TEMPLATE else tree.sums(supply.held, TEMPLATE)
    if not demands and not supply.fixed.any():
        _check_chosen(held[shares.order], len(held), total, level, supply.unit)
    chosen = scatter(shares.order, np.ones(len(shares.order), dtype=np.bool_), len(held))
    return bounds_of(
        tree,
        demands,
        fixed=supply.fixed,
        held=supply.held,
        total=total,
        chosen=(level, chosen),
        unit=supply.unit,
    )


def total_of(
    amount: Amount, groups: Groups, supply: Supply | None = None, demands: Demands | None = None
) -> int:
    """A budget in whole rows or tokens; a percentage is of what may be taken, once.

    Raises BudgetError where that is less than one.
    """
    there, wanted = supply or supply_of_rows(groups), demands or Demands()
    return there.without(wanted.excluded(tree_of(groups), there.fixed)).total(amount)


def check_total(
    groups: Groups, total: int, *, left_out: int = 0, supply: Supply | None = None
) -> int:
    """The total as a whole number. Raises BudgetError if the groups hold fewer rows.

    left_out: rows that are not counted in the groups, for the message.
    supply: what may be taken; None: every row of the groups, once.
    """
    there = supply or supply_of_rows(groups)
    name = "rows" if there.unit == "row" else "tokens"
    total = whole_number(name, total)
    what, fix = "groups of the corpus", f"lower `{name}`"
    if left_out:
        what += f", without {left_out:,} rows that are left out,"
        fix = f"lower `{name}`, or leave fewer rows out (`near_duplicates`, `leave_out`)"
    check_room(there.held, total, what, fix, there.unit)
    return total


def _shares(
    law: WeightLaw,
    groups: Groups,
    means: FloatVector | None,
    total: int,
    seed: int,
    supply: Supply,
    features: Mapping[str, NDArray[Any]],
    known: tuple[IntVector, IntVector],
) -> tuple[int, Shares]:
    """The level of the units that a law shares among, and its shares, checked: it may be
    anybody's. Tasks of which nothing may be taken are not among those that it compares.
    """
    rows = supply.rows_for(total)
    if law.unit == "group":
        ground = group_ground(groups, seed=seed)
        return TEMPLATE, _said(law, ground, rows)
    ground = task_ground(groups, means=means, seed=seed, features=features)
    ground = replace(ground, known=known)
    some = np.flatnonzero(ground.rows)
    if means is None or len(some) == len(ground.names):
        return TASK, _said(law, ground, rows)
    there = Ground(
        [ground.names[place] for place in some.tolist()],
        ground.start[some],
        ground.rows[some],
        means[some],
        seed,
        features,
        (known[0][some], known[1][some]),
    )
    shares = _said(law, there, rows)
    return TASK, replace(shares, order=some[shares.order])


def _in_tokens(shares: Shares, tree: Tree, level: int, supply: Supply) -> Shares:
    """Shares of rows as shares of tokens: times the tokens of a row of each unit, on average."""
    rows, tokens = supply.rows, supply.once
    if level == TASK:
        rows, tokens = tree.sums(rows, TEMPLATE), tree.sums(tokens, TEMPLATE)
    mean = tokens[shares.order] / np.maximum(1, rows[shares.order])
    some = mean > 0
    gains = None if shares.gains is None else shares.gains[some]
    return replace(
        shares, order=shares.order[some], weights=(shares.weights * mean)[some], gains=gains
    )


def _shares_as_ranked(
    law: WeightLaw, groups: Groups, total: int, supply: Supply, ranked: IntVector | None
) -> Shares:
    if supply.unit == "token":
        raise InputError(
            f"the law {law.name} counts rows, and the budget is in tokens",
            place="weights",
            fix="give the budget in `rows`",
        )
    first = None if ranked is None else ranked[groups.rows[ranked] > 0]
    return _said(law, group_ground(groups, ranked=first), total)


def _said(law: WeightLaw, ground: Ground, rows: int) -> Shares:
    """What a law says of a ground, checked: it may be anybody's."""
    with at_work(law):
        shares = law.shares(ground, rows)
    order, weights, units = shares.order, shares.weights, len(ground.names)
    if not (
        len(order) == len(weights) == len(np.unique(order))
        and order.dtype.kind == "i"
        and weights.dtype == np.float64
        and ((order >= 0) & (order < units)).all()
        and (np.isfinite(weights) & (weights > 0)).all()
        and (shares.gains is None or len(shares.gains) == len(order))
    ):
        raise InputError(
            f"the weight law {law.name} did not name some of {units:,} {law.unit}s "
            "once, each with a weight above 0",
            place="weights",
        )
    return shares


def _check_chosen(held: IntVector, units: int, total: int, level: int, unit: Unit) -> None:
    name = f"{unit}s"
    some = len(held) < units and level == TASK
    fix = f"let `weights` choose more tasks, or lower `{name}`" if some else f"lower `{name}`"
    what = "chosen tasks" if level == TASK else "chosen groups"
    check_room(held, total, what, fix, unit)


def _allotment(
    tree: Tree,
    level: int,
    shares: Shares,
    given: IntVector,
    bounds: Bounds,
    supply: Supply,
    total: int,
) -> Allotment:
    """From what the law's units were given to all that is known of tasks and groups."""
    weights = scatter(shares.order, shares.weights, len(given))
    asked = scatter(shares.order, _asked(shares, total), len(given))
    if level == TEMPLATE:
        groups, begins = given, np.flatnonzero(np.diff(tree.above[TEMPLATE], prepend=-1))
        given, asked = tree.sums(given, TEMPLATE), tree.sums(asked, TEMPLATE)
        weights = np.add.reduceat(weights, begins) if len(begins) else weights
        order = np.flatnonzero(weights).astype(np.int64)
    else:
        order = shares.order
        groups = among_templates(tree, given, supply.held, bounds, shares.rounding)
    whole = weights.sum() if level == TEMPLATE else shares.weights.sum()
    return Allotment(
        groups=groups,
        tasks=given,
        order=order,
        weights=weights / whole if len(order) else weights,
        asked=asked,
        gains=_gains(shares, len(given)) if level == TASK else None,
        bounds=bounds,
        unit=supply.unit,
    )


def _asked(shares: Shares, total: int) -> IntVector:
    """What each unit would get by weight alone."""
    low = np.zeros(len(shares.order), dtype=np.int64)
    high = np.full(len(shares.order), total, dtype=np.int64)
    if shares.rounding == "greedy":
        return round_greedy(shares.weights, low, high, total)[0] if len(low) else low
    return rounded(shares.weights, low, high, total, shares.rounding)


def _gains(shares: Shares, size: int) -> FloatVector | None:
    if shares.gains is None:
        return None
    gains = np.full(size, np.nan)
    gains[shares.order] = shares.gains
    return gains
