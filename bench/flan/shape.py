"""How many rows each (task, template) of a corpus has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

FULL_ROWS = 17_600_000
CATEGORIES = 160
FOUR = {"fs_noopt": 0.2, "fs_opt": 0.3, "zs_noopt": 0.2, "zs_opt": 0.3}
TWO = {"fs_opt": 0.5, "zs_opt": 0.5}
DIALOG = {"fs_opt": 0.2, "zs_opt": 0.8}  # the largest groups: about 158,000 rows
ONE = {"zs_opt": 1.0}
TINY_TASKS, TINY_MOST = 100_000, 50
ONE_GROUP_ROWS = 1_000_000


@dataclass(frozen=True)
class Submix:
    """One part of FLAN 2022. rows: of all its tasks together, before the total is met.

    median, sigma, lowest, highest: of the lognormal sizes of its tasks; sigma 0: sizes as given.
    """

    name: str
    tasks: int
    rows: int
    templates: dict[str, float]
    median: float = 0
    sigma: float = 0
    lowest: float = 1
    highest: float = np.inf
    given: tuple[int, ...] = ()

    def sizes(self, rng: np.random.Generator) -> np.ndarray:
        """(tasks,) rows of each task, not yet whole numbers; they sum to `rows`."""
        if self.given:
            drawn = np.array(self.given, dtype=np.float64)
        else:
            drawn = rng.lognormal(np.log(self.median), self.sigma, self.tasks)
            drawn = np.clip(drawn, self.lowest, self.highest)
        return drawn * (self.rows / drawn.sum())


# In the order in which a corpus sorts their names.
SUBMIXES = (
    Submix("cot", 18, 184_000, FOUR, 8_000, 0.8, 1_000, 40_000),
    Submix("dialog", 4, 554_000, DIALOG, given=(200_000, 200_000, 77_000, 77_000)),
    Submix("flan2021", 70, 5_360_000, FOUR, 60_000, 0.8, 1, 160_000),
    Submix("niv2", 1_555, 10_070_000, TWO, 6_000, 0.5),
    Submix("t0", 193, 1_650_000, FOUR, 6_000, 0.9, 1, 40_000),
)


@dataclass(frozen=True, eq=False)
class Shape:
    """The groups of a corpus, in the order in which ingest puts them.

    source, task, template: (g,) names of each group.  task_of: (g,) int64, the task's number.
    sizes: (g,) int64 >= 1.  starts: (g + 1,) int64, the number of its first row; the last is n.
    """

    source: list[str]
    task: list[str]
    template: list[str]
    task_of: np.ndarray
    sizes: np.ndarray
    starts: np.ndarray

    @property
    def rows(self) -> int:
        return int(self.starts[-1])

    @property
    def tasks(self) -> int:
        return int(self.task_of[-1]) + 1

    @property
    def pairs(self) -> int:
        """Pairs of rows inside groups: what ranking costs."""
        return int((self.sizes * self.sizes).sum())

    def files(self, most: int) -> Iterator[tuple[int, int]]:
        """Runs of whole groups (first, last) of one source, of about `most` rows at most."""
        first = 0
        for group in range(1, len(self.sizes) + 1):
            end = group == len(self.sizes)
            if (
                end
                or self.source[group] != self.source[first]
                or self.starts[group + 1] - self.starts[first] > most
            ):
                yield first, group
                first = group


def flan(fraction: float, keep: str, seed: int) -> Shape:
    """FLAN 2022, or a part of it.

    keep: "groups" takes that part of each submix's tasks, of all sizes, with all their rows: time
    then grows with the rows. "tasks" takes that part of the rows of every task.
    """
    rng = np.random.default_rng([seed, 1])
    total = sum(submix.rows for submix in SUBMIXES)
    found: list[tuple[str, str, str, int, int]] = []
    task_number = 0
    for submix in SUBMIXES:
        wanted = submix.sizes(rng) * (FULL_ROWS / total)
        parts = _template_parts(submix, rng)
        chosen = np.arange(submix.tasks)
        if keep == "groups":
            chosen = _spread(wanted, fraction)
        elif keep == "tasks":
            wanted = wanted * fraction
        split = _whole(wanted[chosen, None] * parts[chosen])
        for task, counts in zip(chosen.tolist(), split, strict=True):
            name = f"{submix.name}_task{task:04d}"
            found += [
                (submix.name, name, template, task_number, int(count))
                for template, count in zip(submix.templates, counts, strict=True)
                if count
            ]
            task_number += bool(counts.sum())
    return _shape(found)


def tiny_tasks(tasks: int, seed: int) -> Shape:
    """Very many tasks of 1 to 50 rows, one template each."""
    sizes = np.random.default_rng([seed, 2]).integers(1, TINY_MOST + 1, tasks)
    names = ((f"task{task:06d}", int(size)) for task, size in enumerate(sizes))
    return _shape([("tiny", name, "zs_opt", i, size) for i, (name, size) in enumerate(names)])


def one_group(rows: int) -> Shape:
    """All rows in one group."""
    return _shape([("one", "task", "zs_opt", 0, rows)])


def _shape(found: list[tuple[str, str, str, int, int]]) -> Shape:
    source, task, template, number, sizes = (list(column) for column in zip(*found, strict=True))
    counts = np.array(sizes, dtype=np.int64)
    starts = np.concatenate([[0], np.cumsum(counts)])
    return Shape(source, task, template, np.array(number, dtype=np.int64), counts, starts)


def _template_parts(submix: Submix, rng: np.random.Generator) -> np.ndarray:
    """(tasks, templates) parts that sum to 1 for each task, near the submix's own."""
    mean = np.array(list(submix.templates.values()))
    if submix.given or len(mean) == 1:
        return np.tile(mean, (submix.tasks, 1))
    return rng.dirichlet(60 * mean, submix.tasks)


def _spread(sizes: np.ndarray, fraction: float) -> np.ndarray:
    """Rising places of that part of the tasks, spread evenly over their sizes."""
    count = round(fraction * len(sizes))
    ranks = ((np.arange(count) + 0.5) / max(count, 1) * len(sizes)).astype(np.int64)
    return np.sort(np.argsort(sizes, kind="stable")[ranks])


def _whole(wanted: np.ndarray) -> np.ndarray:
    """Whole numbers near the wanted ones, whose running sums are those of the wanted, rounded."""
    ends = np.rint(np.cumsum(wanted.ravel()) + 1e-9)
    return np.diff(ends, prepend=0.0).astype(np.int64).reshape(wanted.shape)
