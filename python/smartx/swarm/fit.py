"""Measured runs of a swarm -> a response surface with error bars, and the mixture that it proposes.

Pure functions over arrays; `smartx fit` reads them from files and writes what they say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from smartx.errors import InputError
from smartx.swarm.designs import divergence
from smartx.swarm.folds import mixtures_of
from smartx.swarm.proposal import Limits, propose
from smartx.swarm.surface import Matrix, Prediction, Surface, Vector
from smartx.swarm.validation import (
    MODELS,
    NoiseFloor,
    Validation,
    best_of,
    noise_floor,
    validate,
)

AUTO = "auto"
FEWEST = 8  # different mixtures that a fit needs
POINT = 0.01  # of a share: effects are said for so much more of a unit


@dataclass(frozen=True)
class Asked:
    """How to fit.

    lower_is_better: whether the metric is a loss.  model: of MODELS, or "auto": the one with the
    least error in cross-validation.  level: of all intervals.
    kl: most of KL(proposal || prior), nats; None: the median of the swarm's mixtures, so that it is
    no guess far from where runs were.
    """

    lower_is_better: bool = False
    model: str = AUTO
    level: float = 0.9
    kl: float | None = None

    def __post_init__(self) -> None:
        if self.model not in (AUTO, *MODELS):
            kinds = ", ".join((AUTO, *MODELS))
            raise InputError(f"it must be one of {kinds}, not {self.model!r}", place="model")
        if not 0 < self.level < 1:
            raise InputError(f"it must be between 0 and 1, not {self.level}", place="level")
        if self.kl is not None and not 0 <= self.kl < np.inf:
            raise InputError(f"it must be 0 or more, not {self.kl}", place="kl")

    @property
    def sign(self) -> float:
        """By which the metric is multiplied to be a loss."""
        return 1.0 if self.lower_is_better else -1.0


@dataclass(frozen=True)
class Foretold:
    """What is foretold of one mixture, as the metric is measured.

    low, high: of its response, without the noise of a run.  run_low, run_high: of a measured run.
    """

    value: float
    low: float
    high: float
    run_low: float
    run_high: float


@dataclass(frozen=True)
class Gain:
    """By how much one mixture is better than another: above 0 is better, whatever the metric.

    chance: the probability that it is better at all.
    """

    value: float
    low: float
    high: float
    chance: float


@dataclass(frozen=True, eq=False)
class Candidate:
    """A mixture that the fit names. shares: (p,).  kl: from the prior."""

    shares: Vector
    foretold: Foretold
    kl: float


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted swarm; all values as the metric is measured.

    validations: of each kind that was tried.  model: the kind that is believed.
    prior, proposal, worst: what is foretold of them; the worst mixture is as far from the prior as
    the proposal may be, a control that shows whether the surface is right at all.
    gain_over_prior, gain_over_best: of the proposal.
    best, poorest: the place, among the runs, of those with the best and the poorest measured
    mixture (the mean of its runs).
    effects: (p,) what one point more of a unit's share does, the others shrinking together.
    runs: what is foretold of each run; left_out: without its mixture.
    notes: what the reader should be told.
    """

    asked: Asked
    model: str
    surface: Surface
    validations: dict[str, Validation]
    floor: NoiseFloor | None
    noise: float
    bound: float
    prior: Candidate
    proposal: Candidate
    worst: Candidate
    gain_over_prior: Gain
    gain_over_best: Gain
    best: int
    poorest: int
    effects: tuple[Gain, ...]
    runs: tuple[Foretold, ...]
    left_out: Vector
    notes: tuple[str, ...]


def fit_swarm(
    shares: Matrix, values: Vector, prior: Vector, caps: Vector, asked: Asked | None = None
) -> Fit:
    """Fit a response surface to measured runs and propose a mixture.

    shares: (n, p) of each run's mixture, rows that sum to 1.  values: (n,) of the metric.
    prior: (p,) sums to 1.  caps: (p,) most of each share that the repetition cap lets it have.
    Raises InputError for what cannot be fitted: too few mixtures, a constant metric, numbers that
    are none, arrays that do not fit.
    """
    asked = asked or Asked()
    _check(shares, values, prior, caps)
    metric, mixtures = asked.sign * values, np.unique(shares, axis=0)
    kinds = list(MODELS) if asked.model == AUTO else [asked.model]
    found = {kind: validate(kind, shares, metric, asked.level) for kind in kinds}
    model = best_of(found)
    surface = MODELS[model](shares, metric)
    limits = Limits(prior, _bound(mixtures, prior, asked), caps)
    proposal = propose(surface, limits, mixtures)
    worst = propose(surface, limits, mixtures, worst=True)
    of_prior, of_proposal, of_worst = _candidates(surface, [prior, proposal, worst], prior, asked)
    best, poorest = _extremes(shares, metric)
    return Fit(
        asked=asked,
        model=model,
        surface=surface,
        validations={kind: _as_measured(one, asked.sign) for kind, one in found.items()},
        floor=noise_floor(shares, metric),
        noise=surface.predict(shares[:1]).noise or found[model].error,
        bound=limits.bound,
        prior=of_prior,
        proposal=of_proposal,
        worst=of_worst,
        gain_over_prior=_gains(surface, proposal[None, :], prior, asked)[0],
        gain_over_best=_gains(surface, proposal[None, :], shares[best], asked)[0],
        best=best,
        poorest=poorest,
        effects=_effects(surface, prior, asked),
        runs=_foretold(surface, shares, asked),
        left_out=asked.sign * found[model].left_out,
        notes=_notes(model, found[model], of_proposal, asked),
    )


def _bound(mixtures: Matrix, prior: Vector, asked: Asked) -> float:
    """Most of KL(proposal || prior). Raises InputError where the prior lacks what was mixed."""
    bound = float(np.median(divergence(mixtures, prior))) if asked.kl is None else asked.kl
    if not np.isfinite(bound):
        raise InputError(
            "mixtures of the swarm give shares to units that have none in it",
            place="prior",
            fix="give every unit of ratios.csv a share, or bound the proposal by `kl`",
        )
    return bound


def _candidates(
    surface: Surface, rows: list[Vector], prior: Vector, asked: Asked
) -> list[Candidate]:
    said = _foretold(surface, np.array(rows), asked)
    return [
        Candidate(row, one, float(divergence(row, prior)))
        for row, one in zip(rows, said, strict=True)
    ]


def _check(shares: Matrix, values: Vector, prior: Vector, caps: Vector) -> None:
    """Raise InputError for what cannot be fitted."""
    if shares.ndim != 2 or values.shape != (len(shares),) or shares.shape[1] < 2:
        raise InputError(
            f"shares of shape {shares.shape} do not fit values of shape {values.shape}",
            place="shares",
        )
    for name, one in (("prior", prior), ("caps", caps)):
        if one.shape != (shares.shape[1],):
            raise InputError(f"it has {one.size} entries for {shares.shape[1]} shares", place=name)
    for name, array in (("shares", shares), ("values", values), ("prior", prior), ("caps", caps)):
        if not np.isfinite(array).all() or (name != "values" and (array < 0).any()):
            raise InputError("it holds numbers that are none, or below 0", place=name)
    sums = np.append(shares.sum(axis=1), prior.sum())
    if np.abs(sums - 1).max() > 1e-6:
        raise InputError("the shares of a mixture must sum to 1", place="shares")
    different = int(mixtures_of(shares).max(initial=-1)) + 1
    if different < FEWEST:
        raise InputError(
            f"{different} different mixtures are too few for a response surface",
            place="shares",
            fix=f"train at least {FEWEST}; as many as there are tasks, and more, are wanted",
        )
    if np.ptp(values) <= 1e-12 * np.abs(values).max():
        raise InputError(
            f"the metric is {values[0]:g} for every run: nothing can be learned from it",
            place="values",
            fix="choose another metric",
        )


def _extremes(shares: Matrix, metric: Vector) -> tuple[int, int]:
    """The first run of the mixture with the least mean metric, and of that with the largest."""
    mixture = mixtures_of(shares)
    means = np.bincount(mixture, metric) / np.bincount(mixture)
    return int(np.argmin(means[mixture])), int(np.argmax(means[mixture]))


def _foretold(surface: Surface, shares: Matrix, asked: Asked) -> tuple[Foretold, ...]:
    found = surface.predict(shares)
    sides = [found.mean, *found.interval(asked.level), *found.interval(asked.level, of_run=True)]
    mean, low, high, run_low, run_high = (asked.sign * side for side in sides)
    if asked.sign < 0:
        low, high, run_low, run_high = high, low, run_high, run_low
    columns = (mean, low, high, run_low, run_high)
    return tuple(Foretold(*row) for row in zip(*(c.tolist() for c in columns), strict=True))


def _gains(surface: Surface, shares: Matrix, base: Vector, asked: Asked) -> tuple[Gain, ...]:
    less: Prediction = surface.difference(shares, base)
    low, high = less.interval(asked.level)
    columns = (-less.mean, -high, -low, less.below())
    return tuple(Gain(*row) for row in zip(*(c.tolist() for c in columns), strict=True))


def _effects(surface: Surface, prior: Vector, asked: Asked) -> tuple[Gain, ...]:
    """What POINT more of each unit's share gains, where its share in the prior is not 1."""
    rest = 1 - prior
    moved = prior + POINT * (np.eye(len(prior)) - prior) / np.where(rest > 0, rest, 1.0)[:, None]
    return _gains(surface, moved / moved.sum(axis=1, keepdims=True), prior, asked)


def _as_measured(found: Validation, sign: float) -> Validation:
    return Validation(sign * found.left_out, found.error, found.explained, found.covered)


def _notes(model: str, found: Validation, proposal: Candidate, asked: Asked) -> tuple[str, ...]:
    notes = []
    if found.explained <= 0:
        notes.append(
            "no surface foretells a run better than the mean of the others does: the proposal is "
            "no better than a guess"
        )
    if found.covered is not None and found.covered < asked.level - 0.1:
        notes.append(
            f"only {found.covered:.0%} of the runs lay in the {asked.level:.0%} interval of a fit "
            "without them: the intervals are too narrow"
        )
    if model == "boosted-trees":
        notes.append(
            "intervals of boosted trees are of a measured run, also where a response is said"
        )
    if proposal.kl < 1e-9:
        notes.append("the proposal is the prior")
    return tuple(notes)


def names_of(units: Sequence[str], shares: Vector) -> dict[str, float]:
    """The units that have a share, with it."""
    return {unit: float(share) for unit, share in zip(units, shares, strict=True) if share > 0}
