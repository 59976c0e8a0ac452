"""Intervals, a test and a floor for differences between two arms, right for how the runs were made.

The noise comes from two sides. Data sets stand for others of their kind, and relatives (a family)
share what they show. A run (one fold, one seed: a pool, a draw, a training) is shared by all data
sets that it is asked of, so its noise moves a whole fold at once; flipping or resampling families
alone never sees that and calls chance an effect in up to a third of the cases. Here both sides
count:

    SE^2 = sum over families of (contribution - its share of the mean)^2, made unbiased
         + what the runs of a fold vary more than their families do by themselves (>= 0)

Nothing assumes normal families or families of one size: `interval_new` is made of the means that
`sign_flip` does not reject. simulate.py shows how often it holds, and what other forms do.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from smartx.errors import InputError

Floats = NDArray[np.float64]
Interval = tuple[float, float]
DRAWS = 9_999
LEVEL = 0.05


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
    families = _unbiased(weight) * (around**2).sum(axis=-1)
    return Spread(families, by_fold.sum(axis=-1), cells.sum(axis=-1), by_fold, freedom)


def _around_fold(given: Floats, share: Floats, of_fold: Floats) -> Floats:
    """Squares of what each run differs from the mean of its fold's runs, column by column."""
    weights = of_fold @ share
    level = (of_fold @ given) / np.where(weights > 0, weights, 1.0)
    return np.asarray((given - share * (of_fold.T @ level)) ** 2, np.float64)


def _unbiased(weight: Floats) -> float:
    """Squares around the mean are too small by this, were families alike; 1 family: NaN.

    weight: (f,), sum 1. Of equal families it is f / (f - 1).
    """
    squares = weight**2
    left = (squares * (1 - 2 * weight + squares.sum())).sum()
    return float(squares.sum() / left) if len(weight) > 1 else float("nan")


def interval_these(differences: Differences, level: float = LEVEL) -> Interval:
    """Where the mean over these data sets would lie, were all pools, draws and trainings new.

    Student's t, with a freedom that allows for folds of unequal noise. NaN where a fold has one
    run.
    """
    low, high = intervals_these(differences, level)
    return float(low), float(high)


def intervals_these(differences: Differences, level: float = LEVEL) -> tuple[Floats, Floats]:
    """The same for many contrasts."""
    spread, mean = differences.spread, differences.means
    half = stats.t.ppf(1 - level / 2, run_freedom(spread)) * np.sqrt(spread.runs)
    return mean - half, mean + half


def run_freedom(spread: Spread) -> Floats:
    """Degrees of freedom of the variance of runs: at least the fewest of a fold, at most all.

    Satterthwaite's, of squares that are freed of what so few runs add to them by chance: as they
    stand, folds seem more unequal than they are, and of 100 intervals 97 hold instead of 95.
    """
    freedom = np.maximum(spread.freedom, 1)
    squares = spread.by_fold**2 / (1 + 2 / freedom)
    below = (squares / freedom).sum(axis=-1)
    found = spread.runs**2 / np.where(below > 0, below, 1.0) - 2
    found = np.where(below > 0, np.clip(found, freedom.min(), freedom.sum()), freedom.sum())
    return np.asarray(found, np.float64)


def sign_flip(differences: Differences, *, draws: int = DRAWS, seed: int = 0) -> float:
    """Two-sided p of "the mean over families like these is zero", runs being drawn anew too.

    Families flip their signs, each as a whole; what runs share is drawn from a normal distribution
    of the size that the runs show, and that size from its own chi-square, since few runs tell it
    badly. What is compared is the mean over its standard error. Without noise of runs it is the
    exact test of symmetric families, of which all 2^f sign patterns are used where `draws` reach
    for them. NaN where a fold has one run; with two seeds it errs in 4 to 7 of 100 cases, not in 5.
    """
    return float(sign_flips(differences, draws=draws, seed=seed))


def sign_flips(differences: Differences, *, draws: int = DRAWS, seed: int = 0) -> Floats:
    """The same for many contrasts, with the same sign patterns for all."""
    flips = _Flips(differences, draws, seed)
    return flips.p(np.zeros(len(flips.mean))).reshape(differences.means.shape)


def interval_new(
    differences: Differences, *, level: float = LEVEL, draws: int = DRAWS, seed: int = 0
) -> Interval:
    """Where the mean lies for families of data sets, and runs, like these: what `sign_flip` allows.

    Endless where the families are too few to exclude anything (at 95 %, fewer than six). NaN where
    a fold has one run. With few seeds it may be narrower than that for these data sets: it learns
    from all families how noisy one is, where the other has but a few runs to learn from.
    """
    low, high = intervals_new(differences, level=level, draws=draws, seed=seed)
    return float(low), float(high)


def intervals_new(
    differences: Differences, *, level: float = LEVEL, draws: int = DRAWS, seed: int = 0
) -> tuple[Floats, Floats]:
    """The same for many contrasts, with the same sign patterns for all."""
    flips, shape = _Flips(differences, draws, seed), differences.means.shape
    return flips.bound(-1, level).reshape(shape), flips.bound(1, level).reshape(shape)


class _Flips:
    """Sign patterns and noise of runs, drawn once, for any mean that is asked about.

    Arrays have a row for each contrast (n) and a column for each pattern (b) or family (f).
    """

    def __init__(self, differences: Differences, draws: int, seed: int) -> None:
        spread = differences.spread
        self.mean, self.new = (np.ravel(x) for x in (differences.means, spread.new))
        self.own = differences.contributions.sum(axis=-2).reshape(len(self.mean), -1)
        self.weight = differences.shares.sum(axis=0)
        self.scale = _unbiased(self.weight)
        rng = np.random.default_rng(seed)
        signs = _signs(len(self.weight), draws, rng).T  # (f, b)
        self.sums, self.weights = self.own @ signs, self.weight @ signs
        # All or none flipped is what was observed, whatever the noise: few families stay few.
        self.unflipped = np.abs(self.weights) > 1 - 1e-9
        self.crossed = (self.own * self.weight) @ signs
        self.squares = self.weight**2 @ signs
        shared, runs, cells, freedom = (
            np.ravel(x)[:, None]
            for x in (spread.shared, spread.runs, spread.cells, run_freedom(spread))
        )
        self.noise = np.sqrt(shared) * rng.standard_normal(signs.shape[1])
        sizes = rng.chisquare(freedom, self.sums.shape) / freedom
        self.shared = np.maximum(0.0, runs * sizes - cells)

    def p(self, mean: Floats) -> Floats:
        """How often flipped families lie as far from `mean` (n,) as the true ones, or farther."""
        at = mean[:, None]
        flipped = self.sums - at * self.weights
        total = ((self.own - at * self.weight) ** 2).sum(axis=1, keepdims=True)
        crossed = flipped * (self.crossed - at * self.squares)
        around = total - 2 * crossed + flipped**2 * (self.weight**2).sum()
        variance = self.scale * np.maximum(around, 0.0) + self.shared
        # |flipped| / its error >= |own| / its error, with no division by an error of zero
        far = (flipped + self.noise) ** 2 * self.new[:, None]
        bar = (self.mean[:, None] - at) ** 2 * variance
        count = np.count_nonzero((far >= bar * (1 - 1e-9)) | self.unflipped, axis=1)
        return np.where(np.isfinite(self.new), (1 + count) / (1 + far.shape[1]), np.nan)

    def bound(self, side: int, level: float) -> Floats:
        """The last mean on this side (-1 below, 1 above) that p does not exclude."""
        near, far = self.mean.copy(), self.mean + 2 * side * np.sqrt(self.new)
        inside = (self.p(far) > level) & (self.new > 0)
        for _ in range(13):  # to 16,000 standard errors
            if not inside.any():
                break
            near, far = np.where(inside, (far, 2 * far - self.mean), (near, far))
            inside &= self.p(far) > level
        for _ in range(12):  # to a thousandth of a standard error
            middle = (near + far) / 2
            more = self.p(middle) > level
            near, far = np.where(more, (middle, far), (near, middle))
        return np.where(inside, side * np.inf, (near + far) / 2)


def _signs(families: int, draws: int, rng: np.random.Generator) -> Floats:
    """(n, f) of +-1, without the pattern that was observed, which `p` counts by itself.

    All 2^f patterns, each equally often, where that is at most `draws` + 1; else random ones.
    """
    if families < 24 and 2**families <= draws + 1:
        every = np.array(list(product((1.0, -1.0), repeat=families)))
        return np.tile(every, ((draws + 1) // len(every), 1))[1:]
    return 1.0 - 2.0 * rng.integers(0, 2, (draws, families), np.int8)


def holm(p: Sequence[float]) -> Floats:
    """p-values corrected for having asked all of them (Holm, 1979), in the order given.

    At most 1, and in the order of p. NaN stays NaN and does not count.
    """
    values = np.asarray(p, np.float64)
    found = np.full(len(values), np.nan)
    order = [int(place) for place in np.argsort(values) if not np.isnan(values[place])]
    worst = 0.0
    for rank, place in enumerate(order):
        worst = max(worst, min(1.0, (len(order) - rank) * float(values[place])))
        found[place] = worst
    return found


@dataclass(frozen=True, slots=True)
class Floor:
    """What chance alone does to the mean difference of two experiments with the same arm.

    one: standard deviation between two runs, of a fold's mean over its data sets.
    size: the difference between two whole experiments (all folds, all seeds) that chance stays
    under in 95 of 100 cases.  freedom: of the estimate.
    """

    one: float
    size: float
    freedom: float


def floor(same: Differences, level: float = LEVEL) -> Floor:
    """From the same arm twice (A/A): its mean difference is known to be zero.

    Chance between the two draws, the pool being the same, as it is in every contrast.
    """
    given, share = same.contributions.sum(axis=1), same.shares.sum(axis=1)
    freedom = len(given)
    size = float(stats.t.ppf(1 - level / 2, freedom)) * float((given**2).sum()) ** 0.5
    one = float(np.mean((given / share) ** 2)) ** 0.5
    return Floor(one, size, float(freedom))


def floor_within(values: Sequence[Differences], level: float = LEVEL) -> Floor:
    """From how an arm's own values (not differences) vary over its seeds; the mean of all arms.

    Two experiments differ by twice that variance. It holds the pools' noise too, which contrasts
    do not have, so it is the larger floor. NaN where a fold has one run.
    """
    spreads = [arm.spread for arm in values]
    runs = 2 * float(np.mean([spread.runs for spread in spreads]))
    freedom = float(np.sum([run_freedom(spread) for spread in spreads]))
    ratios = [
        spread.by_fold * (spread.freedom + 1) / np.bincount(arm.folds, arm.shares.sum(axis=1)) ** 2
        for arm, spread in zip(values, spreads, strict=True)
    ]
    one = (2 * float(np.mean(ratios))) ** 0.5
    size = float(stats.t.ppf(1 - level / 2, freedom)) * runs**0.5
    return Floor(one, size, freedom)
