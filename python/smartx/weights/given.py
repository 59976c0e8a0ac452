"""Shares that somebody gives, by name: hand weights.

    share of a task = part of its pattern * min(size, cap) / sum of these over the pattern's tasks
FLAN 2022 (Longpre et al., 2023; flan/v2/mixtures.py) is mixed so, with hand weights of its five
collections and a cap for the tasks of each:

    weights:
      name: given
      parts: {flan2021/*: 0.4, t0/*: 0.32, niv2/*: 0.2, cot/*: 0.05, dialog/*: 0.03}
      caps: {flan2021/*: 30000, t0/*: 20000, niv2/*: 5000, cot/*: 100000, dialog/*: 200000}
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from smartx.errors import ConfigError
from smartx.options import by_name, number, whole
from smartx.weights.law import Ground, Shares, WeightLaw

_GLOB = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Given(WeightLaw):
    """Patterns, their parts of the mixture, and within each the tasks by their sizes.

    parts: by pattern, in any unit. A pattern is a task, SOURCE/TASK, either with * and ?, or
    SOURCE/ for all of a source; a task belongs to the first one that it fits, and gets nothing
    where it fits none.
    caps: by pattern: a larger task counts as one of this size.
    """

    parts: Annotated[Mapping[str, float], by_name(number(0, above=True))]
    caps: Annotated[Mapping[str, int], by_name(whole(1))] = field(default_factory=dict)

    name: ClassVar[str] = "given"

    def check(self, names: Sequence[tuple[str, ...]]) -> None:
        """Every pattern has a task."""
        for parameter in ("parts", "caps"):
            patterns: Mapping[str, float] = getattr(self, parameter)
            found = set(_first_fit(patterns, names).tolist())
            for place, pattern in enumerate(patterns):
                if place not in found:
                    tasks = [task for name in names for task in (name[1], "/".join(name[:2]))]
                    close = get_close_matches(pattern, tasks, 1)
                    others = any(_fits(pattern, name) for name in names)
                    raise ConfigError(
                        "its tasks belong to patterns before it"
                        if others
                        else "no task of the corpus is called so",
                        place=f"{parameter}.{pattern}",
                        fix=f"did you mean {close[0]}?" if close and not others else "",
                    )

    def shares(self, ground: Ground, total: int) -> Shares:
        """The tasks that hold a row and have a part, in corpus order."""
        self.check(ground.names)
        part, cap = (_first_fit(patterns, ground.names) for patterns in (self.parts, self.caps))
        caps = np.array([*self.caps.values(), np.iinfo(np.int64).max])[cap]  # the last: no cap
        sizes = np.minimum(ground.rows, caps).astype(np.float64)
        whole = np.bincount(part + 1, sizes, len(self.parts) + 1)[1:]
        order = np.flatnonzero((part >= 0) & (ground.rows > 0)).astype(np.int64)
        of = part[order]
        return Shares(order, np.array([*self.parts.values()])[of] * sizes[order] / whole[of])


def _first_fit(patterns: Iterable[str], names: Sequence[tuple[str, ...]]) -> NDArray[np.int64]:
    """(M,) the place of the first pattern that fits each task, -1 where none does."""
    numbered = [(place, _whole_source(one)) for place, one in enumerate(patterns)]
    plain = {pattern: place for place, pattern in numbered if not _GLOB.search(pattern)}
    globs = [(place, pattern) for place, pattern in numbered if pattern not in plain]

    def first(name: tuple[str, ...]) -> int:
        found = [plain[one] for one in (name[1], "/".join(name[:2])) if one in plain]
        least = min(found, default=len(numbered))
        fits = (place for place, one in globs if place < least and _fits(one, name))
        least = next(fits, least)
        return least if least < len(numbered) else -1

    return np.array([first(name) for name in names], dtype=np.int64)


def _whole_source(pattern: str) -> str:
    """SOURCE/ as the glob that it is short for."""
    return f"{pattern}*" if pattern.endswith("/") else pattern


def _fits(pattern: str, name: tuple[str, ...]) -> bool:
    source, task = name[:2]
    pattern = _whole_source(pattern)
    return fnmatchcase(task, pattern) or fnmatchcase(f"{source}/{task}", pattern)
