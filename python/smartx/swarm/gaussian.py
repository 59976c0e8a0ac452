"""A Gaussian process over shares: no form is assumed, only that near mixtures do alike.

A linear kernel and a squared exponential one over the shares and their square roots side by side
(by square roots the differences of small shares count more, as returns that diminish have it), and
noise. scikit-learn finds the variances, lengths and the noise by the largest marginal likelihood;
they are then taken as known, so the intervals are a little narrow where runs are few.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from smartx.swarm.library import gaussian_processes
from smartx.swarm.surface import Matrix, Prediction, Vector


@dataclass(frozen=True, eq=False)
class Columns:
    """Shares as what the kernels see: shares and square roots, each about its centre and of mean
    square 1/2 a row. centres: two of (p,).  units: two.
    """

    centres: tuple[Vector, Vector]
    units: tuple[float, float]

    @classmethod
    def of(cls, shares: Matrix) -> Columns:
        """Those of a swarm."""
        both = (shares, np.sqrt(shares))
        first, second = (side.mean(axis=0) for side in both)
        units = [
            float(np.sqrt(2 * ((side - centre) ** 2).sum(axis=1).mean())) or 1.0
            for side, centre in zip(both, (first, second), strict=True)
        ]
        return cls((first, second), (units[0], units[1]))

    def __call__(self, shares: Matrix) -> Matrix:
        """(n, 2 p)."""
        sides = zip((shares, np.sqrt(shares)), self.centres, self.units, strict=True)
        return np.hstack([(side - centre) / unit for side, centre, unit in sides])


@dataclass(frozen=True, eq=False)
class GaussianProcess:
    """The fitted surface. centre, size: mean and deviation of the metric.  variance: of the noise,
    where the size is 1.
    """

    model: Any
    columns: Columns
    centre: float
    size: float
    variance: float
    freedom: float

    def mean(self, shares: Matrix) -> Vector:
        """See Surface."""
        found: Vector = self.centre + self.size * self.model.predict(self.columns(shares))
        return found

    def predict(self, shares: Matrix) -> Prediction:
        """See Surface."""
        mean, deviation = self.model.predict(self.columns(shares), return_std=True)
        spread = np.sqrt(np.maximum(deviation**2 - self.variance, 0.0))
        return self._prediction(self.centre + self.size * mean, spread)

    def difference(self, shares: Matrix, base: Vector) -> Prediction:
        """See Surface."""
        mean, spreads = np.empty(len(shares)), np.empty(len(shares))
        at_base = self.columns(base[None, :])
        for place, row in enumerate(self.columns(shares)):
            pair = np.vstack([row[None, :], at_base])
            both, covariance = self.model.predict(pair, return_cov=True)
            joint = covariance - self.variance * np.eye(2)
            mean[place] = both[0] - both[1]
            spreads[place] = joint[0, 0] + joint[1, 1] - 2 * joint[0, 1]
        return self._prediction(self.size * mean, np.sqrt(np.maximum(spreads, 0.0)))

    def _prediction(self, mean: Vector, spread: Vector) -> Prediction:
        noise = self.size * float(np.sqrt(self.variance))
        return Prediction(mean, self.size * spread, noise, self.freedom)


def fit_gaussian(shares: Matrix, metric: Vector) -> GaussianProcess:
    """The surface of measured runs. shares: (n, p).  metric: (n,), not constant."""
    gp = gaussian_processes()
    kernel = (
        gp.kernels.ConstantKernel(0.5, (1e-3, 1e3)) * gp.kernels.DotProduct(0, "fixed")
        + gp.kernels.ConstantKernel(0.3, (1e-3, 1e2)) * gp.kernels.RBF(1.5, (0.3, 15))
        + gp.kernels.WhiteKernel(0.3, (1e-3, 10))
    )
    columns, size = Columns.of(shares), float(metric.std())
    model = gp.GaussianProcessRegressor(kernel, alpha=1e-8, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a variance at its bound is an answer
        model.fit(columns(shares), (metric - metric.mean()) / size)
    variance = float(model.kernel_.k2.noise_level)
    return GaussianProcess(model, columns, float(metric.mean()), size, variance, len(metric) - 1.0)
