"""From the allotment of a budget to the rows of a ranking that it takes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from smartx.budget.allotment import Allotment
from smartx.budget.arguments import IntVector
from smartx.budget.take import Limit, Taken, take
from smartx.budget.tree import SOURCE, TASK, TEMPLATE, Tree, tree_of
from smartx.errors import BudgetError

if TYPE_CHECKING:
    from smartx.corpus import Groups

RankedBy = Literal["template", "task", "corpus"]


def chosen_rows(
    order: IntVector,
    groups: Groups,
    allotment: Allotment,
    *,
    ranked: RankedBy = "template",
    tokens: IntVector | None = None,
    included: NDArray[np.bool_] | None = None,
    takeable: NDArray[np.bool_] | None = None,
    epochs: int = 1,
) -> Taken:
    """The rows of a ranking of n rows that an allotment takes.

    order: (n,) int64 row ids, best first inside each template, task, or the corpus: `ranked`.
    groups: of the corpus, with all its rows.  tokens, included, takeable: (n,) by row id, as
    `supply_of` had them, which the allotment was made with.
    Each template takes its rows; each task, where tasks are ranked as a whole and no template has
    a demand of its own, so that the ranking says which templates its rows are of.
    Returns units that are templates or tasks, and places in `order`.
    """
    tree = tree_of(groups)
    level = TEMPLATE if ranked == "template" or allotment.for_templates else TASK
    unit = np.repeat(np.arange(len(groups), dtype=np.int64), groups.rows)
    if level == TASK:
        unit = tree.above[TEMPLATE][unit]
    taken_from, places = order, None
    if ranked != ("template", "task")[level]:  # each unit's rows in the order that all have
        places = np.argsort(unit[order], kind="stable")
        taken_from = order[places]
    found = take(
        np.bincount(unit, minlength=len(tree.names[level])).astype(np.int64),
        (allotment.groups, allotment.tasks)[level],
        tokens=None if tokens is None else tokens[taken_from],
        included=None if included is None else included[taken_from],
        takeable=None if takeable is None else takeable[taken_from],
        epochs=epochs,
        high=allotment.bounds.high[level],
        limits=_limits(tree, level, allotment),
        tasks=tree.above[TEMPLATE] if level == TEMPLATE else None,
    )
    if not len(found.places) and tokens is not None:
        _refuse_none(tokens if takeable is None else tokens[takeable], allotment)
    return found if places is None else replace(found, places=places[found.places])


def _refuse_none(tokens: IntVector, allotment: Allotment) -> None:
    """Raise BudgetError: no row fits into what the units get. tokens: of rows to be taken."""
    asked, least = int(allotment.tasks.sum()), int(tokens.min())
    raise BudgetError(
        f"no row fits into {asked:,} tokens; the shortest that may be taken has {least:,}",
        asked=asked,
        available=least,
        fix="raise `tokens`",
    )


def _limits(tree: Tree, level: int, allotment: Allotment) -> list[Limit]:
    """What those above the units may not exceed."""
    limits, of = [], np.arange(len(tree.names[level]), dtype=np.int64)
    for upper in range(level + 1, SOURCE + 1):
        of = tree.above[upper - 1][of]
        limits.append(Limit(of, allotment.bounds.high[upper]))
    return limits
