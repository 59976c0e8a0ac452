"""The difference of two arms, run by run and data set by data set, and where its variance is from.

The noise comes from two sides. Data sets stand for others of their kind, and relatives (a family)
share what they show. A run (one fold, one seed: a pool, a draw, a training) is shared by all data
sets that it is asked of, so its noise moves a whole fold at once; flipping or resampling families
alone never sees that and calls chance an effect in up to a third of the cases. Here both sides
count:

    SE^2 = sum over families of (contribution - its share of the mean)^2, made unbiased
         + what the runs of a fold vary more than their families do by themselves (>= 0)
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smartx.errors import InputError

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Differences:
    """One arm less another, paired by run and data set. Make it by `held_out` or `crossed`.

    values: (r, d) float64, a row for each run; NaN where a run was not asked of a data set. Or
    (n, r, d): n contrasts with the same gaps; what is told of them then has n numbers.
    families: (d,) int64, counted from 0.  folds: (r,) int64, the fold of each run.
    The mean is over data sets, each with the same weight, and over the runs of each.
    """

    values: Floats
    families: NDArray[np.int64]
    folds: NDArray[np.int64]

    def __post_init__(self) -> None:
        *_, runs, sets = self.values.shape
        if (len(self.folds), len(self.families)) != (runs, sets) or not sets:
            raise InputError(
                f"{self.values.shape} values, {len(self.families)} families and "
                f"{len(self.folds)} folds of runs do not fit",
                place="Differences",
                fix="give a row for each run and a column for each data set",
            )
        gaps = np.isnan(self.values).reshape(-1, runs, sets)
        if (gaps != gaps[0]).any():
            raise InputError(
                "contrasts have other gaps", place="Differences", fix="ask them one by one"
            )
        if gaps[0].all(axis=0).any():
            raise InputError(
                "a data set has no run", place="Differences", fix="leave its column out"
            )

    @cached_property
    def weights(self) -> Floats:
        """(r, d), sum 1: what each value counts in the mean."""
        there = ~np.isnan(self.values.reshape(-1, *self.values.shape[-2:])[0])
        return np.asarray(there / there.sum(axis=0) / there.shape[1], np.float64)

    @property
    def mean(self) -> float:
        return float(self.means)

    @cached_property
    def means(self) -> Floats:
        """One for each contrast."""
        return np.asarray(self.contributions.sum(axis=(-2, -1)), np.float64)

    @cached_property
    def shares(self) -> Floats:
        """(r, f): the weight of each family in each run."""
        return self.weights @ self._members

    @cached_property
    def contributions(self) -> Floats:
        """(..., r, f): what each run and family gives to the mean."""
        return np.asarray(np.nan_to_num(self.values) * self.weights @ self._members, np.float64)

    @cached_property
    def _members(self) -> Floats:
        return np.eye(self.families.max() + 1)[self.families]

    @cached_property
    def spread(self) -> Spread:
        return _spread(self)


def held_out(
    values: ArrayLike, families: Sequence[Hashable], folds: Sequence[Hashable]
) -> Differences:
    """Data sets that only the runs of their own fold are asked of.

    values: (s, d), seed by data set.  folds: (d,), the fold that holds a data set out. Seed i of
    one fold and seed i of another are runs of their own.
    """
    table = np.asarray(values, np.float64)
    places = _codes(folds)
    count = int(places.max()) + 1
    own = np.arange(count)[:, None, None] == places
    return Differences(
        np.where(own, table, np.nan).reshape(-1, table.shape[1]),
        _codes(families),
        np.repeat(np.arange(count), len(table)),
    )


def crossed(values: ArrayLike, families: Sequence[Hashable]) -> Differences:
    """Data sets that the runs of several folds are asked of: seen ones, or another corpus.

    values: (k, s, d), fold by seed by data set, NaN where a fold holds the data set out.
    """
    table = np.asarray(values, np.float64)
    folds = np.repeat(np.arange(table.shape[0]), table.shape[1])
    return Differences(table.reshape(-1, table.shape[2]), _codes(families), folds)


def _codes(labels: Sequence[Hashable]) -> NDArray[np.int64]:
    known: dict[Hashable, int] = {}
    return np.array([known.setdefault(label, len(known)) for label in labels], np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Spread:
    """Where the variance of a mean comes from (squares of its unit), for each contrast.

    families: of the mean over families, with what the runs add to each of them by itself; NaN of
    one family.  runs: of the mean over runs, these data sets being given; NaN where a fold has one
    run.  cells: the part of `runs` that each family has by itself, so that `families` has it too.
    by_fold: (..., k) the part of `runs` from each fold.  freedom: (k,) runs of a fold less one.
    """

    families: Floats
    runs: Floats
    cells: Floats
    by_fold: Floats
    freedom: NDArray[np.int64]

    @property
    def shared(self) -> Floats:
        """What runs do to all their data sets at once."""
        return np.maximum(0.0, self.runs - self.cells)

    @property
    def new(self) -> Floats:
        """The variance of the mean, families and runs being drawn anew."""
        return self.families + self.shared


def _spread(differences: Differences) -> Spread:
    given, share = differences.contributions, differences.shares
    of_fold = np.eye(differences.folds.max() + 1)[differences.folds].T  # (k, r)
    freedom = of_fold.sum(axis=1).astype(np.int64) - 1
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.where(freedom > 0, (freedom + 1) / freedom, np.nan)
    whole, all_shares = given.sum(axis=-1, keepdims=True), share.sum(axis=-1, keepdims=True)
    by_fold = (of_fold @ _around_fold(whole, all_shares, of_fold))[..., 0] * scale
    cells = (of_fold @ _around_fold(given, share, of_fold)).sum(axis=-1) * scale
    own, weight = given.sum(axis=-2), share.sum(axis=0)
    around = own - differences.means[..., None] * weight
    families = unbiased(weight) * (around**2).sum(axis=-1)
    return Spread(families, by_fold.sum(axis=-1), cells.sum(axis=-1), by_fold, freedom)


def _around_fold(given: Floats, share: Floats, of_fold: Floats) -> Floats:
    """Squares of what each run differs from the mean of its fold's runs, column by column."""
    weights = of_fold @ share
    level = (of_fold @ given) / np.where(weights > 0, weights, 1.0)
    return np.asarray((given - share * (of_fold.T @ level)) ** 2, np.float64)


def unbiased(weight: Floats) -> float:
    """Squares around the mean are too small by this, were families alike; 1 family: NaN.

    weight: (f,), sum 1. Of equal families it is f / (f - 1).
    """
    squares = weight**2
    left = (squares * (1 - 2 * weight + squares.sum())).sum()
    return float(squares.sum() / left) if len(weight) > 1 else float("nan")
