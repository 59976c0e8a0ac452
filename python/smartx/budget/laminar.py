"""A total goes down the tree: to the units that the weight law chose, within the bounds of all that
stand above them, and from a task to its templates.

Units share by weight as if there were no sources, until a source (or task) would leave its bounds;
then it has its bound, shared among its own, and the others share what is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from smartx.budget.arguments import FloatVector, IntVector, scatter
from smartx.budget.demands import Bounds
from smartx.budget.divisor import webster
from smartx.budget.rounding import apportion, round_greedy
from smartx.budget.templates import template_budgets
from smartx.budget.tree import SOURCE, TEMPLATE, Tree
from smartx.weights.law import Rounding


def rounded(
    weights: FloatVector, low: IntVector, high: IntVector, total: int, rounding: Rounding
) -> IntVector:
    """(t,) int64 by weight that sum to `total`, within low and high, whose sums it is between.

    weights: (t,) float64 > 0, in the order in which "greedy" hands out what is left.
    """
    if rounding == "greedy":
        return round_greedy(weights, low, high, total)[1] if len(weights) else low
    share = webster if rounding == "monotone" else apportion
    return share(weights, high, total, low)


def among_units(
    tree: Tree,
    level: int,
    order: IntVector,
    weights: FloatVector,
    bounds: Bounds,
    total: int,
    rounding: Rounding,
) -> IntVector:
    """(k,) what each unit of a level gets of `total`. Those not in `order` get their lower bound.

    order, weights: as `weights.law.Shares` has them, of units of `level`: tasks or templates.
    """
    given: IntVector = bounds.low[level].copy()
    given[order] = 0
    left, above, rest = total - int(given.sum()), order, given
    chain: list[_Parents] = []
    for upper in range(level + 1, SOURCE + 1):
        above, rest = tree.above[upper - 1][above], tree.sums(rest, upper - 1)
        low = np.maximum(0, bounds.low[upper] - rest)  # of those who have more to get
        chain.append(_Parents(above, low, bounds.high[upper] - rest))
    units = _Units(weights, bounds.low[level][order], bounds.high[level][order], rounding)
    given[order] = units.among(np.arange(len(order)), chain, left)
    return given


@dataclass(frozen=True, eq=False)
class _Parents:
    """One level of what stands above units: of (t,) units the place of the parent, and the parents'
    bounds.
    """

    of: IntVector
    low: IntVector
    high: IntVector


@dataclass(frozen=True, eq=False)
class _Units:
    """Who shares: weights and bounds, in the order in which "greedy" hands out what is left."""

    weights: FloatVector
    low: IntVector
    high: IntVector
    rounding: Rounding

    def among(self, units: IntVector, chain: Sequence[_Parents], total: int) -> IntVector:
        """What each of `units` gets of `total`, within the bounds of their parents: a chain of
        levels, the nearest first.

        While the units sharing freely leave bounds of parents, those on the side that is left by
        more in all have their bound for good: then the others can keep theirs.
        Source: Bitran and Hax (1981).
        """
        if not chain:
            low, high = self.low[units], self.high[units]
            return rounded(self.weights[units], low, high, total, self.rounding)
        inner, parents = chain[:-1], chain[-1]
        given, still = np.zeros(len(units), dtype=np.int64), np.arange(len(units))
        while True:
            given[still] = self.among(units[still], inner, total)
            fixed, bound = _left_bounds(parents, parents.of[units[still]], given[still])
            if not len(fixed):
                return given
            for parent, its in zip(fixed.tolist(), bound.tolist(), strict=True):
                mine = still[parents.of[units[still]] == parent]
                given[mine] = self.among(units[mine], inner, its)
                total -= its
            still = still[~np.isin(parents.of[units[still]], fixed)]


def _left_bounds(parents: _Parents, of: IntVector, given: IntVector) -> tuple[IntVector, IntVector]:
    """The parents whose upper (or lower) bounds are left, on the side where it is more, and the
    bounds.
    """
    sums = np.zeros(len(parents.low), dtype=np.int64)
    np.add.at(sums, of, given)
    here = np.zeros(len(parents.low), dtype=np.bool_)
    here[of] = True
    over = np.where(here, np.maximum(0, sums - parents.high), 0)
    under = np.where(here, np.maximum(0, parents.low - sums), 0)
    upper = int(over.sum()) >= int(under.sum())
    fixed = np.flatnonzero(over if upper else under)
    return fixed, (parents.high if upper else parents.low)[fixed]


def among_templates(
    tree: Tree, by_task: IntVector, held: IntVector, bounds: Bounds, rounding: Rounding
) -> IntVector:
    """(g,) what each template gets of its task's amount: by their sizes, within their bounds.

    held: (g,) int64, what each template has: its weight. The published split stands where it is
    within the bounds, and rounding is not monotone.
    """
    given = np.zeros(len(held), dtype=np.int64)
    begins = np.searchsorted(tree.above[TEMPLATE], np.arange(len(by_task) + 1))
    low, high, names = bounds.low[TEMPLATE], bounds.high[TEMPLATE], tree.names[TEMPLATE]
    for task in np.flatnonzero(by_task).tolist():
        part = slice(int(begins[task]), int(begins[task + 1]))
        amount = int(by_task[task])
        if part.stop == part.start + 1:  # nothing to split, and corpora may have very many such
            given[part] = amount
            continue
        if rounding != "monotone":
            split = template_budgets(held[part], amount, [name[2] for name in names[part]])
            if ((low[part] <= split) & (split <= high[part])).all():
                given[part] = split
                continue
        given[part] = _by_size(held[part], low[part], high[part], amount, rounding)
    return given


def _by_size(
    held: IntVector, low: IntVector, high: IntVector, total: int, rounding: Rounding
) -> IntVector:
    some = np.flatnonzero(held)
    sizes = held[some].astype(np.float64)
    by: Rounding = "monotone" if rounding == "monotone" else "largest-remainder"
    return scatter(some, rounded(sizes, low[some], high[some], total, by), len(held))
