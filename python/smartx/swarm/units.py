"""What a swarm varies: tasks, or sources whose tasks keep their ratios among each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from smartx.errors import InputError
from smartx.weights import Given, Ground

Level = Literal["task", "source"]
Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Units:
    """Units over the M tasks of a corpus.

    tasks: (source, task) of each.  names: of the p units, all different.  of_task: (M,) the unit of
    each task.  inside: (M,) its part of its unit; these sum to 1 in every unit that has any.
    """

    tasks: tuple[tuple[str, str], ...]
    names: tuple[str, ...]
    of_task: NDArray[np.int64]
    inside: Vector

    def gathered(self, amounts: NDArray[Any]) -> Vector:
        """(p,) the sums of amounts (M,) of tasks."""
        return np.bincount(self.of_task, amounts, len(self.names)).astype(np.float64)

    def spread(self, shares: Vector) -> Vector:
        """(M,) the shares of tasks. shares: (p,)."""
        found: Vector = shares[self.of_task] * self.inside
        return found

    def most(self, held: NDArray[Any]) -> Vector:
        """(p,) the largest amount of each unit at which no task of it gives more than it holds.

        held: (M,) what a task may give, its repetitions counted.
        """
        having = self.inside > 0
        amounts = np.divide(held, self.inside, out=np.full(len(held), np.inf), where=having)
        found: Vector = np.full(len(self.names), np.inf)
        np.minimum.at(found, self.of_task, amounts)
        return np.where(np.isfinite(found), found, 0.0)

    def law(self, shares: Vector) -> Given:
        """The weight law that gives units these shares, (p,).

        Raises InputError where names of tasks cannot be told apart in patterns.
        """
        wanted = self.spread(shares)
        law, ones = Given(parts_of(self.tasks, wanted)), np.ones(len(wanted), dtype=np.int64)
        law.check(self.tasks)
        found = law.shares(Ground(self.tasks, np.cumsum(ones) - 1, ones, None, 0), 1)
        if not np.array_equal(found.weights, wanted[found.order]):
            raise InputError(
                "names of tasks cannot be told apart: one is called as the source and name of "
                "another",
                place="weights",
                fix="rename one, or ingest with --source",
            )
        return law

    def facts(self) -> list[dict[str, Any]]:
        """As swarm.json has them: a unit an entry, with its tasks."""
        return [
            {
                "name": name,
                "tasks": [
                    {"source": self.tasks[i][0], "task": self.tasks[i][1], "part": part}
                    for i, part in enumerate(self.inside.tolist())
                    if self.of_task[i] == place
                ],
            }
            for place, name in enumerate(self.names)
        ]

    @classmethod
    def of_facts(cls, facts: Sequence[Mapping[str, Any]]) -> Units:
        """The units that `facts` described."""
        told = [(place, task) for place, unit in enumerate(facts) for task in unit["tasks"]]
        return cls(
            tuple((str(task["source"]), str(task["task"])) for _, task in told),
            tuple(str(unit["name"]) for unit in facts),
            np.array([place for place, _ in told], dtype=np.int64),
            np.array([task["part"] for _, task in told], dtype=np.float64),
        )


def units_of(tasks: Sequence[tuple[str, str]], given: NDArray[Any], level: Level) -> Units:
    """The units of a corpus. tasks: (source, task) of each.  given: (M,) what the prior gives them.

    Raises InputError where fewer than two units have anything.
    """
    if level == "task":
        names = [*called(tasks)]
        of_task, inside = np.arange(len(tasks)), np.ones(len(tasks))
    else:
        names = list(dict.fromkeys(source for source, _ in tasks))
        of_task = np.array([names.index(source) for source, _ in tasks])
        whole = np.bincount(of_task, given, len(names))[of_task]
        inside = np.divide(given, whole, out=np.zeros(len(tasks)), where=whole > 0)
    found = Units(tuple(tasks), tuple(names), of_task.astype(np.int64), inside)
    having = int((found.gathered(given) > 0).sum())
    if having < 2:
        raise InputError(
            f"{having} {level}s have rows in the prior, and a swarm varies two or more",
            place="level" if level == "source" else "weights",
            fix="vary the level task" if level == "source" else "choose a law of more tasks",
        )
    return found


def called(tasks: Sequence[tuple[str, str]]) -> list[str]:
    """Names of tasks that differ: with their source where two sources have one of that name."""
    often = Counter(task for _, task in tasks)
    return [task if often[task] == 1 else f"{source}/{task}" for source, task in tasks]


def parts_of(tasks: Sequence[tuple[str, str]], shares: Vector) -> dict[str, float]:
    """The parts of the law `given` that give each task just its share, of those that have one."""
    return {
        _literal(name): share
        for name, share in zip(called(tasks), shares.tolist(), strict=True)
        if share > 0
    }


def _literal(name: str) -> str:
    """A pattern that fits this name alone; one that ends with a slash would mean a source."""
    found = "".join(f"[{char}]" if char in "*?[" else char for char in name)
    return f"{found[:-1]}[/]" if found.endswith("/") else found
