"""Boosted regression trees over shares: steps and interactions, nothing smooth.

Trees say no error bars. Theirs are conformal: the size of the errors that the same trees made on
runs that they were not shown, in cross-validation. They are bars of a measured run, not of the
response, and assume only that a new mixture comes from where those of the swarm came from.
Source: RegMix (arXiv 2407.01492) regresses with boosted trees; Vovk (2015), cross-conformal
predictors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from smartx.swarm.folds import folds_of
from smartx.swarm.library import ensembles
from smartx.swarm.surface import Matrix, Prediction, Vector

FOLDS = 8
ROUNDS = 150
_RATE, _DEPTH, _PART, _LEAF = 0.05, 2, 0.7, 3


@dataclass(frozen=True, eq=False)
class BoostedTrees:
    """The fitted surface. errors: (n,) absolute, of runs that were left out, rising."""

    model: Any
    errors: Vector

    def mean(self, shares: Matrix) -> Vector:
        """See Surface."""
        found: Vector = self.model.predict(shares)
        return found

    def predict(self, shares: Matrix) -> Prediction:
        """See Surface."""
        return self._prediction(self.mean(shares), self.errors)

    def difference(self, shares: Matrix, base: Vector) -> Prediction:
        """See Surface. Errors of two predictions count as independent."""
        less = self.mean(shares) - self.mean(base[None, :])
        return self._prediction(less, np.sqrt(2) * self.errors)

    def _prediction(self, mean: Vector, errors: Vector) -> Prediction:
        size = float(np.sqrt((errors**2).mean()))
        return Prediction(mean, np.full(len(mean), size), 0.0, len(errors) - 1.0, errors)


def fit_trees(shares: Matrix, metric: Vector) -> BoostedTrees:
    """The surface of measured runs. shares: (n, p).  metric: (n,)."""
    errors = np.empty(len(metric))
    for out in folds_of(shares, FOLDS):
        errors[out] = np.abs(mean_of_trees(shares[~out], metric[~out], shares[out]) - metric[out])
    return BoostedTrees(_trees(shares, metric), np.sort(errors))


def mean_of_trees(shares: Matrix, metric: Vector, asked: Matrix) -> Vector:
    """What trees fitted to some runs expect of mixtures, without error bars."""
    found: Vector = _trees(shares, metric).predict(asked)
    return found


def _trees(shares: Matrix, metric: Vector) -> Any:
    trees = ensembles().GradientBoostingRegressor(
        n_estimators=ROUNDS,
        learning_rate=_RATE,
        max_depth=_DEPTH,
        subsample=_PART,
        min_samples_leaf=_LEAF,
        random_state=0,
    )
    return trees.fit(shares, metric)
