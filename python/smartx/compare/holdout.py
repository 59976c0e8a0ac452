"""What is held out of a corpus, so that choices can be measured on rows that they never saw.

Some templates of tasks that have several are held out once, for all folds. Besides, each fold holds
out whole tasks; all tasks are held out in one fold. A strategy chooses from what is left, its pool.
Tasks whose names begin alike stay together: "glue_mrpc" says something of "glue_qqp".
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from smartx.draws import HELD_OUT, HELD_ROWS, draws, draws_at
from smartx.errors import ConfigError

if TYPE_CHECKING:
    from smartx.corpus import Groups
    from smartx.corpus.corpus import Tasks

LEAST_TEMPLATES = 4  # of a task that templates are held out of,
TEMPLATE_SHARE = 0.2  # and which part of them, at least one
TASK_QUERIES, EACH_TASK = (
    4_096,
    150,
)  # rows of held-out tasks that are looked at, in all and of each
TEMPLATE_QUERIES, EACH_TEMPLATE = 3_072, 50  # the same of held-out templates
IntVector = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Fold:
    """One split of a corpus.

    groups: (g,) bool, the groups that strategies may choose from.
    tasks: (t,) int64, the tasks that are held out.
    task_rows: row ids, rising, of held-out tasks that are looked at.
    template_rows: the same of held-out templates of tasks that are not held out.
    """

    groups: NDArray[np.bool_]
    tasks: IntVector
    task_rows: IntVector
    template_rows: IntVector


@dataclass(frozen=True, eq=False)
class Split:
    """All folds of a corpus.

    templates: (g,) bool, the groups that no fold chooses from: the held-out templates.
    families: (M,) int64, the family of each task, by number.
    """

    folds: Sequence[Fold]
    templates: NDArray[np.bool_]
    families: IntVector

    def left_out(self, groups: Groups) -> NDArray[np.bool_]:
        """(n,) bool, the rows of the held-out templates."""
        return np.repeat(self.templates, groups.rows)


def split_of(
    groups: Groups, *, folds: int = 4, patterns: Sequence[str] = (), seed: int = 0
) -> Split:
    """Split a corpus.

    folds: how many; tasks are dealt to them by families, evenly. Where there are fewer families
    than folds, no task is held out, and there is one fold.
    patterns: globs of task names, or of SOURCE/TASK; then one fold holds out the tasks that match.
    Raises ConfigError where a pattern matches no task, or all are held out.
    """
    tasks = groups.tasks()
    templates, families = held_templates(tasks, seed), families_of(tasks)
    if patterns:
        dealt = [_matching(tasks, patterns)]
    elif folds > 1 and int(families.max(initial=-1)) + 1 >= folds:
        dealt = deal(families, folds, seed)
    else:
        dealt = [np.empty(0, dtype=np.int64)]
    return Split(
        [_fold(groups, tasks, templates, held, seed) for held in dealt], templates, families
    )


def held_templates(tasks: Tasks, seed: int) -> NDArray[np.bool_]:
    """(g,) the held-out groups: TEMPLATE_SHARE of those of each task that has LEAST_TEMPLATES."""
    count = int(tasks.first_group[-1]) if len(tasks) else 0
    keys, held = draws(seed, HELD_OUT, 0, count), np.zeros(count, dtype=bool)
    for first, last in zip(
        tasks.first_group[:-1].tolist(), tasks.first_group[1:].tolist(), strict=True
    ):
        if last - first >= LEAST_TEMPLATES:
            many = max(1, round(TEMPLATE_SHARE * (last - first)))
            held[first + np.argsort(keys[first:last], kind="stable")[:many]] = True
    return held


def families_of(tasks: Tasks) -> IntVector:
    """(M,) numbers of families: tasks whose names have the same first word, of letters alone.

    Where that puts more than half of several tasks into one family, the word says nothing, and each
    task is a family of its own.
    """
    words = [_first_word(name) for name in tasks.task]
    known = {word: place for place, word in enumerate(dict.fromkeys(words))}
    largest = max(Counter(words).values(), default=0)
    if largest > max(1, len(words) // 2):
        return np.arange(len(words), dtype=np.int64)
    return np.array([known[word] for word in words], dtype=np.int64)


def _first_word(name: str) -> str:
    """What stands before the first mark where that is letters alone, as glue in glue_mrpc; else the
    whole name.
    """
    found = re.match(r"[^\W\d_]+(?=$|[\W_])", name)
    return found[0].lower() if found else name


def deal(families: IntVector, folds: int, seed: int) -> list[IntVector]:
    """The tasks of each fold, rising: the largest family goes to the fold with fewest tasks, and so
    on; equally large ones in an order drawn at random.
    """
    sizes = np.bincount(families)
    keys = draws(seed, HELD_OUT, 1 << 40, (1 << 40) + len(sizes))
    filled, fold_of = [0] * folds, np.zeros(len(sizes), dtype=np.int64)
    for family in np.lexsort((keys, -sizes)).tolist():
        fold = filled.index(min(filled))
        fold_of[family] = fold
        filled[fold] += int(sizes[family])
    return [np.flatnonzero(fold_of[families] == fold).astype(np.int64) for fold in range(folds)]


def _matching(tasks: Tasks, patterns: Sequence[str]) -> IntVector:
    names = [
        (task, f"{source}/{task}") for source, task in zip(tasks.source, tasks.task, strict=True)
    ]
    held = np.zeros(len(names), dtype=bool)
    for pattern in patterns:
        hits = [any(fnmatchcase(one, pattern) for one in both) for both in names]
        if not any(hits):
            raise ConfigError(
                f'no task is named "{pattern}"',
                place="hold_out_tasks",
                fix="give a glob of task names, such as glue_*",
            )
        held |= np.array(hits)
    if held.all():
        raise ConfigError(
            "all tasks are held out, and none is left to choose from", place="hold_out_tasks"
        )
    return np.flatnonzero(held).astype(np.int64)


def _fold(
    groups: Groups, tasks: Tasks, templates: NDArray[np.bool_], held: IntVector, seed: int
) -> Fold:
    task_of_group = np.repeat(np.arange(len(tasks)), np.diff(tasks.first_group))
    out = np.isin(task_of_group, held)
    return Fold(
        groups=~(out | templates),
        tasks=held,
        task_rows=some_rows(tasks.start[held], tasks.rows[held], TASK_QUERIES, EACH_TASK, seed),
        template_rows=some_rows(
            groups.start[templates & ~out],
            groups.rows[templates & ~out],
            TEMPLATE_QUERIES,
            EACH_TEMPLATE,
            seed,
        ),
    )


def some_rows(starts: IntVector, sizes: IntVector, at_most: int, each: int, seed: int) -> IntVector:
    """Row ids, rising, drawn from runs of rows: equally many of each run, `each` at most.

    Where there are more than `at_most` runs, one row each of as many runs.
    """
    keys = draws_at(seed, HELD_ROWS, starts)
    runs = np.sort(np.argsort(keys, kind="stable")[:at_most])
    each = max(1, min(each, at_most // max(1, len(runs))))
    found = [
        start + np.argsort(draws(seed, HELD_ROWS, start, start + size), kind="stable")[:each]
        for start, size in zip(starts[runs].tolist(), sizes[runs].tolist(), strict=True)
    ]
    return np.sort(np.concatenate([np.empty(0, np.int64), *found]).astype(np.int64))
