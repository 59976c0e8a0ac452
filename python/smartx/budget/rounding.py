"""Weights become whole numbers that sum to a total: as published, or by largest remainder."""

from __future__ import annotations

import math

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
from smartx.errors import InputError
from smartx.weights import TaylorSoftmax, sum_in_order


def task_budgets(
    gains: ArrayLike, capacities: ArrayLike, total: int, law: TaylorSoftmax | None = None
) -> IntVector:
    """Share `total` rows among tasks by 1 + g + g²/2, never above a task's capacity.

    gains: (t,) float64 in greedy order.  capacities: (t,) int64, rows that each task holds,
    aligned.
    law: its temperature counts; None is TaylorSoftmax().
    Returns (t,) int64, aligned, that sums to exactly `total`. Rounding gives +1 to the first tasks;
    what is above a capacity goes out +1 at a time, round and round in greedy order, to the tasks
    with room.
    Raises BudgetError if the capacities sum to less than `total`, and says by how much.
    Source: SMART (Renduchintala et al., 2024), as its published scripts do it.

    >>> import smartx
    >>> smartx.task_budgets([2.0, 1.0, 0.0], [100, 100, 100], 17)
    array([10,  5,  2])
    """
    held, total = whole_numbers("capacities", capacities), whole_number("total", total)
    values = reals("gains", gains, len(held))
    check_room(held, total, "tasks", "lower the total or take more tasks")
    weights = (law or TaylorSoftmax()).weights(values)
    return round_greedy(weights, np.zeros_like(held), held, total)[1]


def apportion(
    weights: ArrayLike, capacities: ArrayLike, total: int, floors: ArrayLike | None = None
) -> IntVector:
    """Share `total` in proportion to `weights` by largest remainder, never above a capacity.

    What a full one cannot take goes to the others in proportion to their weights ("water-filling"),
    and so is taken from them what a floor needs.
    weights: (t,) > 0.  capacities: (t,) int64.  floors: (t,) int64, at most the capacities; None
    for none.
    Returns (t,) int64 that sums to exactly `total`; equal remainders go to the lower place.
    Computed in whole numbers of any size: no rounding anywhere.
    Raises BudgetError if the capacities sum to less than `total`, or the floors to more.
    """
    held, total = whole_numbers("capacities", capacities), whole_number("total", total)
    parts = exact_parts(reals("weights", weights, len(held)))
    least = np.zeros_like(held) if floors is None else whole_numbers("floors", floors)
    check_room(held, total, "capacities", "lower the total")
    check_floors(least, held, total)
    given, still = _water_filled(parts, least.tolist(), held.tolist(), total)
    left, scale = total - sum(given), sum(parts[i] for i in still)
    rests = []
    for i in still:
        given[i], rest = divmod(left * parts[i], scale)
        rests.append((-rest, i))
    for _, i in sorted(rests)[: total - sum(given)]:
        given[i] += 1
    return np.array(given, dtype=np.int64)


def _water_filled(
    parts: list[int], floors: list[int], caps: list[int], total: int
) -> tuple[list[int], list[int]]:
    """Who gets exactly the floor or the cap (0 where nobody does), and the places of the others,
    who share the rest by their parts without any meeting a bound.

    While shares by parts alone leave the bounds, those on the side that is left by more in all are
    at their bound for good.
    Source: Bitran and Hax (1981), for resource allocation with bounds.
    """
    given, still = [0] * len(parts), list(range(len(parts)))
    left, scale = total, sum(parts)
    while still:
        full = [i for i in still if left * parts[i] >= caps[i] * scale]
        short = [i for i in still if left * parts[i] < floors[i] * scale]
        if not full and not short:
            break
        over = sum(left * parts[i] - caps[i] * scale for i in full)
        under = sum(floors[i] * scale - left * parts[i] for i in short)
        fixed, bounds = (full, caps) if full and over >= under else (short, floors)
        for i in fixed:
            given[i] = bounds[i]
        taken = set(fixed)
        still = [i for i in still if i not in taken]
        left, scale = total - sum(given), sum(parts[i] for i in still)
    return given, still


def round_greedy(
    weights: FloatVector, floors: IntVector, capacities: IntVector, total: int
) -> tuple[IntVector, IntVector]:
    """As published: floors of the shares, what is left in order; then within the bounds.

    Returns what is asked for by weight alone, and what is given. What a capacity withholds goes out
    +1 at a time, round and round in order; what a floor needs comes back in the same way.
    """
    scale = sum_in_order(weights)
    wholes = [math.floor(total * weight / scale) for weight in weights.tolist()]
    asked = np.array(topped_up(total, wholes), dtype=np.int64)
    given = np.clip(asked, floors, capacities)
    lacking = total - int(given.sum())
    if lacking < 0:
        return asked, given - _in_rounds(given - floors, -lacking)
    return asked, given + _in_rounds(capacities - given, lacking)


def topped_up(total: int, floors: list[int]) -> list[int]:
    """+1 to the first parts in order, round and round, until they sum to `total`."""
    parts, left = list(floors), total - sum(floors)
    for i in range(left):
        parts[i % len(parts)] += 1
    while left < 0:  # float64 rounded a share up: the last one gives it back
        parts[max(i for i, part in enumerate(parts) if part)] -= 1
        left += 1
    return parts


def _in_rounds(room: IntVector, surplus: int) -> IntVector:
    """Hand out `surplus` +1 at a time, round and round in order, to those with room.

    After `level` whole rounds everyone has got min(room, level); the rest is one +1 each for the
    first ones that still have room. So the rounds are not walked through, only the level is looked
    for.
    """
    low, high = 0, surplus
    while low < high:
        middle = (low + high + 1) // 2
        if int(np.minimum(room, middle).sum()) <= surplus:
            low = middle
        else:
            high = middle - 1
    got = np.minimum(room, low)
    more = np.flatnonzero(room > low)[: surplus - int(got.sum())]
    got[more] += 1
    return got


def exact_parts(weights: FloatVector) -> list[int]:
    """Whole numbers in exactly the ratio of the weights. Raises InputError unless all are > 0."""
    if len(weights) and not (weights > 0).all():
        place = int(np.flatnonzero(~(weights > 0))[0])
        raise InputError(f"weight {place} is {weights[place]}; it must be above 0", place="weights")
    ratios = [weight.as_integer_ratio() for weight in weights.tolist()]
    scale = max((below for _, below in ratios), default=1)
    return [above * (scale // below) for above, below in ratios]
