"""Which rows a weight law and a budget take of rankings on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from smartx.budget import Allotment, Budget, allot, chosen_rows, supply_of, total_of
from smartx.mixture.assemble import Chosen, all_ranked, assemble
from smartx.rankers import Rankings
from smartx.weights import WeightLaw

if TYPE_CHECKING:
    from smartx.corpus import Corpus


@dataclass(frozen=True, eq=False)
class Picked:
    """The rows of a mixture, who got how much, and (n,) the tokens by row id where they counted."""

    chosen: Chosen
    allotment: Allotment
    tokens: NDArray[np.int64] | None


def choose(
    corpus: Corpus,
    rankings: Rankings,
    law: WeightLaw,
    budget: Budget,
    *,
    means: NDArray[np.float64] | None,
    features: Mapping[str, NDArray[Any]],
    seed: int,
) -> Picked:
    """The first rows of the rankings, as many of each task as the law and the demands say.

    means: (M, d) float64 of the tasks, or None where the law needs none.
    features: what else it needs, as `Ground` has it.
    Raises BudgetError where there are too few rows, or demands cannot be met.
    """
    asked = {
        "means": means,
        "features": features,
        "seed": seed,
        "demands": budget.demands,
        "rounding": budget.rounding,
    }
    take = _row_by_row if budget.by_row else _prefixes
    return take(corpus, rankings, law, budget, asked, seed)


def _prefixes(
    corpus: Corpus,
    rankings: Rankings,
    law: WeightLaw,
    budget: Budget,
    asked: dict[str, Any],
    seed: int,
) -> Picked:
    """The first rows of rankings: no other row is read."""
    groups = corpus.groups.resized(rankings.kept_of_groups(corpus.groups))
    gone = corpus.num_rows - int(groups.rows.sum())
    total = total_of(budget.amount, groups, None, budget.demands)
    if law.follows_ranking:  # of the whole corpus
        best = rankings.prefix(0, int(groups.rows.sum()))[0]
        asked["ranked"] = corpus.groups.of_rows(best)
    allotment = allot(groups, law, total=total, left_out=gone, told_of=corpus.groups, **asked)
    by_task = rankings.per != "template" and not allotment.for_templates
    budgets, of = (allotment.tasks, "task") if by_task else (allotment.groups, "template")
    return Picked(assemble(corpus, rankings, budgets, of=of, seed=seed), allotment, None)


def _row_by_row(
    corpus: Corpus,
    rankings: Rankings,
    law: WeightLaw,
    budget: Budget,
    asked: dict[str, Any],
    seed: int,
) -> Picked:
    """Rows for a budget in tokens, with rows that must be in or may not be, or in copies."""
    ranked = all_ranked(corpus, rankings)
    limits = budget.limits(corpus, ranked.takeable)
    supply = supply_of(corpus.groups, **limits)
    gone = corpus.num_rows - int(np.count_nonzero(ranked.takeable))
    total = total_of(budget.amount, corpus.groups, supply, budget.demands)
    if law.follows_ranking:
        may = limits["takeable"]
        best = ranked.row_ids if may is None else ranked.row_ids[may[ranked.row_ids]]
        asked["ranked"] = corpus.groups.of_rows(best)
    allotment = allot(corpus.groups, law, total=total, left_out=gone, supply=supply, **asked)
    per: Any = rankings.per
    taken = chosen_rows(ranked.row_ids, corpus.groups, allotment, ranked=per, **limits)
    copies = taken.copies if budget.epochs > 1 else None
    chosen = ranked.chosen(taken.places, copies, seed=seed)
    return Picked(chosen, allotment, limits["tokens"])
