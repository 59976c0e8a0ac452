"""What there is to be taken: rows or tokens, without what is excluded, and what must be taken."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from smartx.amounts import Amount, Percent
from smartx.budget.arguments import IntVector
from smartx.errors import BudgetError, InputError
from smartx.progress import counted

if TYPE_CHECKING:
    from smartx.corpus import Groups

TokenKind = Literal["all", "prompt", "response", "supervised"]
Unit = Literal["row", "token"]


@dataclass(frozen=True, eq=False)
class Supply:
    """What the groups of a corpus can give, and what they must.

    rows: (g,) int64, rows that may be taken.
    once: (g,) int64, these in the unit of the budget: rows, or their tokens.
    fixed: (g,) int64, what must be taken, in that unit.
    unit: of the budget.  epochs: how often a row may be taken.
    """

    rows: IntVector
    once: IntVector
    fixed: IntVector
    unit: Unit = "row"
    epochs: int = 1

    @property
    def held(self) -> IntVector:
        """(g,) what may be taken in all, in the unit of the budget."""
        return self.once * self.epochs

    def without(self, excluded: NDArray[np.bool_]) -> Supply:
        """Nothing of some groups. excluded: (g,)."""
        rows, once = (np.where(excluded, 0, values) for values in (self.rows, self.once))
        return replace(self, rows=rows, once=once)

    def rows_for(self, total: int) -> int:
        """About how many rows a total in the unit of the budget takes."""
        if self.unit == "row":
            return total
        rows, there = int(self.rows.sum()), int(self.once.sum())
        return min(rows * self.epochs, max(1, total * rows // max(1, there)))

    def total(self, amount: Amount) -> int:
        """A budget in whole rows or tokens; a percentage is of what may be taken, once.

        Raises BudgetError where that is less than one.
        """
        if not isinstance(amount, Percent):
            return amount
        there = int(self.once.sum())
        total = math.floor(amount.of(there))
        if not total:
            raise BudgetError(
                f"{amount} of {counted(there, self.unit)} is less than one",
                asked=1,
                available=0,
                fix="ask for more",
            )
        return total


def supply_of_rows(groups: Groups, *, epochs: int = 1) -> Supply:
    """All rows of the groups, none of which must be taken."""
    return Supply(groups.rows, groups.rows, np.zeros_like(groups.rows), epochs=epochs)


def check_both(
    must: NDArray[np.bool_],
    may: NDArray[np.bool_],
    number: Callable[[int], int],
    place: str = "include_rows",
) -> None:
    """Raise InputError where a row must be taken and may not.

    number: of a row id, as who named the row counts rows.
    """
    both = np.flatnonzero(must & ~may)
    if len(both):
        raise InputError(
            f"{counted(len(both), 'row')} must be included and may not be taken, such as row "
            f"{number(int(both[0])):,} (counted from 0)",
            place=place,
            fix="leave them out of one of the two",
        )


def supply_of(
    groups: Groups,
    *,
    tokens: NDArray[np.int64] | None = None,
    included: NDArray[np.bool_] | None = None,
    takeable: NDArray[np.bool_] | None = None,
    epochs: int = 1,
) -> Supply:
    """What may and must be taken of a corpus of n rows, of which some are looked at one by one.

    tokens: (n,) >= 0 by row id, where the budget is in tokens.  included: (n,) the rows that must
    be taken.  takeable: (n,) those that may; None: all.
    Raises InputError where a row must be taken and may not.
    """
    rows = int((groups.start + groups.rows).max(initial=0))
    may = np.ones(rows, dtype=np.bool_) if takeable is None else takeable
    must = np.zeros(rows, dtype=np.bool_) if included is None else included
    check_both(must, may, lambda row: row)
    amounts = np.ones(rows, dtype=np.int64) if tokens is None else tokens.astype(np.int64)
    return Supply(
        rows=_by_group(groups, may.astype(np.int64)),
        once=_by_group(groups, amounts * may),
        fixed=_by_group(groups, amounts * must),
        unit="row" if tokens is None else "token",
        epochs=epochs,
    )


def tokens_of(counts: NDArray[np.int32], kind: TokenKind) -> NDArray[np.int64]:
    """(n,) tokens of a kind. counts: (n, 2) of prompt and response, as `Corpus.token_counts`.

    Supervised are those of the response: what is learned from. Of a corpus of chats there are
    more, which `corpus.supervised` counts.
    """
    if kind == "all":
        return np.asarray(counts.sum(axis=1, dtype=np.int64))
    return counts[:, 0 if kind == "prompt" else 1].astype(np.int64)


def _by_group(groups: Groups, values: IntVector) -> IntVector:
    before = np.concatenate([[0], np.cumsum(values)])
    return np.asarray(before[groups.start + groups.rows] - before[groups.start])
