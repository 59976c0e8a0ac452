"""What a response surface is: from the shares of a mixture to what a run trained on it measures.

Inside this room a metric is always a loss: lower is better. `fit` turns the sign of others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from smartx.swarm.library import special

Matrix = NDArray[np.float64]
Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a surface says of n mixtures.

    mean: (n,) the response that is expected.
    spread: (n,) the standard deviation of that expectation: how little the fit knows.
    noise: the standard deviation of one run around its response; runs of one mixture differ by it.
    freedom: degrees of freedom of the Student t distribution that both are scales of.
    errors: absolute errors of runs that the fit was not shown, rising: then the intervals are made
    of these, and are those of a run. None: by `spread`.
    """

    mean: Vector
    spread: Vector
    noise: float
    freedom: float
    errors: Vector | None = None

    def interval(self, level: float, *, of_run: bool = False) -> tuple[Vector, Vector]:
        """Where the response lies with probability `level`; with of_run: a measured run."""
        half = self._half(level, of_run)
        return self.mean - half, self.mean + half

    def _half(self, level: float, of_run: bool) -> Vector:
        if self.errors is not None:  # the conformal quantile; beyond the last one: the last
            place = min(len(self.errors), int(np.ceil(level * (len(self.errors) + 1)))) - 1
            return np.full(len(self.mean), self.errors[place])
        scale = np.sqrt(self.spread**2 + self.noise**2) if of_run else self.spread
        half: Vector = float(special().stdtrit(self.freedom, 0.5 + level / 2)) * scale
        return half

    def below(self) -> Vector:
        """(n,) the probability that the response is below zero: of a difference, that it is one."""
        scale = np.maximum(self.spread, np.finfo(np.float64).tiny)
        chance: Vector = special().stdtr(self.freedom, -self.mean / scale)
        return chance


class Surface(Protocol):
    """A fitted response surface."""

    def mean(self, shares: Matrix) -> Vector:
        """(n,) the means of `predict` alone."""

    def predict(self, shares: Matrix) -> Prediction:
        """The responses of mixtures. shares: (n, p), rows that sum to 1."""

    def difference(self, shares: Matrix, base: Vector) -> Prediction:
        """Responses of mixtures less that of `base`, (p,). What both share in error cancels."""


Fitter = Callable[[Matrix, Vector], Surface]
