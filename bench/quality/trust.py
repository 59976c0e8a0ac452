"""Which proxy may be trusted: its rank correlation with what training showed, over arms.

Signs: a correlation above zero says that arms which the proxy calls better are better. What a
proxy calls better is in PROXIES; what an outcome calls better is less loss, or more right answers.
The controls are left out (no proxy sees that targets are permuted), and so is the untuned model.
Arms are few: of 10 arms, chance alone gives a correlation beyond 0.65 in one case of twenty.
Where no arm differs from another, the outcome's order is noise, and nothing can follow it: how far
that order repeats itself (`repeats`) says what a proxy that knew the truth would reach
(`reachable`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from quality.arms import CONTROLS, UNTUNED
from quality.outcomes import PRIMARY, Outcome
from quality.proxies import PROXIES
from quality.suites import Key, Suite
from smartx.errors import InputError

Floats = NDArray[np.float64]
Interval = tuple[float, float]
RESAMPLES = 2_000
LEAST_ARMS = 4  # fewer have no order worth the name


@dataclass(frozen=True, eq=False)
class Beside:
    """The outcome of runs and their proxies: every arm with every fold and seed.

    improvement: (arms, folds, seeds), % of the loss of random rows that is saved, or points of
    right answers gained; the mean over data sets.
    proxies: of each name (arms, folds, seeds), turned so that more is taken to be better.
    sizes: (folds,) data sets of each: a fold counts as much as it has.
    """

    arms: tuple[str, ...]
    folds: tuple[int, ...]
    seeds: tuple[int, ...]
    outcome: Outcome
    improvement: Floats
    proxies: Mapping[str, Floats]
    sizes: Floats

    def by_arm(self, table: Floats) -> Floats:
        """(arms,) the mean over folds and seeds."""
        return np.asarray(np.average(table.mean(axis=2), axis=1, weights=self.sizes))

    @cached_property
    def means(self) -> dict[str, dict[str, float]]:
        """Of each proxy, its mean by arm, as it is measured and not turned: for pictures."""
        return {
            name: {
                arm: float(PROXIES[name].better * value)
                for arm, value in zip(self.arms, self.by_arm(table), strict=True)
            }
            for name, table in self.proxies.items()
        }


@dataclass(frozen=True, slots=True)
class Correlation:
    """How far a proxy orders the arms as training does.

    value: Spearman's, of the arms' means over folds and seeds.
    interval: 95 %, folds and seeds drawn again; of these arms, not of others.
    p: two-sided, had the proxy's values fallen to the arms by chance.
    None where a proxy does not differ between arms.
    """

    proxy: str
    value: float | None
    interval: Interval | None
    p: float | None


def beside(
    suite: Suite,
    proxies: Mapping[Key, Mapping[str, float]],
    *,
    outcome: Outcome = PRIMARY,
    arms: Iterable[str] | None = None,
) -> Beside:
    """The runs of a suite beside their proxies, on the folds and seeds that all arms have.

    proxies: of each run, by (arm, fold, seed).  arms: None: all that have both, controls apart.
    Left out are proxies that are missing of some run of the block, and folds without a data set of
    the outcome (the worst quarter may have none).
    Raises InputError where there are no random rows to compare with, or too few arms.
    """
    names = _arms(suite, proxies, arms)
    folds, seeds = suite.block((*names, *suite.base))
    cells = [(fold, seed) for fold in folds for seed in seeds]
    _check(names, cells, proxies)
    shape = len(names), len(folds), len(seeds)

    def losses(arm: str) -> list[float]:
        return [_mean(_values(suite, outcome, arm, *cell)) for cell in cells]

    base = np.mean([losses(arm) for arm in suite.base], axis=0)
    gained = _gained(outcome, np.array([losses(arm) for arm in names]), base).reshape(shape)
    there = np.flatnonzero(~np.isnan(gained).any(axis=(0, 2)))
    runs = [proxies[arm, fold, seed] for arm in names for fold, seed in cells]
    tables = {
        name: (PROXIES[name].better * np.array([run[name] for run in runs])).reshape(shape)
        for name in PROXIES
        if all(name in run for run in runs)
    }
    return Beside(
        names,
        tuple(folds[place] for place in there.tolist()),
        seeds,
        outcome,
        gained[:, there],
        {name: table[:, there] for name, table in tables.items()},
        np.array([len(_values(suite, outcome, names[0], f, seeds[0])) for f in folds])[there],
    )


def correlations(found: Beside, *, resamples: int = RESAMPLES, seed: int = 0) -> list[Correlation]:
    """Of every proxy, in the order of PROXIES."""
    rng = np.random.default_rng(seed)
    count = len(found.arms)
    folds, seeds = len(found.folds), len(found.seeds)
    weights = _redrawn(rng, resamples, folds)[:, :, None] * _redrawn(rng, resamples, seeds)[:, None]
    cells = np.repeat(found.sizes / found.sizes.sum() / seeds, seeds)
    weights = weights.reshape(resamples, -1) * cells
    orders = np.argsort(rng.random((resamples, count)), axis=1)
    outcome = found.improvement.reshape(count, -1)
    of_draws = _standard(_ranks(_means(weights, outcome)))  # (resamples, arms)
    of_means = _standard(_ranks(_means(cells, outcome)))
    lines = []
    for name, table in found.proxies.items():
        values = table.reshape(count, -1)
        drawn = (_standard(_ranks(_means(weights, values))) * of_draws).sum(axis=1)
        own = _standard(_ranks(_means(cells, values)))
        value = float(own @ of_means)
        if np.isnan(value):
            lines.append(Correlation(name, None, None, None))
            continue
        by_chance = np.abs(own[orders] @ of_means) >= abs(value) - 1e-9
        p = float((1 + by_chance.sum()) / (1 + resamples))
        lines.append(Correlation(name, value, _interval(drawn), p))
    return lines


def repeats(found: Beside) -> float | None:
    """Spearman's correlation of the arms' mean improvement with itself: over some seeds and over
    the others, the mean of all ways to halve them. None with one seed.
    """
    count = len(found.seeds)
    values = []
    for own in map(list, combinations(range(count), count // 2)):
        others = [seed for seed in range(count) if seed not in own]
        if own and others:
            one, other = (found.by_arm(found.improvement[:, :, part]) for part in (own, others))
            values += [value for value in [spearman(one, other)] if value is not None]
    return float(np.mean(values)) if values else None


def reachable(repeated: float) -> float:
    """What a proxy that knew the true order would correlate with the measured one: the root of the
    reliability of all seeds together, where halves of them correlate so much.

    Source: Spearman 1910, Brown 1910, and Spearman's correction for attenuation; an approximation,
    as ranks are not linear in what they rank.
    """
    half = max(repeated, 0.0)
    return float(np.sqrt(2 * half / (1 + half)))


def spearman(one: Sequence[float] | Floats, other: Sequence[float] | Floats) -> float | None:
    """Pearson's correlation of ranks; equal values share the mean of theirs. None where all of one
    side are equal.
    """
    a, b = (_standard(_ranks(np.asarray(values, dtype=np.float64))) for values in (one, other))
    value = float(a @ b)
    return None if np.isnan(value) else value


def _arms(suite: Suite, proxies: Iterable[Key], asked: Iterable[str] | None) -> tuple[str, ...]:
    known, apart = {arm for arm, _, _ in proxies}, (UNTUNED, *CONTROLS)
    names = tuple(asked or (arm for arm in suite.arms if arm in known and arm not in apart))
    if len(names) < LEAST_ARMS or not suite.base:
        raise InputError(
            f"{len(names)} arms with proxies, {len(suite.base)} of random rows",
            place="proxies",
            fix=f"measure at least {LEAST_ARMS} arms and one of random rows",
        )
    return names


def _check(arms: Sequence[str], cells: Sequence[tuple[int, int]], proxies: Iterable[Key]) -> None:
    """Raise InputError where runs have no proxies, or there are no runs that compare all arms."""
    known = set(proxies)
    missing = [(arm, *cell) for arm in arms for cell in cells if (arm, *cell) not in known]
    if missing or not cells:
        raise InputError(
            f"no proxies of {len(missing)} runs" if cells else "no fold and seed has all arms",
            place="arm {}, fold {}, seed {}".format(*missing[0]) if missing else "proxies",
            fix="measure them, or name the `arms` that are complete",
        )


def _values(suite: Suite, outcome: Outcome, arm: str, fold: int, seed: int) -> list[float]:
    """Of each data set of a run; of the worst quarter, those of the fold."""
    run = suite.run(arm, fold, seed)
    assert run is not None  # of a block
    return [
        numbers[outcome.above] / numbers[outcome.below]
        for task, numbers in run.evaluated.get(outcome.part, {}).items()
        if numbers[outcome.below] > 0 and (not outcome.worst or task in suite.worst)
    ]


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else np.nan


def _gained(outcome: Outcome, values: Floats, base: Floats) -> Floats:
    """Against random rows, better above zero."""
    if outcome.higher:
        return np.asarray(100 * (values - base))
    return np.asarray(100 * (base - values) / base)


def _ranks(values: Floats) -> Floats:
    """Along the last axis, from 1; equal values have the mean of their ranks."""
    less = (values[..., None, :] < values[..., :, None]).sum(axis=-1)
    equal = (values[..., None, :] == values[..., :, None]).sum(axis=-1)
    return np.asarray(less + (equal + 1) / 2)


def _standard(ranks: Floats) -> Floats:
    """With mean 0 and length 1 along the last axis; NaN where all are equal."""
    centred = ranks - ranks.mean(axis=-1, keepdims=True)
    length = np.sqrt((centred * centred).sum(axis=-1, keepdims=True))
    return np.asarray(centred / np.where(length > 0, length, np.nan))


def _means(weights: Floats, values: Floats) -> Floats:
    """Weighted means of the cells by arm, on a grid, so that equal ones are equal however they are
    summed. weights: (..., cells).  values: (arms, cells).
    """
    grid = max(float(np.abs(values).max()), 1e-300) * 1e-10
    return np.asarray(np.round(weights @ values.T / grid))


def _redrawn(rng: np.random.Generator, draws: int, count: int) -> Floats:
    """(draws, count) how often each of `count` was drawn, of as many with replacement."""
    return rng.multinomial(count, np.full(count, 1 / count), size=draws).astype(np.float64)


def _interval(values: Floats) -> Interval | None:
    there = values[~np.isnan(values)]
    if not len(there):
        return None
    low, high = np.quantile(there, [0.025, 0.975]).tolist()
    return low, high
