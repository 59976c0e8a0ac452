"""Which difference would have been seen: standard errors and 80 % power for other designs.

The parts of the variance are measured (`Spread` of differences.py); they shrink with more seeds,
with more data sets (families with them), or with both. Everything is in the unit of the
differences; divide by the base's mean for a share of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from quality.differences import Differences
from quality.statistics import run_freedom

POWER = 0.80
LEVEL = 0.05


@dataclass(frozen=True, slots=True)
class Parts:
    """Variances of a mean difference in the design that was measured, and that design.

    families: between families, without what runs do.  cells: what runs do to each family by
    itself.  shared: what runs do to all data sets of a fold at once.
    seeds, sets: of the design.  relatives: how many families of equal size would say as much.
    folds: of independent runs, as many as their noise makes of them.
    """

    families: float
    cells: float
    shared: float
    seeds: int
    sets: int
    relatives: float
    folds: float

    def error(self, seeds: int, sets: int | None = None, *, new: bool) -> float:
        """Standard error of the mean difference with other numbers of seeds and data sets.

        new: for data sets like these; if not, for the data sets themselves.
        """
        runs, kinds = self._times(seeds, sets)
        given = self.shared / runs + self.cells / (runs * kinds)
        return float((given + (self.families / kinds if new else 0.0)) ** 0.5)

    def freedom(self, seeds: int, sets: int | None = None, *, new: bool) -> float:
        """Degrees of freedom of that error, after Satterthwaite; 0 with one seed."""
        runs, kinds = self._times(seeds, sets)
        of_runs = self.folds * (seeds - 1)
        if of_runs <= 0 or not new:
            return max(0.0, of_runs)
        shared = self.shared / runs
        own = self.families / kinds + self.cells / (runs * kinds)
        of_families = max(1.0, self.relatives * kinds - 1)
        below = own**2 / of_families + shared**2 / of_runs
        return float((own + shared) ** 2 / below) if below > 0 else of_families

    def power(
        self, effect: float, seeds: int, sets: int | None = None, *, new: bool, tests: int = 1
    ) -> float:
        """How often a true difference of `effect` is called one; 0 with one seed.

        tests: of how many arms; Holm asks the first of them at 5 % / tests.
        """
        freedom = self.freedom(seeds, sets, new=new)
        error = self.error(seeds, sets, new=new)
        return _power(abs(effect) / error, freedom, tests) if freedom > 0 and error > 0 else 0.0

    def smallest(self, seeds: int, sets: int | None = None, *, new: bool, tests: int = 1) -> float:
        """The true difference that is called one in 80 of 100 experiments; endless with one seed.

        tests: as for `power`.
        """
        freedom = self.freedom(seeds, sets, new=new)
        if freedom <= 0:
            return float("inf")
        shift = optimize.brentq(lambda s: _power(s, freedom, tests) - POWER, 0.0, 1e3, xtol=1e-6)
        return float(shift) * self.error(seeds, sets, new=new)

    def _times(self, seeds: int, sets: int | None) -> tuple[float, float]:
        """How many times the runs, and the families, of the design that was measured."""
        return seeds / self.seeds, (self.sets if sets is None else sets) / self.sets


def _power(shift: float, freedom: float, tests: int) -> float:
    """Of a two-sided t test at 5 % / tests, the true mean being `shift` standard errors away."""
    bar = stats.t.ppf(1 - LEVEL / tests / 2, freedom)
    if shift > 30:  # far beyond any bar of interest, where the noncentral t is unsafe
        return float(stats.norm.sf(bar - shift))
    # the wrong side is next to nothing from 6 on, and scipy gives NaN of it
    wrong = float(stats.nct.cdf(-bar, freedom, shift)) if shift < 6 else 0.0
    return float(stats.nct.sf(bar, freedom, shift)) + wrong


def parts_of(contrasts: Sequence[Differences]) -> Parts:
    """The mean of the parts over contrasts of one design (several arms tell more than one does).

    A part that comes out below zero, as small ones do by chance, counts so in the mean.
    Needs two seeds or more; with one, all parts are NaN.
    """
    spreads = [contrast.spread for contrast in contrasts]
    families, cells, shared, freedom = (
        float(np.mean([np.mean(part) for part in parts]))
        for parts in (
            [spread.families - spread.cells for spread in spreads],
            [spread.cells for spread in spreads],
            [spread.runs - spread.cells for spread in spreads],
            [run_freedom(spread) for spread in spreads],
        )
    )
    first = contrasts[0]
    weight = first.shares.sum(axis=0)
    seeds = int(np.bincount(first.folds).min())
    return Parts(
        *(part if np.isnan(part) else max(0.0, part) for part in (families, cells, shared)),
        seeds, len(first.families), float(1 / (weight**2).sum()), freedom / max(1, seeds - 1),
    )  # fmt: skip
