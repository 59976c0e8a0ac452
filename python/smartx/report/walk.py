"""One pass over a ranking: what each task's rows are worth, what a budget would hold, and which
rows were taken first and passed over.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from smartx.report.material import Material

STEPS = 24  # budgets of a curve
KEPT = 4  # candidates of each kind that are kept of a task
PICKED, PASSED, APART = "picked", "passed over", "not to be taken"


@dataclass(frozen=True, order=True)
class Ranked:
    """A row where its ranking has it: 0 is best."""

    rank: int
    row: int
    gain: float


@dataclass(frozen=True, eq=False)
class Walk:
    """held, whole: (m,) float64, gains of the rows of each task that were taken, and of all.

    budgets, values: of a curve; what the best rows of each unit are worth in the mixture's shares.
    rows: by kind, for each task the best-ranked few.
    """

    held: NDArray[np.float64]
    whole: NDArray[np.float64]
    budgets: list[int]
    values: list[float]
    rows: dict[str, list[list[Ranked]]] = field(repr=False)


def walk(material: Material) -> Walk:
    """Memory: one unit's ranking at a time."""
    groups, tasks, rankings = material.corpus.groups, material.tasks, material.rankings
    units, kept = rankings.units(groups), rankings.kept(groups)
    own = np.searchsorted(units.start, np.flatnonzero(material.picked), side="right") - 1
    given = np.bincount(own, minlength=len(units)).astype(np.int64)
    budgets, counts = scaled_budgets(given, kept)
    held, whole = np.zeros(len(tasks)), np.zeros(len(tasks))
    values = np.zeros(len(budgets))
    rows: dict[str, list[list[Ranked]]] = {
        kind: [[] for _ in range(len(tasks))] for kind in (PICKED, PASSED, APART)
    }
    for unit, (ids, ranks, gains) in enumerate(rankings.prefixes(units.start, units.rows)):
        if not len(ids):
            continue
        task = np.searchsorted(tasks.start, ids, side="right") - 1
        taken = material.picked[ids]
        _add(whole, task, gains)
        _add(held, task, np.where(taken, gains, 0.0))
        values += np.concatenate([[0.0], np.cumsum(gains)])[counts[:, unit]]
        apart = np.arange(len(ids)) >= kept[unit]
        for kind, which in (
            (PICKED, taken),
            (PASSED, ~taken & ~apart),
            (APART, ~taken & apart),
        ):
            _keep(rows[kind], task, ids, ranks, gains, which)
    for of_tasks in rows.values():
        for line in of_tasks:
            line.sort()
            del line[KEPT:]
    return Walk(held, whole, budgets, values.tolist(), rows)


def scaled_budgets(
    given: NDArray[np.int64], kept: NDArray[np.int64]
) -> tuple[list[int], NDArray[np.int64]]:
    """Budgets on a curve through a mixture, and (b, u) the rows that each gives to each unit.

    given: (u,) rows of the mixture.  kept: (u,) rows that may be taken, at least as many.
    The shares of the mixture are kept: half the budget is half of each unit's rows. Above it, what
    a unit that is used up cannot give goes to the others; a unit of nothing gets nothing.
    """
    total, most = int(given.sum()), int(kept[given > 0].sum())
    if not total:
        return [], np.zeros((0, len(given)), dtype=np.int64)
    low = np.geomspace(max(1, total / 64), total, STEPS // 2)
    high = np.geomspace(total, most, STEPS // 2 + 1)[1:] if most > total else np.array([])
    wanted = sorted({round(budget) for budget in [*low.tolist(), *high.tolist()]})
    lines: dict[int, NDArray[np.int64]] = {}
    for budget in wanted:
        counts = _filled(given, kept, budget / total)
        lines.setdefault(int(counts.sum()), counts)
    lines.pop(0, None)
    return [*lines], np.stack([*lines.values()])


def _filled(given: NDArray[np.int64], kept: NDArray[np.int64], times: float) -> NDArray[np.int64]:
    """Given * times within kept, raised together until the sum is reached or all is used up."""
    wanted = times * float(given.sum())
    level = times
    for _ in range(60):  # each round fills a unit up, or ends
        filled = np.minimum(given * level, kept)
        free = given[given * level < kept].sum()
        missing = wanted - float(filled.sum())
        if missing <= 0.5 or not free:
            break
        level += missing / float(free)
    counts: NDArray[np.int64] = np.minimum(np.floor(given * level + 0.5), kept).astype(np.int64)
    return counts


def _add(sums: NDArray[np.float64], task: NDArray[np.int64], values: NDArray[np.float64]) -> None:
    """Add values to the sums of their tasks, in their order."""
    first = int(task.min())
    own = np.bincount(task - first, weights=values)
    sums[first : first + len(own)] += own


def _keep(
    lines: list[list[Ranked]],
    task: NDArray[np.int64],
    ids: NDArray[np.int64],
    ranks: NDArray[np.int32],
    gains: NDArray[np.float64],
    which: NDArray[np.bool_],
) -> None:
    """The best-ranked few of each task among these rows of a unit."""
    places = np.flatnonzero(which)
    if not len(places):
        return
    order = np.argsort(task[places], kind="stable")
    sorted_tasks = task[places][order]
    starts = np.flatnonzero(np.diff(sorted_tasks, prepend=-1))
    for start, stop in zip(starts, [*starts[1:], len(order)], strict=True):
        for place in places[order[start : min(stop, start + KEPT)]].tolist():
            lines[int(task[place])].append(
                Ranked(int(ranks[place]), int(ids[place]), float(gains[place]))
            )
