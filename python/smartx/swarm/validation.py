"""How well each kind of surface foretells runs that it was not shown, and which one to believe."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smartx.swarm.folds import folds_of, mixtures_of
from smartx.swarm.gaussian import fit_gaussian
from smartx.swarm.library import special
from smartx.swarm.log_linear import fit_log_linear
from smartx.swarm.surface import Fitter, Matrix, Vector
from smartx.swarm.trees import fit_trees, mean_of_trees

MODELS: dict[str, Fitter] = {  # from the simplest: it is taken where errors are equal
    "log-linear": fit_log_linear,
    "gp": fit_gaussian,
    "boosted-trees": fit_trees,
}
FOLDS = 10


@dataclass(frozen=True, eq=False)
class Validation:
    """Cross-validation of one kind of surface.

    left_out: (n,) what was foretold of each run by a fit without its mixture.
    error: root of the mean squared error.  explained: the part of the variance that it explains, at
    most 1; below 0 the mean of the other runs foretells better.
    covered: the part of the runs that lay in their interval; None where the kind gives it by
    construction.
    """

    left_out: Vector
    error: float
    explained: float
    covered: float | None


def validate(name: str, shares: Matrix, metric: Vector, level: float) -> Validation:
    """Leave out a tenth of the mixtures at a time. name: of MODELS.  level: of the intervals."""
    foretold, inside = np.empty(len(metric)), np.zeros(len(metric), dtype=bool)
    means = np.empty(len(metric))
    for out in folds_of(shares, FOLDS):
        means[out] = metric[~out].mean()
        if name == "boosted-trees":
            foretold[out] = mean_of_trees(shares[~out], metric[~out], shares[out])
            continue
        found = MODELS[name](shares[~out], metric[~out]).predict(shares[out])
        low, high = found.interval(level, of_run=True)
        foretold[out] = found.mean
        inside[out] = (low <= metric[out]) & (metric[out] <= high)
    squared, plain = ((foretold - metric) ** 2).mean(), ((means - metric) ** 2).mean()
    covered = None if name == "boosted-trees" else float(inside.mean())
    return Validation(foretold, float(np.sqrt(squared)), float(1 - squared / plain), covered)


def best_of(found: dict[str, Validation]) -> str:
    """The kind with the least error; of equal ones the first."""
    return min(found, key=lambda name: found[name].error)


@dataclass(frozen=True)
class NoiseFloor:
    """What runs of one and the same mixture differ by.

    deviation: standard deviation of a run, pooled over mixtures that ran more than once.
    freedom: degrees of freedom: runs less mixtures, of these.
    least: a difference between two runs that is larger is no noise, at 95 %.
    """

    deviation: float
    freedom: int
    least: float


def noise_floor(shares: Matrix, metric: Vector) -> NoiseFloor | None:
    """The noise floor of measured runs; None where every mixture ran once."""
    mixture: NDArray[np.int64] = mixtures_of(shares)
    runs = np.bincount(mixture)
    freedom = int((runs - 1).sum())
    if not freedom:
        return None
    means = np.bincount(mixture, metric) / runs
    deviation = float(np.sqrt(((metric - means[mixture]) ** 2).sum() / freedom))
    least = float(special().stdtrit(freedom, 0.975)) * np.sqrt(2) * deviation
    return NoiseFloor(deviation, freedom, float(least))
