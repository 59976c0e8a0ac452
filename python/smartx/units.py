"""Work that can be divided: units that anybody makes, in any order, with the same bytes at the end.

A stage that can be divided says so at one point of its code: after all that it needs is there and
before it looks at what is missing, it gives its `Divided` to the function `divide` that its caller
passed. That may make units here (a share of them: `--shard i/N`) or have them made by other
processes (executors/). What is still missing when it returns the stage makes itself, then it
finishes: so a stage needs no other code for the command that finishes what all shards left.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from smartx.errors import ConfigError

_SHARD = re.compile(r"([0-9]{1,9})/([0-9]{1,9})")


@dataclass(frozen=True, slots=True)
class Unit:
    """A part of a stage that is made by itself.

    name: short, and the same wherever the stage is divided ("rank-00012").
    seconds: about how long one thread takes, by the cost model.  memory: bytes that it takes.
    """

    name: str
    seconds: float
    memory: int


class Divided(Protocol):
    """A stage in units. Everything depends on data, parameters and seed only: never on workers,
    threads, memory (but for `Unit.memory`), or on what was made already.
    """

    @property
    def name(self) -> str:
        """What is made, for people: "rank", "embed"."""

    @property
    def key(self) -> str:
        """Names what is made, how, and of what: two that make the same have the same key."""

    def units(self) -> Sequence[Unit]:
        """All units, in order."""

    def done(self, unit: Unit) -> bool:
        """Whether what the unit makes is there, whole."""

    def make(self, unit: Unit, advance: Callable[[int], None]) -> None:
        """Make a unit. Its files have names and bytes that depend on it alone, and appear whole
        (`files.committing`, with a sidecar), so that two who make it at once do no harm.

        advance: told how many rows are done, as they are.
        """

    def split(self, unit: Unit) -> Sequence[Unit]:
        """Smaller units that together do the same, for one that ends whoever makes it; none where
        it cannot be split. Once all of them are done, the unit is.
        """

    def close(self) -> None:
        """End what `make` opened, if anything: whoever was given this to make units calls it."""


Divide = Callable[[Divided], None]


def share(units: Sequence[Unit], shard: int, of: int) -> list[Unit]:
    """The units of one shard of so many, as `shares` has them."""
    return shares(units, of)[shard]


def shares(units: Sequence[Unit], of: int) -> list[list[Unit]]:
    """The units of each shard: longest first, each to the shard with the least to do.

    Ties go to lower names and lower shards. Every unit is in exactly one shard. Seconds count in
    thousandths, so that the last bit of a float, which processors may disagree about, decides
    nothing.
    """
    found: list[list[Unit]] = [[] for _ in range(of)]
    loads = [(0, shard) for shard in range(of)]  # a heap: the least to do, the lowest shard first
    for unit in longest_first(units):
        load, shard = loads[0]
        heapq.heapreplace(loads, (load + max(1, _thousandths(unit)), shard))
        found[shard].append(unit)
    return found


def longest_first(units: Sequence[Unit]) -> list[Unit]:
    """In the order in which units are begun."""
    return sorted(units, key=lambda unit: (-_thousandths(unit), unit.name))


def _thousandths(unit: Unit) -> int:
    return round(unit.seconds * 1000)


def shard_of(text: str) -> tuple[int, int]:
    """Which shard of how many "2/8" means: (2, 8). Raises ConfigError."""
    found = _SHARD.fullmatch(text)
    shard, of = (int(number) for number in found.groups()) if found else (0, 0)
    if shard >= of:
        raise ConfigError(
            f"it must be i/N with 0 <= i < N, such as 0/4 for the first of four (given: {text!r})",
            place="shard",
        )
    return shard, of
