"""What can be said of a choice of rows without training on it: pure functions over arrays.

Each of these numbers favours what some method optimises; `notes.py` says which. None of them is the
quality of a trained model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartx.engine import SCALE

TWIN = 0.95  # least cosine of rows that are twins
BLOCK = 1_024  # rows of one product
GRID = 2.0**30  # scores of the probe are compared as multiples of 1 / GRID
IntVector = NDArray[np.int64]


def cosines(products: NDArray[Any]) -> NDArray[np.float64]:
    """Q12 products as cosines."""
    found: NDArray[np.float64] = products / float(SCALE) ** 2
    return found


@dataclass(frozen=True)
class Coverage:
    """How near the nearest chosen row is to rows that are held out: the mean of these cosines and
    their 10th percentile, which says how the worst-covered rows fare.
    """

    mean: float
    p10: float


def coverage(products: NDArray[np.int32]) -> Coverage:
    """products: (q,) Q12, of each held-out row with its nearest chosen row; q >= 1."""
    found = cosines(np.sort(products))
    return Coverage(float(found.mean()), float(np.quantile(found, 0.1)))


@dataclass(frozen=True)
class Twins:
    """Parts of the rows that have a twin among the others: anywhere, in another template of their
    task, in their own template, in another task.
    """

    anywhere: float
    other_template: float
    same_template: float
    other_task: float


def twins(
    rows: NDArray[np.int16],
    tasks: NDArray[np.integer[Any]],
    templates: NDArray[np.integer[Any]],
    *,
    looked_at: IntVector | None = None,
    least: float = TWIN,
) -> Twins:
    """rows: (n, d) int16 Q12, the chosen ones.  tasks, templates: (n,) numbers; a template's number
    is its own in the whole corpus.
    looked_at: rows, by place, whose twins among all n are looked for; None: all.  least: cosine.
    """
    wanted = np.arange(len(rows)) if looked_at is None else looked_at
    whole = np.ascontiguousarray(rows.astype(np.float32).T)
    limit, found = least * float(SCALE) ** 2, np.zeros((4, len(wanted)), dtype=bool)
    for start in range(0, len(wanted), BLOCK):
        own = wanted[start : start + BLOCK]
        near = rows[own].astype(np.float32) @ whole >= limit
        near[np.arange(len(own)), own] = False
        row, other = np.nonzero(near)
        same_task = tasks[own[row]] == tasks[other]
        same_template = templates[own[row]] == templates[other]
        for kind, pairs in enumerate((True, same_task & ~same_template, same_template, ~same_task)):
            found[kind, start + (row if pairs is True else row[pairs])] = True
    return Twins(*(float(kind.mean()) if len(wanted) else 0.0 for kind in found))


def overlap(choices: Sequence[IntVector]) -> NDArray[np.float64]:
    """(s, s) rows that two choices share, as a part of those that are in either (Jaccard).

    choices: row ids without repeats. Two empty ones are the same.
    """
    found = np.ones((len(choices), len(choices)))
    rising = [np.sort(choice) for choice in choices]
    for a, one in enumerate(rising):
        for b, other in enumerate(rising[:a]):
            common = len(np.intersect1d(one, other, assume_unique=True))
            either = len(one) + len(other) - common
            found[a, b] = found[b, a] = common / either if either else 1.0
    return found


def probe(
    rows: NDArray[np.int16],
    tasks: NDArray[np.integer[Any]],
    held: NDArray[np.int16],
    held_tasks: NDArray[np.integer[Any]],
    *,
    ridge: float = 1.0,
) -> float | None:
    """How well a linear map that was fitted to the chosen rows names the task of others: macro F1.

    Ridge regression from unit rows and a constant to the indicator of the task; the largest score
    wins, ties to the lower task.
    rows, held: (n, d), (m, d) int16 Q12.  tasks, held_tasks: (n,), (m,) numbers.
    Returns the mean of the F1 of the tasks that `held_tasks` names, None where it names none.
    """
    if not len(held) or not len(rows):
        return None
    names, own = np.unique(tasks, return_inverse=True)
    left, right = _with_constant(rows), _with_constant(held)
    indicator = np.zeros((len(rows), len(names)))
    indicator[np.arange(len(rows)), own.reshape(-1)] = 1.0
    # Sums of whole numbers below 2^53, hence exact however they are summed.
    gram, aims = left.T @ left / SCALE**2, left.T @ indicator / SCALE
    weights = np.linalg.solve(gram + ridge * np.eye(len(gram)), aims)
    said = names[np.round(right @ weights / SCALE * GRID).argmax(axis=1)]
    return macro_f1(said, held_tasks)


def macro_f1(said: NDArray[np.integer[Any]], true: NDArray[np.integer[Any]]) -> float:
    """The mean, over the classes of `true`, of 2 hits / (said + true)."""
    scores = []
    for name in np.unique(true).tolist():
        hits = int(((said == name) & (true == name)).sum())
        scores.append(2 * hits / (int((said == name).sum()) + int((true == name).sum())))
    return float(np.mean(scores))


def _with_constant(rows: NDArray[np.int16]) -> NDArray[np.float64]:
    constant = np.full((len(rows), 1), float(round(SCALE)))
    return np.concatenate([rows.astype(np.float64), constant], axis=1)
