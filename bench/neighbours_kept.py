"""How much of what the vectors of one encoder say is kept by those of another.

All is valued by the teacher's vectors; the measures that the product prints of a student are its
own (smartx.embed.student.loss).
"""

from __future__ import annotations

import numpy as np

from smartx import knn_graph
from smartx.embed.student.loss import gain_kept, mean_cosine, pair_correlation, random_pairs
from smartx.engine import quantize

SHARES = (0.01, 0.05, 0.1)  # of a group's rows, chosen inside it
TASKS_SHARE = 0.25  # of the tasks, chosen by their means
NEAREST, NEAREST_ROWS = 10, 4_096
LEAST_GROUP, GROUP_PAIRS = 20, 200  # rows of a group whose pairs are compared, and how many pairs


def kept(
    teacher: np.ndarray, other: np.ndarray, groups: np.ndarray, tasks: np.ndarray, *, seed: int = 0
) -> dict[str, float | None]:
    """Every measure of the same n texts by two encoders.

    teacher: (n, d) int16 Q12.  other: (n, e) int16 Q12.  groups, tasks: (n,) rising numbers.
    cosine: mean to the teacher's, None where the other's vectors are of another space (e is not d).
    pairs, pairs_in_groups: Spearman correlation of the cosines of random pairs; inside groups it is
    the mean over these.  gain_1, gain_5, gain_10: part of greedy's gain over random rows that is
    kept where these shares of each group are chosen.  gain_tasks: the same for a quarter of the
    tasks, by the means of their rows.  neighbours: part of the 10 nearest rows that is the same.
    """
    sizes = np.unique(groups, return_counts=True)[1].tolist()
    means = [task_means(rows, tasks) for rows in (teacher, other)]
    same_space = teacher.shape[1] == other.shape[1]
    found = {
        "cosine": mean_cosine(teacher, other) if same_space else None,
        "pairs": pair_correlation(teacher, other, random_pairs(len(teacher), seed)),
        "pairs_in_groups": pairs_in_groups(teacher, other, groups, seed=seed),
    }
    for share in SHARES:
        name = f"gain_{share:.0%}".removesuffix("%")
        found[name] = gain_kept(teacher, other, sizes, share, seed=seed)
    found["gain_tasks"] = gain_kept(*means, [len(means[0])], TASKS_SHARE, seed=seed)
    return found | {"neighbours": neighbours_kept(teacher, other)}


def task_means(rows: np.ndarray, tasks: np.ndarray) -> np.ndarray:
    """(t, d) int16 Q12 mean directions. tasks: (n,) rising numbers of the rows' tasks."""
    starts = np.flatnonzero(np.diff(tasks, prepend=tasks[0] - 1))
    return quantize(np.add.reduceat(rows.astype(np.int64), starts, axis=0).astype(np.float32))


def pairs_in_groups(
    teacher: np.ndarray, other: np.ndarray, groups: np.ndarray, *, seed: int = 0
) -> float | None:
    """Mean Spearman correlation of the cosines of pairs inside groups, each counted by its rows;
    None where all groups are small."""
    found, weights = [], []
    cuts = np.flatnonzero(np.diff(groups)) + 1
    for number, own in enumerate(np.split(np.arange(len(groups)), cuts)):
        if len(own) >= LEAST_GROUP:
            pairs = random_pairs(len(own), seed + number, GROUP_PAIRS)
            with np.errstate(invalid="ignore"):
                correlation = pair_correlation(teacher[own], other[own], pairs)
            if np.isfinite(correlation):  # rows that are all equal have none
                found.append(correlation)
                weights.append(len(own))
    return float(np.average(found, weights=weights)) if found else None


def neighbours_kept(teacher: np.ndarray, other: np.ndarray) -> float:
    """Part of the 10 nearest rows by the teacher that are among those by the other, for rows spread
    evenly, at most 4,096."""
    spread = np.unique(np.linspace(0, len(teacher) - 1, NEAREST_ROWS).astype(np.int64))
    first, second = (_nearest(rows[spread]) for rows in (teacher, other))
    return float(np.mean([len(a & b) / len(a) for a, b in zip(first, second, strict=True)]))


def _nearest(rows: np.ndarray) -> list[set[int]]:
    graph = knn_graph(rows, NEAREST, symmetric=False, include_self=False, device="cpu")
    parts = np.split(graph.indices, graph.indptr[1:-1])
    return [set(part.tolist()) for part in parts]
