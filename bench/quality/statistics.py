"""Intervals, a test and a floor for differences between two arms, right for how the runs were made.

Nothing assumes normal families or families of one size: `interval_new` is made of the means that
`sign_flip` does not reject. simulate.py shows how often it holds, and what other forms do.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
from scipy import stats

from quality.differences import Differences, Floats, Spread, unbiased

Interval = tuple[float, float]
DRAWS = 9_999
LEVEL = 0.05


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
        self.scale = unbiased(self.weight)
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


def floor(same: Differences, level: float = LEVEL) -> float:
    """What chance alone keeps the mean difference of two such experiments below, in 95 of 100
    cases: from the same arm twice (A/A), whose mean difference is known to be zero.

    Chance between the two draws, the pool being the same, as it is in every contrast.
    """
    given = same.contributions.sum(axis=1)
    return float(stats.t.ppf(1 - level / 2, len(given)) * np.sqrt((given**2).sum()))
