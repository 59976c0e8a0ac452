"""Demands: how much a source, task or template gets at least, at most, exactly, or not at all.

They become bounds, low and high, of every unit: from the templates up, a unit's bounds are its own
demand within the sums of what stands below it. What cannot be is said with its demand and by how
much.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from smartx.amounts import Amount, Percent, demands, patterns
from smartx.budget.arguments import IntVector
from smartx.budget.tree import LEVELS, SOURCE, TEMPLATE, Tree
from smartx.errors import BudgetError, ConfigError
from smartx.progress import counted

_FREE = np.iinfo(np.int64).max
_NOT_CHOSEN = "what the weight law did not choose"
INCLUDED = "the rows that must be included"
_NAMED = 3  # demands that a message names


@dataclass(frozen=True)
class Demands:
    """What is demanded, by pattern (`Tree.addressed`); every unit that fits has the demand for
    itself.

    Amounts (5000, "5k", "10%") are rows, or tokens where the budget is in tokens, or percentages of
    the budget, which are met within one: of a floor a part of a row counts for none, of a cap for
    one.
    floors: at least; of a pattern with * or ? all of a unit that has less.  caps: at most.
    pins: floor and cap at once.  excludes: nothing at all.
    Of several floors (or caps) that fit a unit the first counts, a pin before floors and caps, and
    before all of them an exclusion of the unit or of what stands above it.

    >>> import smartx
    >>> demands = smartx.Demands(floors={"odes": 2}, caps={"sums": "40%"})
    >>> tasks = ["sums"] * 10 + ["odes"] * 4 + ["tales"] * 6
    >>> smartx.select(tasks=tasks, budget=10, preset="proportional", demands=demands).budgets
    array([2, 4, 4])
    """

    floors: Mapping[str, Amount] = field(default_factory=dict)
    caps: Mapping[str, Amount] = field(default_factory=dict)
    pins: Mapping[str, Amount] = field(default_factory=dict)
    excludes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        reads = {"floors": demands, "caps": demands, "pins": demands, "excludes": patterns}
        for name, read in reads.items():
            try:
                object.__setattr__(self, name, read(getattr(self, name)))
            except ValueError as problem:
                raise ConfigError(str(problem), place=name) from None

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.floors or self.caps or self.pins or self.excludes)

    def facts(self) -> dict[str, object]:
        """As a manifest has them: numbers, and percentages as they are written."""
        kinds = {"floors": self.floors, "caps": self.caps, "pins": self.pins}
        found: dict[str, object] = {
            kind: {name: str(one) if isinstance(one, Percent) else one for name, one in of.items()}
            for kind, of in kinds.items()
            if of
        }
        return found | ({"excludes": list(self.excludes)} if self.excludes else {})

    def levels(self, tree: Tree) -> set[int]:
        """On which levels there are floors, caps or pins.

        Raises ConfigError for a pattern that fits nothing, exclusions too.
        """
        for pattern in self.excludes:
            _addressed(tree, pattern, "exclude")
        kinds = (("floor", self.floors), ("cap", self.caps), ("pin", self.pins))
        return {_addressed(tree, pattern, kind)[0] for kind, of in kinds for pattern in of}

    def excluded(self, tree: Tree, fixed: IntVector) -> NDArray[np.bool_]:
        """(g,) whether nothing of a template may be taken. fixed: (g,) what must be.

        Raises BudgetError where something must.
        """
        out = np.zeros(len(tree.names[TEMPLATE]), dtype=np.bool_)
        for pattern in self.excludes:
            *_, (_, places) = _taken_out(tree, pattern)
            out[places] = True
            must = places[fixed[places] > 0]
            if len(must):
                raise BudgetError(
                    f"the exclude {pattern} takes out {tree.called(TEMPLATE, int(must[0]))}, of "
                    "which rows must be included",
                    asked=int(fixed[must].sum()),
                    available=0,
                    fix="do not include them, or do not exclude it",
                )
        return out


@dataclass(frozen=True, eq=False)
class Bounds:
    """How much the units of each level get at least and at most: by level, (k,) int64."""

    low: tuple[IntVector, ...]
    high: tuple[IntVector, ...]


@dataclass(frozen=True, eq=False)
class _Own:
    """The demands of one level's units: amounts, and by which demand ("floor math=500")."""

    floor: IntVector
    cap: IntVector
    floor_by: list[str]
    cap_by: list[str]


def bounds_of(
    tree: Tree,
    demands: Demands,
    *,
    fixed: IntVector,
    held: IntVector,
    total: int,
    chosen: tuple[int, NDArray[np.bool_]],
    unit: str = "row",
) -> Bounds:
    """The bounds of every unit under the demands.

    fixed, held: (g,) int64, what must and what can be taken of each template, exclusions applied.
    total: the budget.  chosen: a level, and which of its units the weight law chose; the others
    get no more than they must.  unit: row or token, for messages.
    Raises BudgetError that names the demand that cannot be met and by how much; ConfigError for one
    that fits no unit.
    """
    work = _Working(tree, unit)
    low, high, lows, highs = fixed, held, [], []
    for level, own in enumerate(_own_demands(tree, demands, total, held)):
        low, high = work.bounded(level, own, low, high)
        if level == chosen[0]:
            high = work.chosen(chosen[1], low, high)
        lows.append(low)
        highs.append(high)
        if level < SOURCE:
            low, high = tree.sums(low, level), tree.sums(high, level)
    work.check_total(int(low.sum()), int(high.sum()), total)
    return Bounds(tuple(lows), tuple(highs))


class _Working:
    """Bounds being made; remembers which demand asked for or withheld how much."""

    def __init__(self, tree: Tree, unit: str) -> None:
        self._tree, self._unit = tree, unit
        self._asks: Counter[str] = Counter()
        self._cuts: Counter[str] = Counter()

    def bounded(
        self, level: int, own: _Own, low: IntVector, high: IntVector
    ) -> tuple[IntVector, IntVector]:
        """The bounds of a level, of those that what stands below it has together."""
        if level == TEMPLATE and low.any():
            self._asks[INCLUDED] += int(low.sum())
        for place in np.flatnonzero((own.floor > np.minimum(high, own.cap)) | (low > own.cap)):
            self._fail(level, int(place), own, int(low[place]), int(high[place]))
        for place in np.flatnonzero(own.floor > low).tolist():
            self._asks[own.floor_by[place]] += int(own.floor[place] - low[place])
        for place in np.flatnonzero(own.cap < high).tolist():
            self._cuts[own.cap_by[place]] += int(high[place] - own.cap[place])
        return np.maximum(low, own.floor), np.minimum(high, own.cap)

    def chosen(self, law: NDArray[np.bool_], low: IntVector, high: IntVector) -> IntVector:
        """The upper bounds once the weight law has chosen."""
        found = np.where(law, high, low)
        self._cuts[_NOT_CHOSEN] += int((high - found).sum())
        return found

    def check_total(self, low: int, high: int, total: int) -> None:
        """Raise where the demands together leave no way to `total`."""
        if low > total:
            raise BudgetError(
                f"{_most(self._asks)} ask for {self._of(low)} together, {low - total:,} more than "
                f"the budget of {total:,}",
                asked=low,
                available=total,
                fix=f"lower one of them, or make the budget at least {low:,}",
            )
        if high < total:
            raise BudgetError(
                f"{_most(self._cuts)} leave {self._of(high)} to be taken, {total - high:,} fewer "
                f"than the budget of {total:,}",
                asked=total,
                available=high,
                fix=f"let more be taken, or make the budget at most {high:,}",
            )

    def _fail(self, level: int, place: int, own: _Own, low: int, high: int) -> NoReturn:
        floor, cap = int(own.floor[place]), int(own.cap[place])
        named = self._tree.called(level, place)
        if floor > min(high, cap):
            most = min(high, cap)
            why = f"under the {own.cap_by[place]}" if cap < high else "of what may be taken"
            raise BudgetError(
                f"the {own.floor_by[place]} asks for {self._of(floor)} of {named}, which has "
                f"{most:,} {why}: {floor - most:,} too many",
                asked=floor,
                available=most,
                fix=f"ask for at most {most:,}",
            )
        asking = [f"floors of its {LEVELS[level - 1]}s"] if {*self._asks} - {INCLUDED} else []
        asking += [INCLUDED] if INCLUDED in self._asks else []
        raise BudgetError(
            f"the {own.cap_by[place]} leaves {self._of(cap)} to {named}, where "
            f"{' and '.join(asking)} need {low:,}: {low - cap:,} too many",
            asked=low,
            available=cap,
            fix=f"raise it to at least {low:,}",
        )

    def _of(self, amount: int) -> str:
        return counted(amount, self._unit)


def _own_demands(tree: Tree, demands: Demands, total: int, held: IntVector) -> list[_Own]:
    found, there = [], [held]
    for level in range(SOURCE):
        there.append(tree.sums(there[level], level))
    for names in tree.names:
        count = len(names)
        floor, cap = np.zeros(count, np.int64), np.full(count, _FREE)
        found.append(_Own(floor, cap, [""] * count, [""] * count))
    out = [np.zeros(len(names), dtype=np.bool_) for names in tree.names]
    for pattern in demands.excludes:
        for level, places in _taken_out(tree, pattern):
            out[level][places] = True
    for kind, amounts in (("pin", demands.pins), ("floor", demands.floors), ("cap", demands.caps)):
        for pattern, amount in amounts.items():
            level, places = _addressed(tree, pattern, kind)
            low, high = _whole(amount, total)
            own, said = found[level], f"{kind} {pattern}={amount}"
            some = kind == "floor" and any(sign in pattern for sign in "*?")
            for place in places[~out[level][places]].tolist():
                if kind != "cap" and not own.floor_by[place]:
                    own.floor[place] = min(low, int(there[level][place])) if some else low
                    own.floor_by[place] = said
                if kind != "floor" and not own.cap_by[place]:
                    own.cap[place], own.cap_by[place] = high, said
    return found


def _taken_out(tree: Tree, pattern: str) -> list[tuple[int, NDArray[np.int64]]]:
    """The units that an exclusion takes out: by level, those that it means, then those below."""
    level, places = _addressed(tree, pattern, "exclude")
    found = [(level, places)]
    for below in range(level - 1, TEMPLATE - 1, -1):
        places = np.flatnonzero(np.isin(tree.above[below], places))
        found.append((below, places))
    return found


def _whole(amount: Amount, total: int) -> tuple[int, int]:
    """What it is as a floor, and as a cap."""
    if not isinstance(amount, Percent):
        return amount, amount
    part = amount.of(total)
    return math.floor(part), math.ceil(part)


def _addressed(tree: Tree, pattern: str, kind: str) -> tuple[int, NDArray[np.int64]]:
    try:
        return tree.addressed(pattern)
    except ConfigError as problem:
        raise ConfigError(problem.fault, place=f"{kind} {pattern}", fix=problem.fix) from None


def _most(amounts: Counter[str]) -> str:
    """The demands that ask for most, or withhold most, named."""
    named = [f"{what} ({amount:,})" for what, amount in amounts.most_common(_NAMED) if amount]
    more = sum(1 for amount in amounts.values() if amount) - len(named)
    return ", ".join(named) + (f" and {more:,} more" if more > 0 else "")
