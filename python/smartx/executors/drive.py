"""Hand the units of a stage out, longest first, until all are made.

A unit whose maker dies is handed out again; faults that a worker tells of (a full disk, a strategy
that fails) are not tried again. One that ended three makers is split, and what does so even then is
set aside: everything else is made, and the error names it.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from smartx.errors import ConfigError, WorkerError
from smartx.progress import Progress, counted, size, step
from smartx.units import Divided, Unit, longest_first

TRIES = 3  # deaths of its maker until a unit is split, or set aside
_LOST_NODES = 20  # times that its node may vanish, which is no fault of the unit
_SHOWN = 10  # names in an error


@dataclass(frozen=True)
class Heard:
    """What became of a unit. death: how its maker ended, or nothing: it is made.

    blameless: the maker ended for reasons that no unit has.
    """

    unit: str
    death: str = ""
    blameless: bool = False


class Crew(Protocol):
    """Those who make units."""

    @property
    def memory(self) -> int:
        """Bytes that a unit may take, at most."""

    def room(self) -> int:
        """How many more units may be given now."""

    def fits(self, unit: Unit) -> bool:
        """Whether there is memory for it beside those that were given."""

    def give(self, unit: Unit) -> None:
        """Have a unit made."""

    def hear(self) -> Sequence[Heard]:
        """What became of units that were given, waiting for something if need be.

        Raises what a worker tells that went wrong.
        """


def missing_units(work: Divided) -> list[Unit]:
    """The units that are not there yet, in the order in which they are begun."""
    return [unit for unit in longest_first(work.units()) if not work.done(unit)]


def drive(work: Divided, crew: Crew, progress: Progress) -> None:
    """Have every unit made that is not there yet.

    Raises WorkerError that names the units which ended all who tried them, once all others are
    made; and what a worker tells that went wrong, at once. What was made stays in both cases.
    Raises ConfigError before any work where one needs more memory than there is.
    """
    missing = missing_units(work)
    check_memory(missing, crew.memory)
    hands = _Hands(work, crew, progress)
    with step(progress, f"{work.name} units", len(missing), "units") as advance:
        for unit in hands.made(missing):
            if "." not in unit.name:
                advance(1)
    hands.check()


def check_memory(units: Sequence[Unit], memory: int) -> None:
    """Raise ConfigError where a unit needs more than so many bytes."""
    most = max(units, key=lambda unit: unit.memory, default=None)
    if most is not None and most.memory > memory:
        raise ConfigError(
            f"{most.name} needs about {size(most.memory)} in one worker, and {size(memory)} may be "
            "used",
            place="memory",
            fix=f"pass `memory` {-(-most.memory >> 20)}M if a machine has it",
        )


class _Hands:
    """Who makes what, and how often that went wrong."""

    def __init__(self, work: Divided, crew: Crew, progress: Progress) -> None:
        self._work, self._crew, self._progress = work, crew, progress
        self._waiting: deque[Unit] = deque()
        self._given: dict[str, Unit] = {}
        self._deaths: Counter[str] = Counter()
        self._vanished: Counter[str] = Counter()
        self._aside: dict[str, str] = {}

    def made(self, units: Sequence[Unit]) -> Iterator[Unit]:
        """Each unit when it is made."""
        self._waiting.extend(units)
        while self._waiting or self._given:
            while (unit := self._next()) is not None:
                self._given[unit.name] = unit
                self._crew.give(unit)
            for heard in self._crew.hear():
                unit = self._given.pop(heard.unit)
                if heard.death:
                    self._died(unit, heard)
                else:
                    yield unit

    def _next(self) -> Unit | None:
        """The first one that may be given now."""
        if not self._waiting or self._crew.room() <= 0:
            return None
        found = next((unit for unit in self._waiting if self._crew.fits(unit)), None)
        if found is not None:
            self._waiting.remove(found)
        return found

    def check(self) -> None:
        """Raise WorkerError where units were set aside."""
        if not self._aside:
            return
        names = sorted(self._aside)
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        told = ", ".join(f"{name} ({self._aside[name]})" for name in names[:_SHOWN])
        raise WorkerError(
            f"{counted(len(names), 'unit')} of {self._work.name} ended whoever made "
            f"{'it' if len(names) == 1 else 'them'}: {told}{more}",
            fix="all others are made and kept; where memory ran out, ask for fewer processes, or "
            "for more memory",
        )

    def _died(self, unit: Unit, heard: Heard) -> None:
        counts = self._vanished if heard.blameless else self._deaths
        counts[unit.name] += 1
        if counts[unit.name] < (_LOST_NODES if heard.blameless else TRIES):
            self._waiting.append(unit)
            return
        smaller = [one for one in self._work.split(unit) if not self._work.done(one)]
        if smaller:
            self._progress.note(f"{unit.name} ended {TRIES} workers: it is split")
            self._waiting.extend(longest_first(smaller))
        else:
            self._progress.note(f"{unit.name} is set aside: {heard.death}")
            self._aside[unit.name] = heard.death
