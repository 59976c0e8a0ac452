"""Sources hold tasks, tasks hold templates: what demands address and budgets go down through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from smartx.budget.arguments import IntVector
from smartx.errors import ConfigError

if TYPE_CHECKING:
    from smartx.corpus import Groups

TEMPLATE, TASK, SOURCE = range(3)
LEVELS = ("template", "task", "source")


@dataclass(frozen=True, eq=False)
class Tree:
    """The units of a corpus on three levels; of each level, by place: templates 0, tasks 1,
    sources 2.

    names: of the units: (source, task, template), (source, task), (source,).
    above: the place one level higher of each template (g,) and of each task (M,), int64.
    """

    names: tuple[Sequence[tuple[str, ...]], ...]
    above: tuple[IntVector, IntVector]

    def sums(self, values: IntVector, level: int) -> IntVector:
        """Values of the units of a level, summed for the units one level higher."""
        sums = np.zeros(len(self.names[level + 1]), dtype=np.int64)
        np.add.at(sums, self.above[level], values)
        return sums

    def addressed(self, pattern: str) -> tuple[int, NDArray[np.int64]]:
        """The level that a pattern means, and the places of the units that fit it, not none.

        SOURCE/ means sources, TASK or SOURCE/TASK tasks, SOURCE/TASK/TEMPLATE templates; * and ?
        stand for any signs, / too. What fits a task means tasks, and else templates.
        Raises ConfigError where nothing fits, with a name that is meant perhaps.
        """
        levels = (SOURCE,) if pattern.endswith("/") else (TASK, TEMPLATE)
        for level in levels:
            fits = [any(fnmatchcase(w, pattern) for w in _written(n)) for n in self.names[level]]
            if any(fits):
                return level, np.flatnonzero(fits)
        known = [word for level in levels for name in self.names[level] for word in _written(name)]
        close = get_close_matches(pattern, known[:10_000], 1)
        raise ConfigError(
            f"no {' or '.join(LEVELS[level] for level in levels)} of the corpus is called so",
            place=pattern,
            fix=f"did you mean {close[0]}?"
            if close
            else "name SOURCE/, TASK, SOURCE/TASK or SOURCE/TASK/TEMPLATE; * and ? may stand in it",
        )

    def called(self, level: int, place: int) -> str:
        """A unit, for messages."""
        return f"the {LEVELS[level]} {'/'.join(filter(None, self.names[level][place]))}"


def tree_of(groups: Groups) -> Tree:
    """The tree of a corpus, whose groups of one task are neighbours."""
    tasks = groups.tasks()
    place: dict[str, int] = {}
    source_of = [place.setdefault(source, len(place)) for source in tasks.source]
    return Tree(
        (
            list(zip(groups.source, groups.task, groups.template, strict=True)),
            list(zip(tasks.source, tasks.task, strict=True)),
            [(source,) for source in place],
        ),
        (
            np.repeat(np.arange(len(tasks), dtype=np.int64), np.diff(tasks.first_group)),
            np.array(source_of, dtype=np.int64),
        ),
    )


def _written(name: tuple[str, ...]) -> tuple[str, ...]:
    """How a pattern may write the name of a unit."""
    if len(name) == 1:
        return (f"{name[0]}/",)
    return (name[1], "/".join(name)) if len(name) == 2 else ("/".join(name),)
