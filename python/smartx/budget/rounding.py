"""Weights become whole numbers that sum to a total: as published, or by largest remainder."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from smartx.budget.arguments import (
    FloatVector,
    IntVector,
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
    """
    held, total = whole_numbers("capacities", capacities), whole_number("total", total)
    values = reals("gains", gains, len(held))
    check_room(held, total, "tasks", "lower the total or take more tasks")
    return round_greedy((law or TaylorSoftmax()).weights(values), held, total)[1]


def apportion(weights: ArrayLike, capacities: ArrayLike, total: int) -> IntVector:
    """Share `total` in proportion to `weights` by largest remainder, never above a capacity.

    What a full one cannot take goes to the others in proportion to their weights ("water-filling").
    weights: (t,) > 0.  capacities: (t,) int64.  Returns (t,) int64 that sums to exactly `total`;
    equal remainders go to the lower place. Computed in whole numbers of any size: no rounding
    anywhere.
    Raises BudgetError if the capacities sum to less than `total`.
    """
    held, total = whole_numbers("capacities", capacities), whole_number("total", total)
    parts = _exact_parts(reals("weights", weights, len(held)))
    check_room(held, total, "capacities", "lower the total")
    caps, given = held.tolist(), [0] * len(held)
    still, left, scale = list(range(len(caps))), total, sum(parts)
    while full := [i for i in still if left * parts[i] >= caps[i] * scale]:
        for i in full:
            given[i] = caps[i]
        taken = set(full)
        still = [i for i in still if i not in taken]
        left, scale = total - sum(given), sum(parts[i] for i in still)
    rests = []
    for i in still:
        given[i], rest = divmod(left * parts[i], scale)
        rests.append((-rest, i))
    for _, i in sorted(rests)[: total - sum(given)]:
        given[i] += 1
    return np.array(given, dtype=np.int64)


def round_greedy(
    weights: FloatVector, capacities: IntVector, total: int
) -> tuple[IntVector, IntVector]:
    """By floors, what is left in order: what is asked for by weight alone, and what is given."""
    scale = sum_in_order(weights)
    floors = [math.floor(total * weight / scale) for weight in weights.tolist()]
    asked = np.array(topped_up(total, floors), dtype=np.int64)
    given = np.minimum(asked, capacities)
    return asked, given + _in_rounds(capacities - given, total - int(given.sum()))


def topped_up(total: int, floors: list[int]) -> list[int]:
    """+1 to the first parts in order, round and round, until they sum to `total`."""
    parts, left = list(floors), total - sum(floors)
    for i in range(left):
        parts[i % len(parts)] += 1
    while (
        left < 0
    ):  # float64 rounded a share up to the next whole number: the last one gives it back
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


def _exact_parts(weights: FloatVector) -> list[int]:
    """Whole numbers in exactly the ratio of the weights. Raises InputError unless all are > 0."""
    if len(weights) and not (weights > 0).all():
        place = int(np.flatnonzero(~(weights > 0))[0])
        raise InputError(f"weight {place} is {weights[place]}; it must be above 0", place="weights")
    ratios = [weight.as_integer_ratio() for weight in weights.tolist()]
    scale = max((below for _, below in ratios), default=1)
    return [above * (scale // below) for above, below in ratios]
