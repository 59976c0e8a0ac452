"""Greedy order by features: each is worth less the more of it there is already.

    f(S) = sum over features j of phi(sum over x in S of x_j),   phi concave
Features are anything that is counted and not negative: tags, words, sparse codes, skills.
Source: Wei, Iyer and Bilmes 2014 (Unsupervised submodular subset selection for speech data),
feature-based functions; the values that apricot gives to FeatureBasedSelection.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from smartx.engine import NOMINAL, Speed
from smartx.needs import Need
from smartx.options import number, one_of
from smartx.rankers.lazily import lazily
from smartx.rankers.one_by_one import not_negative, one_by_one, trained_of
from smartx.rankers.pool import Pool
from smartx.rankers.ranker import Order, Ranker


@dataclass(frozen=True)
class FeatureBasedRanker(Ranker):
    """By what the first rows have of all features, each worth less the more there is of it.

    matrix: a feature, (n, d), every value finite and at least 0.
    phi: "sqrt"; "log", which is log(1 + x); or "power", which is x to the `exponent`.
    Square roots are the same on every machine; the two others may differ in the last bit between
    processors, which could turn a tie.
    Rows that a model was trained on count from the start, and come first with a gain of 0.
    """

    matrix: str = "features"
    phi: Annotated[str, one_of("sqrt", "log", "power")] = "sqrt"
    exponent: Annotated[float, number(0, 1, above=True)] = 0.5

    name: ClassVar[str] = "feature-based"

    @property
    def needs(self) -> tuple[Need, ...]:
        """The matrix."""
        return (Need(self.matrix, "matrix"),)

    def seconds(
        self, sizes: NDArray[np.int64], dimensions: int, speed: Speed = NOMINAL
    ) -> NDArray[np.float64]:
        """A look at many rows in each step, where what they add differs little."""
        step = 1e-4 + 8e-10 * max(1, dimensions) * sizes
        return np.asarray(step * sizes / speed.greedy, dtype=np.float64)

    def memory(self, sizes: NDArray[np.int64], dimensions: int, threads: int) -> int:
        """The rows as float64, and as much again while all gains are counted."""
        return int(sizes.max(initial=0)) * (40 * max(1, dimensions) + 64)

    def rank(self, pool: Pool, *, threads: int) -> Order:
        """Each unit by itself. Raises InputError where a value is negative or not finite."""
        matrix = pool.feature(self.matrix)

        def ranked(part: slice) -> Order:
            own = not_negative(matrix[part], self.matrix, "values")
            return concave(own, self.phi, self.exponent, trained_of(pool, part))

        return one_by_one(pool, ranked)


def concave(
    matrix: NDArray[np.float64], phi: str, exponent: float, trained: NDArray[np.int64]
) -> Order:
    """Greedy over (n, d) values at least 0."""
    so_far = np.zeros(matrix.shape[1])

    def gains_of(rows: NDArray[np.int64]) -> NDArray[np.float64]:
        found: NDArray[np.float64] = rises(so_far, matrix[rows], phi, exponent).sum(axis=1)
        return found

    def add(row: int) -> None:
        np.add(so_far, matrix[row], out=so_far)

    return lazily(len(matrix), gains_of, add, trained)


def rises(
    so_far: NDArray[np.float64], more: NDArray[np.float64], phi: str, exponent: float
) -> NDArray[np.float64]:
    """phi(so_far + more) - phi(so_far), in a form that shrinks while so_far grows, rounding
    included: lazy greedy is greedy then. Of powers it is so up to the last bit.
    """
    if phi == "sqrt":
        roots = np.sqrt(so_far + more) + np.sqrt(so_far)
        return np.asarray(more / np.where(roots > 0, roots, 1.0))
    if phi == "log":
        return np.asarray(np.log1p(more / (1.0 + so_far)))
    return np.asarray((so_far + more) ** exponent - so_far**exponent)
