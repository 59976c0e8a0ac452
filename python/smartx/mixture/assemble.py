"""Which rows are in a mixture, and in which order they stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from smartx.draws import MIXTURE_ORDER, draws_at
from smartx.errors import BudgetError, InputError
from smartx.rankers import Rankings

if TYPE_CHECKING:
    from smartx.corpus import Corpus


@dataclass(frozen=True, eq=False)
class Chosen:
    """The rows of a mixture, in its order.

    row_ids: (n,) int64 rows of the corpus, no repeats.
    ranks: (n,) int32, place of each row in the ranking of its group, 0 is best.
    gains: (n,) float64, marginal gain of each row when its group's ranking took it.
    """

    row_ids: NDArray[np.int64]
    ranks: NDArray[np.int32]
    gains: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.row_ids)


def assemble(
    corpus: Corpus, rankings: Rankings, group_budgets: NDArray[np.int64], *, seed: int
) -> Chosen:
    """The first rows of every group's ranking, shuffled by the seed.

    group_budgets: (g,) int64, rows of each group of the corpus.
    The place of a row depends on the seed and its row id alone, so the rows that two mixtures share
    stand in the same order in both.
    Raises BudgetError where a group is to give more than it holds, near duplicates left out.
    """
    groups = corpus.groups
    if len(group_budgets) != len(groups) or rankings.num_rows != corpus.num_rows:
        raise InputError(
            f"budgets for {len(group_budgets):,} groups and rankings of "
            f"{rankings.num_rows:,} rows do not fit a corpus of {len(groups):,} groups "
            f"and {corpus.num_rows:,} rows"
        )
    kept = rankings.kept(groups.rows)
    over = np.flatnonzero((group_budgets > kept) | (group_budgets < 0))
    if len(over):
        group = int(over[0])
        asked, held = int(group_budgets[group]), int(kept[group])
        raise BudgetError(
            f"group {group} holds {held:,} rows and {asked:,} are asked",
            asked=asked,
            available=held,
        )
    taken = np.flatnonzero(group_budgets)
    prefixes = list(rankings.prefixes(groups.start[taken], group_budgets[taken]))
    if not prefixes:
        return Chosen(np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0))
    row_ids, ranks, gains = (np.concatenate(column) for column in zip(*prefixes, strict=True))
    order = np.lexsort((row_ids, draws_at(seed, MIXTURE_ORDER, row_ids)))
    return Chosen(row_ids[order], ranks[order], gains[order])
