"""Which rows a budget takes of rankings: of each unit the first ones that fit.

Rows that must be included come first in their unit, rows that may not be taken are passed over. In
tokens, each unit takes as many rows as fit into its budget; what is then left of the whole goes out
a row at a time, to the task furthest behind its budget, and of its units to the one furthest behind
its own whose next row fits. So a task of many templates, none of which is given as much as a row
has, still gets what it was given.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smartx.budget.arguments import IntVector
from smartx.errors import BudgetError


@dataclass(frozen=True, eq=False)
class Limit:
    """What units may not exceed together. of: (u,) whose part each unit is.  high: by these."""

    of: IntVector
    high: IntVector


@dataclass(frozen=True, eq=False)
class Taken:
    """What a budget took.

    places: (k,) int64, places in the ranking, unit after unit, each in its order; a row that is
    taken more than once stands there once for each time, in rounds.
    copies: (k,) int32, how often the row was taken before.
    units: (u,) int64 rows taken of each unit, copies counted.
    amounts: (u,) int64 in the unit of the budget.
    """

    places: IntVector
    copies: NDArray[np.int32]
    units: IntVector
    amounts: IntVector


def take(
    sizes: IntVector,
    budgets: IntVector,
    *,
    tokens: IntVector | None = None,
    included: NDArray[np.bool_] | None = None,
    takeable: NDArray[np.bool_] | None = None,
    epochs: int = 1,
    high: IntVector | None = None,
    limits: Sequence[Limit] = (),
    tasks: IntVector | None = None,
) -> Taken:
    """The rows that budgets take of n ranked rows in u units, one unit after the other.

    sizes: (u,) rows of each unit.  budgets: (u,) rows of each unit, or tokens if `tokens` is given.
    tokens: (n,) int64 >= 0.  included, takeable: (n,) which rows must, and may, be taken; None:
    none must, all may. All arrays follow the ranking.  epochs: how often a row may be taken.
    high, limits: what a unit, and what units together, may not exceed where rows go out one at a
    time.  tasks: (u,) whose part each unit is; None: each is one of its own. Only budgets in tokens
    need these.
    Raises BudgetError where a unit has fewer rows (or tokens) than its budget.
    """
    lines = _lined_up(sizes, included, takeable)
    if tokens is None:
        return _taken(lines, _rows_of(lines, budgets, epochs), None)
    mine = tokens[lines.places]
    counts = _Tokens(lines, mine, budgets, epochs)
    counts.prefixes()
    own = np.arange(len(sizes)) if tasks is None else tasks
    counts.top_up(budgets if high is None else high, limits, own)
    return _taken(lines, counts.passes * lines.sizes + counts.rows, mine)


@dataclass(frozen=True, eq=False)
class _Lines:
    """The rows that may be taken, in the order in which they are.

    places: (m,) int64 in the ranking.  sizes, starts: (u,) int64 of each unit in `places`.
    must: (u,) int64, how many of the first must be taken.
    """

    places: IntVector
    sizes: IntVector
    starts: IntVector
    must: IntVector


def _lined_up(
    sizes: IntVector,
    included: NDArray[np.bool_] | None,
    takeable: NDArray[np.bool_] | None,
) -> _Lines:
    rows = int(sizes.sum())
    places = np.arange(rows) if takeable is None else np.flatnonzero(takeable)
    starts = np.cumsum(sizes) - sizes
    if takeable is not None:
        before = np.concatenate([[0], np.cumsum(takeable, dtype=np.int64)])
        sizes = before[starts + sizes] - before[starts]
        starts = np.cumsum(sizes) - sizes
    must = np.zeros_like(sizes)
    if included is not None and included.any():
        first = included[places]
        unit = np.repeat(np.arange(len(sizes)), sizes)
        places = places[np.argsort(2 * unit + ~first, kind="stable")]
        must = np.bincount(unit[first], minlength=len(sizes)).astype(np.int64)
    return _Lines(places, sizes, starts, must)


def _rows_of(lines: _Lines, budgets: IntVector, epochs: int) -> IntVector:
    """The budgets, checked."""
    _check(budgets, lines.sizes * epochs, "rows")
    return budgets


def _check(budgets: IntVector, held: IntVector, unit: str) -> None:
    for place in np.flatnonzero(budgets > held):
        raise BudgetError(
            f"unit {place} has {held[place]:,} {unit} to be taken and {budgets[place]:,} are asked",
            asked=int(budgets[place]),
            available=int(held[place]),
        )


def _taken(lines: _Lines, counts: IntVector, tokens: IntVector | None) -> Taken:
    """The first `counts` rows of each line, begun anew where it ends."""
    unit = np.repeat(np.arange(len(counts)), counts)
    inside = np.arange(len(unit)) - np.repeat(np.cumsum(counts) - counts, counts)
    copies = np.zeros(len(unit), dtype=np.int32)
    if (counts > lines.sizes).any():
        rounds, inside = np.divmod(inside, lines.sizes[unit])
        copies = rounds.astype(np.int32)
    at = inside + lines.starts[unit]
    amounts = counts
    if tokens is not None:
        before = np.concatenate([[0], np.cumsum(tokens[at])])
        stops = np.cumsum(counts)
        amounts = before[stops] - before[stops - counts]
    return Taken(lines.places[at], copies, counts, amounts)


class _Tokens:
    """How far each unit's line is taken: `passes` times as a whole and then `rows` of it."""

    def __init__(self, lines: _Lines, tokens: IntVector, budgets: IntVector, epochs: int) -> None:
        self._lines, self._tokens, self._budgets, self._epochs = lines, tokens, budgets, epochs
        self._sums = np.concatenate([[0], np.cumsum(tokens)])  # before each row of all lines
        begins, ends = self._sums[lines.starts], self._sums[lines.starts + lines.sizes]
        self._whole = ends - begins
        _check(budgets, self._whole * epochs, "tokens")
        self.passes, self.rows = np.zeros_like(budgets), np.zeros_like(budgets)

    def prefixes(self) -> None:
        """The longest prefix of each line that fits into its budget."""
        lines, whole = self._lines, self._whole
        some = self._budgets > 0
        self.passes = np.where(whole > 0, self._budgets // np.maximum(whole, 1), some)
        rest = self._budgets - self.passes * whole
        upto = np.searchsorted(self._sums[1:], self._sums[lines.starts] + rest, side="right")
        fits = np.minimum(upto - lines.starts, lines.sizes)
        rows = np.where(some & (rest > 0) & (self.passes < self._epochs), fits, 0)
        rows = np.where(self.passes == 0, np.maximum(rows, lines.must), rows)
        done = (rows == lines.sizes) & (rows > 0)  # a line of nothing but rows without tokens
        self.passes, self.rows = self.passes + done, np.where(done, 0, rows)

    def top_up(self, high: IntVector, limits: Sequence[Limit], tasks: IntVector) -> None:
        """One row at a time, while any fits into what is left of the whole budget."""
        used = self.passes * self._whole + self._partly()
        left = int(self._budgets.sum() - used.sum())
        room = high - used
        rooms = [limit.high - _sums(limit.of, used, len(limit.high)) for limit in limits]
        queue = _Queue(self._budgets - used, tasks, high > 0)
        while (unit := queue.pop()) is not None:
            upper = [(here, int(limit.of[unit])) for here, limit in zip(rooms, limits, strict=True)]
            most = min(left, int(room[unit]), *(int(here[at]) for here, at in upper))
            needed = self._next(unit)
            if needed is None or needed > most:
                continue  # for good: what is left only shrinks
            self._advance(unit)
            left -= needed
            room[unit] -= needed
            for here, at in upper:
                here[at] -= needed
            queue.push(unit, needed)

    def _partly(self) -> IntVector:
        starts = self._lines.starts
        return np.asarray(self._sums[starts + self.rows] - self._sums[starts])

    def _next(self, unit: int) -> int | None:
        """The tokens of the row that a unit would take next."""
        if self.passes[unit] >= self._epochs or not self._lines.sizes[unit]:
            return None
        return int(self._tokens[self._lines.starts[unit] + self.rows[unit]])

    def _advance(self, unit: int) -> None:
        self.rows[unit] += 1
        if self.rows[unit] == self._lines.sizes[unit]:
            self.passes[unit] += 1
            self.rows[unit] = 0


def _sums(of: IntVector, values: IntVector, size: int) -> IntVector:
    sums = np.zeros(size, dtype=np.int64)
    np.add.at(sums, of, values)
    return sums


class _Queue:
    """Units by how far their tasks are behind, then by how far they are themselves; of equal ones
    the lower task, the lower unit.
    """

    def __init__(self, behind: IntVector, tasks: IntVector, served: NDArray[np.bool_]) -> None:
        self._of = tasks.tolist()
        size = int(tasks.max(initial=-1)) + 1
        self._behind = behind.tolist()
        self._of_tasks = _sums(tasks, behind, size).tolist()
        self._units: list[list[tuple[int, int]]] = [[] for _ in range(size)]
        for unit in np.flatnonzero(served).tolist():
            self._units[self._of[unit]].append((-self._behind[unit], unit))
        for own in self._units:
            heapq.heapify(own)
        self._tasks = [(-self._of_tasks[task], task) for task in range(size) if self._units[task]]
        heapq.heapify(self._tasks)

    def pop(self) -> int | None:
        """The first unit, which is no longer in the queue; None: there is none."""
        if not self._tasks:
            return None
        own = self._units[self._tasks[0][1]]
        unit = heapq.heappop(own)[1]
        if not own:
            heapq.heappop(self._tasks)
        return unit

    def push(self, unit: int, taken: int) -> None:
        """A unit that was popped last and has taken so much since comes back."""
        task = self._of[unit]
        self._behind[unit] -= taken
        self._of_tasks[task] -= taken
        own = self._units[task]
        entry = (-self._of_tasks[task], task)
        if own:  # the task still stands first
            heapq.heapreplace(self._tasks, entry)
        else:
            heapq.heappush(self._tasks, entry)
        heapq.heappush(own, (-self._behind[unit], unit))
