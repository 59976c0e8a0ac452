"""Which rows are in a mixture, and in which order they stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from smartx.draws import MIXTURE_ORDER, draws_at
from smartx.errors import BudgetError, InputError
from smartx.rankers import Rankings, Units, units_of
from smartx.rankers.rankings import Prefix

if TYPE_CHECKING:
    from smartx.corpus import Corpus


@dataclass(frozen=True, eq=False)
class Chosen:
    """The rows of a mixture, in its order.

    row_ids: (n,) int64 rows of the corpus, repeated only where there are `copies`.
    ranks: (n,) int32, place of each row in the ranking of its unit, 0 is best.
    gains: (n,) float64, marginal gain of each row when its unit's ranking took it.
    copies: (n,) int32, which copy of its row each is, from 0; None where rows are taken once.
    """

    row_ids: NDArray[np.int64]
    ranks: NDArray[np.int32]
    gains: NDArray[np.float64]
    copies: NDArray[np.int32] | None = None

    def __len__(self) -> int:
        return len(self.row_ids)


def assemble(
    corpus: Corpus,
    rankings: Rankings,
    budgets: NDArray[np.int64],
    *,
    of: str = "template",
    seed: int,
) -> Chosen:
    """The first rows of the rankings, shuffled by the seed.

    budgets: int64, rows of each group ("template") or each task of the corpus, as `of` says, or one
    number for the "corpus". Where other units were ranked, the rows of a group or task are taken in
    the order in which they stand in the ranking of these.
    The place of a row depends on the seed and its row id alone, so the rows that two mixtures share
    stand in the same order in both.
    Raises BudgetError where more is to be given than there is, rows that nobody takes left out.
    """
    groups = corpus.groups
    cells = units_of(groups, of)
    if len(budgets) != len(cells) or rankings.num_rows != corpus.num_rows:
        raise InputError(
            f"budgets for {len(budgets):,} of {len(cells):,} and rankings of "
            f"{rankings.num_rows:,} rows do not fit a corpus of {corpus.num_rows:,} rows"
        )
    kept = cells.of_groups(rankings.kept_of_groups(groups))
    over = np.flatnonzero((budgets > kept) | (budgets < 0))
    if len(over):
        cell = int(over[0])
        asked, held = int(budgets[cell]), int(kept[cell])
        raise BudgetError(
            f"{_WORDS[of]} {cell} holds {held:,} rows and {asked:,} are asked",
            asked=asked,
            available=held,
        )
    if of == rankings.per:
        taken = np.flatnonzero(budgets)
        prefixes = list(rankings.prefixes(cells.start[taken], budgets[taken]))
    else:
        prefixes = [_first_of_cells(rankings, rankings.units(groups), cells, budgets)]
    if not prefixes:
        return Chosen(np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0))
    row_ids, ranks, gains = (np.concatenate(column) for column in zip(*prefixes, strict=True))
    order = mixture_order(row_ids, seed)
    return Chosen(row_ids[order], ranks[order], gains[order])


@dataclass(frozen=True, eq=False)
class AllRanked:
    """Every row of rankings, best first in each unit, one unit after another.

    row_ids, ranks, gains: as `Chosen` has them.  takeable: (n,) by row id, which rows anybody may
    take: near duplicates and what was left out may not be.
    """

    row_ids: NDArray[np.int64]
    ranks: NDArray[np.int32]
    gains: NDArray[np.float64]
    takeable: NDArray[np.bool_]

    def chosen(
        self, places: NDArray[np.int64], copies: NDArray[np.int32] | None, *, seed: int
    ) -> Chosen:
        """The rows at some places, in the order of a mixture."""
        row_ids = self.row_ids[places]
        order = mixture_order(row_ids, seed, copies)
        own = None if copies is None else copies[order]
        return Chosen(row_ids[order], self.ranks[places][order], self.gains[places][order], own)


def all_ranked(corpus: Corpus, rankings: Rankings) -> AllRanked:
    """All rows of the rankings of a corpus, 20 bytes a row."""
    units = rankings.units(corpus.groups)
    parts = zip(*rankings.prefixes(units.start, units.rows), strict=True)
    row_ids, ranks, gains = (np.concatenate(part) for part in parts)
    takeable = np.zeros(corpus.num_rows, dtype=np.bool_)
    takeable[row_ids[ranks < np.repeat(rankings.kept(corpus.groups), units.rows)]] = True
    return AllRanked(row_ids, ranks, gains, takeable)


def mixture_order(
    row_ids: NDArray[np.int64], seed: int, copies: NDArray[np.int32] | None = None
) -> NDArray[np.int64]:
    """(k,) the places of rows in the order in which a mixture has them, copies of a row together.

    Where a row stands depends on the seed and its id alone.
    """
    keys = (row_ids, draws_at(seed, MIXTURE_ORDER, row_ids))
    order: NDArray[np.int64] = np.lexsort(keys if copies is None else (copies, *keys))
    return order


def _first_of_cells(
    rankings: Rankings, units: Units, cells: Units, budgets: NDArray[np.int64]
) -> Prefix:
    """The first rows of each cell, in the order of the units that were ranked."""
    whole = [
        np.concatenate(c) for c in zip(*rankings.prefixes(units.start, units.rows), strict=True)
    ]
    cell = np.searchsorted(cells.start, whole[0], side="right") - 1
    order = np.argsort(cell, kind="stable")
    begins = np.repeat(np.cumsum(cells.rows) - cells.rows, cells.rows)
    first = order[np.arange(len(order)) - begins < np.repeat(budgets, cells.rows)]
    row_ids, ranks, gains = (column[first] for column in whole)
    return row_ids, ranks, gains


_WORDS = {"template": "group", "task": "task", "corpus": "corpus"}
