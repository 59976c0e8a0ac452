"""Weights become whole numbers by a divisor method: who has a row at one total keeps it at every
larger one, so that mixtures of growing budgets are nested.

Rows go out one at a time; the next goes to the unit with the least (2 * has + 1) / weight among
those that may have more (Webster, Sainte-Laguë). Largest remainders are not so: at a larger total a
unit may get less (the Alabama paradox).
Source: Balinski and Young, Fair Representation (1982); bounds by starting at the floors, as for
every separable convex allocation.
"""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import ArrayLike

from smartx.budget.arguments import (
    FloatVector,
    IntVector,
    check_floors,
    check_room,
    reals,
    whole_number,
    whole_numbers,
)
from smartx.budget.rounding import exact_parts

_HALVINGS = 2_200  # of a float64, at most: its whole range and all of its digits


def webster(
    weights: ArrayLike, capacities: ArrayLike, total: int, floors: ArrayLike | None = None
) -> IntVector:
    """Share `total` by Webster's method, within floors and capacities.

    weights: (t,) > 0.  capacities, floors: (t,) int64.
    Returns (t,) int64 that sums to exactly `total`, of which none falls when the total rises and
    nothing else changes; ties go to the lower place. Comparisons are exact.
    Raises BudgetError if the capacities sum to less than `total`, or the floors to more.
    """
    held, total = whole_numbers("capacities", capacities), whole_number("total", total)
    values = reals("weights", weights, len(held))
    least = np.zeros_like(held) if floors is None else whole_numbers("floors", floors)
    check_room(held, total, "capacities", "lower the total")
    check_floors(least, held, total)
    parts = exact_parts(values)
    guess = _guessed(values, least, held, total) if total else least
    return _corrected(parts, guess.tolist(), least.tolist(), held.tolist(), total)


def _guessed(values: FloatVector, least: IntVector, held: IntVector, total: int) -> IntVector:
    """What a level gives, each its weight times the level, rounded: the largest level in float64
    at which they do not sum to more than `total`.
    """
    shares = values / values.max()
    low, high = 0.0, 2.0 * (int(held.max()) + 1) / float(shares[shares > 0].min())
    high = min(high, np.finfo(np.float64).max)
    for _ in range(_HALVINGS):
        middle = low + (high - low) / 2
        if not low < middle < high:
            break
        if int(_at(middle, shares, least, held).sum()) <= total:
            low = middle
        else:
            high = middle
    return _at(low, shares, least, held)


def _at(level: float, shares: FloatVector, least: IntVector, held: IntVector) -> IntVector:
    rounded = np.floor(np.minimum(level * shares + 0.5, 2.0**62))
    return np.clip(rounded.astype(np.int64), least, held)


class _Turn:
    """A row that a unit of `part` gets next, or got last, as the one after `has`: by
    (2 * has + 1) / part, then by place, compared exactly.
    """

    __slots__ = ("has", "part", "place")

    def __init__(self, has: int, part: int, place: int) -> None:
        self.has, self.part, self.place = has, part, place

    def before(self, other: _Turn) -> bool:
        mine = (2 * self.has + 1) * other.part
        theirs = (2 * other.has + 1) * self.part
        return mine < theirs or (mine == theirs and self.place < other.place)

    __lt__ = before


class _Back(_Turn):
    """The last to have got a row is the first to give it back."""

    __slots__ = ()

    def __lt__(self, other: _Turn) -> bool:
        return other.before(self)


def _corrected(
    parts: list[int], has: list[int], least: list[int], held: list[int], total: int
) -> IntVector:
    """From a guess to what the method says: one row at a time, given or taken back."""
    places = range(len(parts))
    nexts = [_Turn(has[i], parts[i], i) for i in places if has[i] < held[i]]
    lasts: list[_Turn] = [_Back(has[i] - 1, parts[i], i) for i in places if has[i] > least[i]]
    heapq.heapify(nexts)
    heapq.heapify(lasts)

    def move(place: int, by: int) -> None:
        has[place] += by
        if has[place] < held[place]:
            heapq.heappush(nexts, _Turn(has[place], parts[place], place))
        if has[place] > least[place]:
            heapq.heappush(lasts, _Back(has[place] - 1, parts[place], place))

    left = total - sum(has)
    while True:
        while nexts and nexts[0].has != has[nexts[0].place]:  # it moved on
            heapq.heappop(nexts)
        while lasts and lasts[0].has != has[lasts[0].place] - 1:
            heapq.heappop(lasts)
        if left > 0 or (not left and nexts and lasts and nexts[0].before(lasts[0])):
            move(heapq.heappop(nexts).place, 1)
            left -= 1
        elif left < 0:
            move(heapq.heappop(lasts).place, -1)
            left += 1
        else:
            return np.array(has, dtype=np.int64)
