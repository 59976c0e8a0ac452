"""Greedy by definition in numpy, over integers wherever the core's are. Imports nothing of smartx.

A set function has `gains()`, what every row would add to the set so far, and `add(row)`. Nothing is
skipped or bounded: all gains are computed anew every round, and ties go to the lower row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from q12_reference import similarities


class SetFunction(Protocol):
    def gains(self) -> NDArray[Any]: ...
    def add(self, row: int) -> None: ...


class FacilityLocation:
    """covers[v, u]: how well row v covers row u, whole numbers >= 0."""

    def __init__(self, covers: NDArray[np.int64]) -> None:
        self.covers, self.best = covers, np.zeros(covers.shape[1], covers.dtype)

    def gains(self) -> NDArray[np.int64]:
        return np.maximum(self.covers - self.best, 0).sum(axis=1)

    def add(self, row: int) -> None:
        self.best = np.maximum(self.best, self.covers[row])


class GraphCut:
    """Of whole similarities: a gain is rounded once, as (to all) - penalty * (to the chosen)."""

    def __init__(self, similarities: NDArray[np.int64], penalty: float) -> None:
        self.similarities, self.penalty = similarities, penalty
        self.to_chosen = np.zeros(len(similarities), np.int64)

    def gains(self) -> NDArray[np.float64]:
        to_all = self.similarities.sum(axis=1).astype(np.float64)
        inside = 2 * self.to_chosen + np.diag(self.similarities)
        return to_all - self.penalty * inside.astype(np.float64)

    def add(self, row: int) -> None:
        self.to_chosen = self.to_chosen + self.similarities[row]


class LogDet:
    """In float64, by a column of the Cholesky factor for every addition; gains are variances."""

    def __init__(self, kernel: NDArray[np.float64], ridge: float) -> None:
        self.kernel, self.variances = kernel, np.diag(kernel) + ridge
        self.factor: list[NDArray[np.float64]] = []

    def gains(self) -> NDArray[np.float64]:
        return self.variances

    def add(self, row: int) -> None:
        column = self.kernel[row] - sum(other[row] * other for other in self.factor)
        self.factor.append(column / math.sqrt(self.variances[row]))
        self.variances = self.variances - self.factor[-1] ** 2


def best_of(scores: NDArray[Any], among: Iterable[int]) -> int:
    """The row of the largest score, the lower one of equals."""
    return max(among, key=lambda row: (scores[row], -row))


def greedy(f: SetFunction, rows: Sequence[int], budget: int) -> tuple[list[int], list[Any]]:
    """The `budget` best of `rows` in the order of greedy, and their gains."""
    left, items, gains = set(rows), [], []
    for _ in range(budget):
        of_all = f.gains()
        items.append(best_of(of_all, left))
        gains.append(of_all[items[-1]])
        left.remove(items[-1])
        f.add(items[-1])
    return items, gains


def stochastic(f: SetFunction, n: int, budget: int, epsilon: float, seed: int) -> list[int]:
    """Every round the best of ceil(n / budget * log(1 / epsilon)) rows that are drawn anew.

    A sample is the front of the rows that are left, after that many steps of a shuffle; the row
    that is chosen gives its place to the last.
    """
    size = max(1, math.ceil(n / budget * -math.log(epsilon)))
    left, items = list(range(n)), []
    for round_ in range(budget):
        for place in range(size if size < len(left) else 0):
            other = place + _draw(seed, (round_ << 32) + place) % (len(left) - place)
            left[place], left[other] = left[other], left[place]
        items.append(best_of(f.gains(), left[:size]))
        f.add(items[-1])
        left[left.index(items[-1])] = left[-1]
        left.pop()
    return items


_STREAM, _WORD, _GOLDEN = 5, (1 << 64) - 1, 0x9E3779B97F4A7C15


def _draw(seed: int, index: int) -> int:
    """SplitMix64 of the counter, in the stream of greedy's samples."""
    key = _mixed(_mixed(seed) ^ _STREAM)
    return _mixed((key + index * _GOLDEN) & _WORD)


def _mixed(value: int) -> int:
    value = (value + _GOLDEN) & _WORD
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _WORD
    return value ^ (value >> 31)


def with_costs(
    new: Callable[[], SetFunction], costs: NDArray[np.float64], total: float, unit: float
) -> list[int]:
    """The better of two greedy runs until nothing more fits: by gain per cost, and by gain.

    unit: what one whole gain is worth; scores are compared as the core has them, in floats.
    """
    runs = []
    for of in (costs, np.ones_like(costs)):
        f, left, items, spent, value = new(), set(range(len(costs))), [], 0.0, 0.0
        while fitting := [row for row in left if spent + costs[row] <= total]:
            gains = f.gains() * unit
            items.append(best_of(gains / of, fitting))
            value += gains[items[-1]]
            spent += costs[items[-1]]
            left.remove(items[-1])
            f.add(items[-1])
        runs.append((value, items))
    return max(runs, key=lambda run: run[0])[1]  # the first of equals


def near_duplicates(rows: NDArray[np.int16], order: Sequence[int], millionths: int) -> list[int]:
    """For each place of the order the earlier place that it repeats, or -1 where the row stays.

    A row stays unless its cosine with one that stayed is at least the threshold: decided by the
    squares of whole numbers.
    """
    products = similarities(rows, rows).astype(object)  # whole numbers of any size
    origins: list[int] = []
    for i, a in enumerate(order):
        near = (
            j
            for j, b in enumerate(order[:i])
            if origins[j] < 0
            and products[a, b] > 0
            and (products[a, b] * 10**6) ** 2 >= products[a, a] * products[b, b] * millionths**2
        )
        origins.append(next(near, -1))
    return origins
