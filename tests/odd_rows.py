"""Ground sets of every kind that has broken something, or could: drawn from a number alone.

`ground_set(number)` is the same everywhere, so a failing test names the number and that is all
there is to know. Imports nothing of smartx.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from q12_reference import kernel16, quantized_row, similarities

Rows = NDArray[np.float64]
Kind = Callable[[np.random.Generator, Rows], Rows]


def repeated(distinct: Callable[[int], int]) -> Kind:
    """Rows that repeat the first `distinct(n)`, in any order."""

    def kind(rng: np.random.Generator, rows: Rows) -> Rows:
        n = len(rows)
        return rows[rng.integers(np.clip(distinct(n), 1, n), size=n)]

    return kind


def one_among_many(rng: np.random.Generator, rows: Rows) -> Rows:
    """Half of the rows are one row, between distinct ones."""
    return np.where(rng.random((len(rows), 1)) < 0.5, rows[-1:], rows)


def in_runs(rng: np.random.Generator, rows: Rows) -> Rows:
    """Equal rows are neighbours, in runs of up to 20."""
    lengths = rng.integers(1, 21, size=len(rows))
    return np.repeat(rows, lengths, axis=0)[: len(rows)]


def one_hot(rng: np.random.Generator, rows: Rows) -> Rows:
    hot = np.zeros_like(rows)
    hot[np.arange(len(rows)), rng.integers(rows.shape[1], size=len(rows))] = 1.0
    return hot * rng.choice([-1, 1], size=(len(rows), 1))


def low_rank(rng: np.random.Generator, rows: Rows) -> Rows:
    rank = int(rng.integers(1, 4))
    return rows[:, :rank] @ rng.normal(size=(min(rank, rows.shape[1]), rows.shape[1]))


def on_a_line(rng: np.random.Generator, rows: Rows) -> Rows:
    """Near one direction or its opposite."""
    return rng.choice([-1, 1], size=(len(rows), 1)) * rows[:1] + 0.01 * rows


def near_copies(rng: np.random.Generator, rows: Rows) -> Rows:
    return repeated(lambda n: n // 3)(rng, rows) + 0.01 * rows


def small_whole_numbers(rng: np.random.Generator, rows: Rows) -> Rows:
    """Ties that are not repeats, and rows that are multiples of others."""
    return with_a_length(np.rint(rows))


def corners(rng: np.random.Generator, rows: Rows) -> Rows:
    """Every value as large as the others: at the bound of a row's length, where rounding cuts."""
    return np.where(rows < 0, -1.0, np.where(rows < 1, 1.0, 0.5))


def of_any_length(rng: np.random.Generator, rows: Rows) -> Rows:
    return rows * 10.0 ** rng.integers(-300, 300, size=(len(rows), 1))


def mostly_zero(rng: np.random.Generator, rows: Rows) -> Rows:
    return with_a_length(rows * (rng.random(rows.shape) < 0.1))


def with_a_length(rows: Rows) -> Rows:
    rows[~rows.any(axis=1), 0] = -1.0
    return rows


REPEATED: dict[str, Kind] = {
    "all equal": repeated(lambda n: 1),
    "2 distinct": repeated(lambda n: 2),
    "10 distinct": repeated(lambda n: 10),
    "n/10 distinct": repeated(lambda n: n // 10),
    "n/2 distinct": repeated(lambda n: n // 2),
    "one among many": one_among_many,
    "in runs": in_runs,
}

KINDS: dict[str, Kind] = REPEATED | {
    "normal": lambda rng, rows: rows,
    "positive": lambda rng, rows: np.abs(rows) + 0.01,
    "in a cone": lambda rng, rows: rows + 5.0,
    "one-hot": one_hot,
    "low rank": low_rank,
    "on a line": on_a_line,
    "near copies": near_copies,
    "small whole numbers": small_whole_numbers,
    "corners": corners,
    "of any length": of_any_length,
    "mostly zero": mostly_zero,
}

# Around the widths of lanes, panels and chunks; 8192 has one value of a corner's row in 45 of Q12.
DIMENSIONS = [1, 2, 3, 8, 15, 16, 17, 31, 32, 33, 64, 65, 128, 385, 1024, 8192]
SIZES = [1, 2, 3, 15, 16, 17, 31, 32, 33, 47, 48, 49, 64, 95, 96, 97, 140]


@dataclass(frozen=True)
class GroundSet:
    """Rows of one kind. What is drawn besides (budgets, costs) comes from `rng`."""

    number: int
    kind: str
    rows: Rows = field(repr=False)
    rng: np.random.Generator = field(repr=False)
    threads: int

    @property
    def n(self) -> int:
        return len(self.rows)

    @cached_property
    def q12(self) -> NDArray[np.int16]:
        """The rows in fixed point, by the letter."""
        return np.array([quantized_row(row) for row in self.rows.tolist()], np.int16)

    @cached_property
    def similarities(self) -> NDArray[np.int64]:
        return similarities(self.q12, self.q12)

    @cached_property
    def kernel16(self) -> NDArray[np.int64]:
        return kernel16(self.q12)

    def __repr__(self) -> str:
        n, d = self.rows.shape
        return f"ground_set({self.number}): {n} x {d}, {self.kind}, {self.threads} threads"

    @cached_property
    def budget(self) -> int:
        """All rows in half of the cases."""
        return int(self.rng.choice([self.n, self.rng.integers(self.n + 1)]))

    @cached_property
    def penalty(self) -> float:
        return float(self.rng.choice([0, 0.25, 0.4, 0.5, 0.7, 1, 2, 10, 1e6, self.rng.random()]))

    @cached_property
    def costs(self) -> NDArray[np.float64]:
        """Equal rows cost different sums; half of the time there are few different costs."""
        few = self.rng.choice([0.5, 1.0, 2.0, 7.25], size=self.n)
        return few if self.rng.random() < 0.5 else self.rng.random(self.n) + 0.01


def ground_set(number: int, kinds: dict[str, Kind] = KINDS, most: int = 140) -> GroundSet:
    """The ground set of that number: kinds in turn, sizes and dimensions at random."""
    rng = np.random.default_rng(number)
    kind = list(kinds)[number % len(kinds)]
    d = int(rng.choice(DIMENSIONS))
    most = min(most, 140 if d < 300 else 60 if d < 2000 else 24)
    n = min(most, int(rng.choice([rng.choice(SIZES), rng.integers(1, 141)])))
    rows = kinds[kind](rng, rng.normal(size=(n, d)))
    return GroundSet(number, kind, rows, rng, threads=int(rng.integers(1, 4)))
