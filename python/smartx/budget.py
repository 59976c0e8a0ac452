"""Shares become whole numbers of rows: they sum to the budget, and nobody gets more than they have.

Two ways of rounding: "greedy" is that of the published SMART scripts, to the row;
"largest-remainder" is used for the baselines. Inside a task the rows are split among its templates
by their sizes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smartx.errors import BudgetError, InputError
from smartx.weights import (
    Ground,
    Shares,
    TaylorSoftmax,
    WeightLaw,
    group_ground,
    sum_in_order,
    task_ground,
)

if TYPE_CHECKING:
    from smartx.corpus import Groups
    from smartx.corpus.corpus import Tasks

IntVector = NDArray[np.int64]
FloatVector = NDArray[np.float64]
FLAN_TEMPLATES = ("zs_opt", "zs_noopt", "fs_opt", "fs_noopt")


@dataclass(frozen=True, eq=False)
class Allotment:
    """Who gets how many rows, and how that came about.

    groups: (g,) int64 rows of each group.  tasks: (M,) int64 rows of each task; both sum to the
    total.
    order: (t,) int64, the tasks that the law chose, in its order.
    weights: (M,) float64, the law's shares, summing to 1; 0 for a task it did not choose.
    asked: (M,) int64, rows by weight alone, before any task's size was looked at.
    gains: (M,) float64, NaN for a task that was not chosen; None where the law has no gains.
    """

    groups: IntVector
    tasks: IntVector
    order: IntVector
    weights: FloatVector
    asked: IntVector
    gains: FloatVector | None


def allot(
    groups: Groups,
    law: WeightLaw,
    *,
    means: FloatVector | None,
    total: int,
    seed: int,
    left_out: int = 0,
) -> Allotment:
    """Budgets of all tasks and groups of a corpus under a weight law.

    means: (M, d) float64, mean vector of each task, or None where the law needs none.
    left_out: near duplicates that the groups do not count, for messages.
    Raises BudgetError if the corpus, or the tasks that the law chose, hold fewer than `total` rows.
    """
    total = check_total(groups, total, left_out=left_out)
    if law.unit == "group":
        return _allot_to_groups(groups, law, total, seed)
    tasks = groups.tasks()
    shares = _shares(law, task_ground(groups, means=means, seed=seed), total)
    capacities = tasks.rows[shares.order]
    some = len(shares.order) < len(tasks.rows)
    fix = "let `weights` choose more tasks, or lower `rows`" if some else "lower `rows`"
    _check_room(capacities, total, "chosen tasks", fix)
    asked, given = _round(shares, capacities, total)
    by_task = _scatter(shares.order, given, len(tasks.rows))
    return Allotment(
        groups=_among_templates(groups, tasks, shares.order, by_task),
        tasks=by_task,
        order=shares.order,
        weights=_scatter(shares.order, shares.weights / shares.weights.sum(), len(tasks.rows)),
        asked=_scatter(shares.order, asked, len(tasks.rows)),
        gains=_gains(shares, len(tasks.rows)),
    )


def check_total(groups: Groups, total: int, *, left_out: int = 0) -> int:
    """The total as a whole number. Raises BudgetError if the groups hold fewer rows.

    left_out: near duplicates that are not counted in the groups, for the message.
    """
    total = _whole_number("rows", total)
    what, fix = "groups of the corpus", "lower `rows`"
    if left_out:
        what += f", without {left_out:,} near duplicates,"
        fix = "raise `near_duplicates` or lower `rows`"
    _check_room(groups.rows, total, what, fix)
    return total


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
    held, total = _whole_numbers("capacities", capacities), _whole_number("total", total)
    values = _reals("gains", gains, len(held))
    _check_room(held, total, "tasks", "lower the total or take more tasks")
    return _round_greedy((law or TaylorSoftmax()).weights(values), held, total)[1]


def template_budgets(
    counts: ArrayLike, total: int, names: Sequence[str] | None = None
) -> IntVector:
    """Split a task's `total` rows among its templates by their sizes.

    counts: (k,) int64, rows of each template.  names: the templates; None: FLAN's zs_opt, zs_noopt,
    fs_opt, fs_noopt where there are 4 counts. With FLAN's names the published rule holds: zero-shot
    against few-shot first, then with against without options. Any other names: in proportion, by
    largest remainder.
    Returns (k,) int64 that sums to exactly `total`, never above a count.
    Raises BudgetError if the counts sum to less than `total`.
    """
    held, total = _whole_numbers("counts", counts), _whole_number("total", total)
    if names is None:
        names = FLAN_TEMPLATES if len(held) == 4 else [""] * len(held)
    if len(names) != len(held):
        raise InputError(f"{len(names)} names for {len(held)} counts", place="names")
    _check_room(held, total, "templates", "lower the total")
    if not set(names) <= set(FLAN_TEMPLATES) or len(set(names)) < len(names):
        return _scatter(
            np.flatnonzero(held), apportion(held[held > 0], held[held > 0], total), len(held)
        )
    slots = dict(zip(names, held.tolist(), strict=True))
    given = dict(
        zip(
            FLAN_TEMPLATES,
            _flan_split([slots.get(n, 0) for n in FLAN_TEMPLATES], total),
            strict=True,
        )
    )
    return np.array([given[name] for name in names], dtype=np.int64)


def apportion(weights: ArrayLike, capacities: ArrayLike, total: int) -> IntVector:
    """Share `total` in proportion to `weights` by largest remainder, never above a capacity.

    What a full one cannot take goes to the others in proportion to their weights ("water-filling").
    weights: (t,) > 0.  capacities: (t,) int64.  Returns (t,) int64 that sums to exactly `total`;
    equal remainders go to the lower place. Computed in whole numbers of any size: no rounding
    anywhere.
    Raises BudgetError if the capacities sum to less than `total`.
    """
    held, total = _whole_numbers("capacities", capacities), _whole_number("total", total)
    parts = _exact_parts(_reals("weights", weights, len(held)))
    _check_room(held, total, "capacities", "lower the total")
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


def _shares(law: WeightLaw, ground: Ground, total: int) -> Shares:
    """The shares of a law, checked: it may be anybody's."""
    shares = law.shares(ground, total)
    order, weights = shares.order, shares.weights
    if not (
        len(order) == len(weights) == len(np.unique(order))
        and order.dtype.kind == "i"
        and weights.dtype == np.float64
        and ((order >= 0) & (order < len(ground.names))).all()
        and (np.isfinite(weights) & (weights > 0)).all()
        and (shares.gains is None or len(shares.gains) == len(order))
    ):
        raise InputError(
            f"the weight law {law.name} did not name some of {len(ground.names):,} {law.unit}s "
            "once, each with a weight above 0",
            place="weights",
        )
    return shares


def _allot_to_groups(groups: Groups, law: WeightLaw, total: int, seed: int) -> Allotment:
    shares = _shares(law, group_ground(groups, seed=seed), total)
    _check_room(groups.rows[shares.order], total, "chosen groups", "lower `rows`")
    asked, given = _round(shares, groups.rows[shares.order], total)
    first = groups.tasks().first_group[:-1]
    by_group = _scatter(shares.order, given, len(groups))
    by_task = np.add.reduceat(by_group, first)
    weights = np.add.reduceat(_scatter(shares.order, shares.weights, len(groups)), first)
    return Allotment(
        groups=by_group,
        tasks=by_task,
        order=np.flatnonzero(weights).astype(np.int64),
        weights=weights / weights.sum() if total else weights,
        asked=np.add.reduceat(_scatter(shares.order, asked, len(groups)), first),
        gains=None,
    )


def _among_templates(
    groups: Groups, tasks: Tasks, chosen: IntVector, by_task: IntVector
) -> IntVector:
    """(g,) the budgets of the chosen tasks, split among their groups."""
    by_group, begins = np.zeros(len(groups), dtype=np.int64), tasks.first_group
    for task in chosen.tolist():
        first, last = int(begins[task]), int(begins[task + 1])
        if last == first + 1:  # nothing to split, and corpora may have very many such tasks
            by_group[first] = by_task[task]
            continue
        by_group[first:last] = template_budgets(
            groups.rows[first:last], int(by_task[task]), groups.template[first:last]
        )
    return by_group


def _round(shares: Shares, capacities: IntVector, total: int) -> tuple[IntVector, IntVector]:
    """What each chosen unit was asked for by weight alone, and what it is given."""
    if shares.rounding == "greedy":
        return _round_greedy(shares.weights, capacities, total)
    unbounded = np.full(len(capacities), total, dtype=np.int64)
    return apportion(shares.weights, unbounded, total), apportion(shares.weights, capacities, total)


def _round_greedy(
    weights: FloatVector, capacities: IntVector, total: int
) -> tuple[IntVector, IntVector]:
    scale = sum_in_order(weights)
    floors = [math.floor(total * weight / scale) for weight in weights.tolist()]
    asked = np.array(_topped_up(total, floors), dtype=np.int64)
    given = np.minimum(asked, capacities)
    return asked, given + _in_rounds(capacities - given, total - int(given.sum()))


def _topped_up(total: int, floors: list[int]) -> list[int]:
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


def _flan_split(counts: list[int], total: int) -> list[int]:
    """Budgets of zs_opt, zs_noopt, fs_opt, fs_noopt, by the rule of the published scripts.

    They fail on a task with few-shot rows and no zero-shot rows; here the few-shot rows get
    everything.
    """
    zero_shot, few_shot = counts[:2], counts[2:]
    first, second = _among_present([sum(zero_shot), sum(few_shot)], total)
    return _among_present(zero_shot, first) + _among_present(few_shot, second)


def _among_present(counts: list[int], total: int) -> list[int]:
    if 0 in counts:
        return [total if count else 0 for count in counts]
    return _topped_up(total, [total * count // sum(counts) for count in counts])


def _exact_parts(weights: FloatVector) -> list[int]:
    """Whole numbers in exactly the ratio of the weights. Raises InputError unless all are > 0."""
    if len(weights) and not (weights > 0).all():
        place = int(np.flatnonzero(~(weights > 0))[0])
        raise InputError(f"weight {place} is {weights[place]}; it must be above 0", place="weights")
    ratios = [weight.as_integer_ratio() for weight in weights.tolist()]
    scale = max((below for _, below in ratios), default=1)
    return [above * (scale // below) for above, below in ratios]


def _scatter(places: NDArray[Any], values: NDArray[Any], size: int) -> NDArray[Any]:
    spread = np.zeros(size, dtype=values.dtype)
    spread[places] = values
    return spread


def _gains(shares: Shares, size: int) -> FloatVector | None:
    if shares.gains is None:
        return None
    gains = np.full(size, np.nan)
    gains[shares.order] = shares.gains
    return gains


def _check_room(capacities: IntVector, total: int, what: str, fix: str) -> None:
    held = int(capacities.sum())
    if held < total:
        raise BudgetError(
            f"the {len(capacities):,} {what} hold {held:,} rows, "
            f"{total - held:,} fewer than the {total:,} asked",
            asked=total,
            available=held,
            fix=f"{fix}: at most {held:,}",
        )


def _whole_number(name: str, value: Any) -> int:
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer) or value < 0:
        raise InputError(f"it must be a whole number >= 0, not {value!r}", place=name)
    return int(value)


def _whole_numbers(name: str, values: ArrayLike) -> IntVector:
    array = np.asarray(values)
    if array.size == 0:
        array = array.astype(np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise InputError(
            f"it must be one row of whole numbers, not {array.dtype} of shape {array.shape}",
            place=name,
        )
    if (array < 0).any():
        place = int(np.flatnonzero(array < 0)[0])
        raise InputError(f"entry {place} is {array[place]}; it must be >= 0", place=name)
    return array.astype(np.int64)


def _reals(name: str, values: ArrayLike, length: int) -> FloatVector:
    array = np.asarray(values)
    if array.ndim != 1 or array.dtype.kind not in "iuf":
        raise InputError(
            f"it must be one row of numbers, not {array.dtype} of shape {array.shape}", place=name
        )
    array = array.astype(np.float64)
    if len(array) != length:
        raise InputError(f"{len(array)} entries for {length} capacities", place=name)
    if not np.isfinite(array).all():
        place = int(np.flatnonzero(~np.isfinite(array))[0])
        raise InputError(f"entry {place} is {array[place]}; it must be finite", place=name)
    return array
