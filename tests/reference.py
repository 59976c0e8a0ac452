"""The formulas in plain Python, to hold the engine against. Imports nothing of smartx.

A kernel is a list of lists: kernel[u][v] is the similarity of rows u and v, how well v covers u.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations

Kernel = Sequence[Sequence[float]]
SetFunction = Callable[[Kernel, Sequence[int]], float]


def facility_location(kernel: Kernel, chosen: Sequence[int]) -> float:
    """Sum over all u of the best similarity to a chosen row, at least 0."""
    return math.fsum(max([0.0, *(row[v] for v in chosen)]) for row in kernel)


def graph_cut(penalty: float) -> SetFunction:
    """Similarity of all to the chosen, less penalty times that of the chosen to the chosen."""

    def f(kernel: Kernel, chosen: Sequence[int]) -> float:
        to_all = math.fsum(row[j] for row in kernel for j in chosen)
        inside = math.fsum(kernel[i][j] for i in chosen for j in chosen)
        return to_all - penalty * inside

    return f


def log_det(ridge: float) -> SetFunction:
    """Logarithm of the determinant of the chosen part of kernel + ridge * identity."""

    def f(kernel: Kernel, chosen: Sequence[int]) -> float:
        part = [[kernel[i][j] + (ridge if i == j else 0.0) for j in chosen] for i in chosen]
        return math.fsum(math.log(pivot) for pivot in _pivots(part))

    return f


def _pivots(matrix: list[list[float]]) -> Iterable[float]:
    """Pivots of Gaussian elimination: their product is the determinant."""
    for k, row in enumerate(matrix):
        yield row[k]
        for below in matrix[k + 1 :]:
            factor = below[k] / row[k]
            for j in range(k, len(matrix)):
                below[j] -= factor * row[j]


def gain(f: SetFunction, kernel: Kernel, chosen: Sequence[int], item: int) -> float:
    """What `item` adds to f."""
    return f(kernel, [*chosen, item]) - f(kernel, chosen)


def greedy(f: SetFunction, kernel: Kernel, budget: int) -> list[int]:
    """The row with the largest gain, round by round; ties go to the lower row."""
    chosen: list[int] = []
    while len(chosen) < budget:
        rest = [v for v in range(len(kernel)) if v not in chosen]
        chosen.append(max(rest, key=lambda v: (gain(f, kernel, chosen, v), -v)))
    return chosen


def optimum(f: SetFunction, kernel: Kernel, budget: int) -> float:
    """The largest value of f on any set of `budget` rows."""
    return max(f(kernel, chosen) for chosen in combinations(range(len(kernel)), budget))


def may_give(sizes: Sequence[int], got: Sequence[int]) -> list[int]:
    """Which templates may give the next row, where each keeps to its share of all n rows.

    Of the first s rows template t gives sizes[t] * s / n, rounded up or down, at every s. A row
    whose place is past the first s is due where that share, rounded down, says so: where as many
    rows are due as there are places left, only those templates may give that are due.
    """
    n, s = sum(sizes), sum(got)
    may = [t for t in range(len(sizes)) if got[t] * n < sizes[t] * (s + 1)]
    for places in range(s + 1, n + 1):
        due = [max(0, size * places // n - own) for size, own in zip(sizes, got, strict=True)]
        if sum(due) == places - s:
            return [t for t in may if due[t] > 0]
    return may
