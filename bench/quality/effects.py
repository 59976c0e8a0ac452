"""One contrast in numbers: difference, intervals, p-values, beside what chance alone does.

Every table and picture reads these, so that they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from quality import statistics
from quality.arms import CONTROLS, FURTHER, MAIN, RANDOM, SELECTIONS, UNTUNED
from quality.differences import Differences
from quality.outcomes import PRIMARY, Outcome, Paired, paired
from quality.statistics import Interval
from quality.suites import Suite


@dataclass(frozen=True, slots=True, eq=False)
class Effect:
    """An arm against random rows (or `base`), in the unit of its outcome, on the folds and seeds
    that both have whole.

    base_value, value: macro means over data sets and seeds.  difference: value - base_value.
    these: 95 % interval for these data sets, were pools, draws and trainings new.
    new: 95 % interval for other data sets, were these and their families a sample of them.
    p: two-sided, by flipping the signs of families.  holm: the same, corrected for the arms that
    it was asked of together.  With one seed intervals and p are NaN.
    chance: what it keeps the difference of two draws of random rows below, in 95 of 100 benches
    with so many runs; None without A/A.
    better: data sets on which the arm is better, of `tasks`.
    by_task, errors: mean over runs on each data set, and its standard error (NaN with one run).
    by_fold: macro mean on each fold's held-out data sets.
    differences: what all this is of.
    """

    arm: str
    base: tuple[str, ...]
    outcome: Outcome
    tasks: int
    better: int
    folds: tuple[int, ...]
    seeds: tuple[int, ...]
    base_value: float
    value: float
    difference: float
    these: Interval
    new: Interval
    p: float
    holm: float | None
    chance: float | None
    by_task: Mapping[str, float]
    errors: Mapping[str, float]
    families: Mapping[str, str]
    by_fold: Mapping[int, float]
    differences: Differences

    @property
    def runs(self) -> int:
        """Of the arm: folds times seeds."""
        return len(self.folds) * len(self.seeds)

    @property
    def percent(self) -> bool:
        """Whether `shown` are per cent of the base; if not, points of a hundred rows."""
        return not self.outcome.higher

    def shown(self, native: float) -> float:
        """A number in the outcome's unit as tables and pictures say it."""
        return 100 * native / (self.base_value if self.percent else 1.0)

    def shown_interval(self, interval: Interval) -> Interval:
        return self.shown(interval[0]), self.shown(interval[1])


def effect_of(pair: Paired) -> Effect:
    """The numbers of one pair, not yet corrected for others."""
    table = (pair.values - pair.against).reshape(-1, len(pair.tasks))
    means = np.nanmean(table, axis=0)
    count = (~np.isnan(table)).sum(axis=0)
    spread = np.sqrt(np.nansum((table - means) ** 2, axis=0) / np.maximum(count - 1, 1))
    errors = np.where(count > 1, spread / np.sqrt(count), np.nan)
    places = {int(fold): pair.places == fold for fold in np.unique(pair.places) if fold >= 0}
    sign = 1 if pair.outcome.higher else -1
    return Effect(
        arm=pair.arm,
        base=pair.base,
        outcome=pair.outcome,
        tasks=len(pair.tasks),
        better=int((sign * means > 0).sum()),
        folds=pair.folds,
        seeds=pair.seeds,
        base_value=_macro(pair.against),
        value=_macro(pair.values),
        difference=pair.differences.mean,
        these=_floats(statistics.interval_these(pair.differences)),
        new=_floats(statistics.interval_new(pair.differences)),
        p=statistics.sign_flip(pair.differences),
        holm=None,
        chance=None,
        by_task=dict(zip(pair.tasks, means.tolist(), strict=True)),
        errors=dict(zip(pair.tasks, errors.tolist(), strict=True)),
        families=dict(zip(pair.tasks, pair.families, strict=True)),
        by_fold={fold: float(means[of].mean()) for fold, of in places.items()},
        differences=pair.differences,
    )


def _macro(values: NDArray[np.float64]) -> float:
    """The mean over data sets of the mean over the runs of each."""
    return float(np.nanmean(values.reshape(-1, values.shape[-1]), axis=0).mean())


def _floats(interval: Interval) -> Interval:
    return float(interval[0]), float(interval[1])


def effects_of(
    suite: Suite, arms: Sequence[str], outcome: Outcome = PRIMARY, same: Effect | None = None
) -> list[Effect]:
    """Arms against random rows, corrected by Holm over those that have runs to compare.

    same: A/A, which tells what chance does.
    """
    pairs = [pair for arm in arms if arm in suite.arms and (pair := paired(suite, arm, outcome))]
    found = [effect_of(pair) for pair in pairs]
    corrected = statistics.holm([effect.p for effect in found]).tolist()
    return [
        replace(effect, holm=p, chance=_chance(same, effect.runs))
        for effect, p in zip(found, corrected, strict=True)
    ]


def twice(suite: Suite, outcome: Outcome = PRIMARY) -> Effect | None:
    """A/A: the second draw of random rows against the first, which differ by chance alone."""
    pair = paired(suite, RANDOM[1], outcome, RANDOM[:1]) if suite.random == RANDOM else None
    if pair is None:
        return None
    return replace(effect_of(pair), chance=statistics.floor(pair.differences))


def _chance(same: Effect | None, runs: int) -> float | None:
    """Of so many runs. The noise of a mean falls with the root of their number."""
    if same is None or same.chance is None:
        return None
    return float(same.chance * (same.runs / runs) ** 0.5)


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """One suite, one outcome: what all tables and pictures of it read."""

    outcome: Outcome
    twice: Effect | None
    main: tuple[Effect, ...]
    further: tuple[Effect, ...]
    controls: tuple[Effect, ...]

    @property
    def chosen(self) -> tuple[Effect, ...]:
        return self.main + self.further


def findings(suite: Suite, outcome: Outcome = PRIMARY) -> Findings:
    """All contrasts of a suite, and A/A. Each kind of arms is corrected by itself."""
    known = {UNTUNED, *MAIN, *FURTHER, *CONTROLS}
    further = (*FURTHER, *(arm for arm in suite.arms if arm not in known))
    same = twice(suite, outcome)
    kinds = (
        tuple(effects_of(suite, arms, outcome, same))
        for arms in (SELECTIONS, further, (UNTUNED, *CONTROLS))
    )
    return Findings(outcome, same, *kinds)
