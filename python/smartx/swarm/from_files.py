"""`smartx fit`: ratios.csv and metrics.csv -> facts, and the proposal as a file for `mix`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from smartx.errors import InputError
from smartx.files import canonical_json, commit_bytes
from smartx.swarm.facts import fit_facts, weights_yaml
from smartx.swarm.fit import Asked, fit_swarm
from smartx.swarm.make import RATIOS, Swarm, open_swarm
from smartx.swarm.surface import Vector
from smartx.swarm.tables import Ratios, joined, read_metric, read_ratios
from smartx.swarm.units import parts_of

PROPOSAL, WORST = "proposal.yaml", "worst.yaml"


@dataclass(frozen=True)
class Trained:
    """Where a swarm and its results are.

    swarm: the folder of `smartx swarm`, or any CSV file of ratios.  metrics: a CSV file.
    metric: its column; None: the only one.  budget: of the run that is planned, in the unit of the
    swarm's, for the repetition cap; None: the swarm's.  allow_missing: mixtures may lack metrics.
    """

    swarm: Path
    metrics: Path
    metric: str | None = None
    budget: int | None = None
    allow_missing: bool = False
    asked: Asked = field(default_factory=Asked)


@dataclass(frozen=True)
class Fitted:
    """facts: as the JSON has them.  proposal, worst: files that `smartx mix --config` reads."""

    facts: dict[str, Any]
    proposal: Path
    worst: Path


def fit_files(trained: Trained) -> Fitted:
    """Fit the results of a swarm, and write its proposal and control beside its ratios.

    Raises InputError with file, line and column for what cannot be read or fitted.
    """
    made = open_swarm(trained.swarm) if trained.swarm.is_dir() else None
    path = trained.swarm / RATIOS if trained.swarm.is_dir() else trained.swarm
    ratios = read_ratios(path)
    metrics = read_metric(trained.metrics, trained.metric)
    shares, values, runs = joined(ratios, metrics, path, allow_missing=trained.allow_missing)
    prior, caps = _prior_and_caps(ratios, made, path, trained.budget)
    try:
        fit = fit_swarm(shares, values, prior, caps, trained.asked)
    except InputError as problem:
        place = {"values": f'{trained.metrics}, column "{metrics.name}"', "shares": str(path)}
        raise InputError(
            problem.fault, place=place.get(problem.place, problem.place), fix=problem.fix
        ) from None
    facts = fit_facts(fit, metric=metrics.name, runs=runs, units=ratios.units, values=values)
    facts["notes"] += _notes(made)
    folder = path.parent
    for name, title, one in (
        (PROPOSAL, "The mixture that a fit proposes", fit.proposal),
        (WORST, "A control: the mixture that a fit expects least of", fit.worst),
    ):
        heading = [
            f"{title}: {metrics.name} {one.foretold.value:.6g}, {trained.asked.level:.0%} interval "
            f"{one.foretold.low:.6g} .. {one.foretold.high:.6g} ({fit.model}, {len(runs)} runs).",
            f"smartx mix --config {name} --run-dir RUN --rows N --out MIX",
        ]
        commit_bytes(folder / name, weights_yaml(_parts(ratios, made, one.shares), heading))
    return Fitted(facts, folder / PROPOSAL, folder / WORST)


def fit_to(
    json: Path | None,
    *,
    lower_is_better: bool,
    model: str,
    level: float,
    kl: float | None,
    **trained: Any,
) -> tuple[Fitted, list[Path]]:
    """`fit_files`, all its facts as JSON in a file too, and which files were written."""
    asked = Asked(lower_is_better, model, level, kl)
    fitted = fit_files(Trained(**trained, asked=asked))
    written = [fitted.proposal, fitted.worst]
    if json is not None:
        commit_bytes(json, canonical_json(fitted.facts))
        written.append(json)
    return fitted, written


def _prior_and_caps(
    ratios: Ratios, made: Swarm | None, path: Path, budget: int | None
) -> tuple[Vector, Vector]:
    """Those of the swarm's manifest; of a foreign CSV file the mean mixture, and no caps."""
    if made is None:
        if budget is not None:
            raise InputError(
                f"{path} does not say how much a task holds",
                place="budget",
                fix="leave it out, or name the folder of a swarm that smartx made",
            )
        mean = ratios.shares.mean(axis=0)
        return mean / mean.sum(), np.ones(len(ratios.units))
    if ratios.units != made.units.names:
        raise InputError(
            "its columns are not those of swarm.json",
            place=str(path),
            fix="name the file itself, if it is of another swarm",
        )
    manifest: Mapping[str, Any] = made.manifest
    prior = np.array(manifest["prior"])
    caps = np.array(manifest["most"]) / (budget or manifest["total"])
    return prior / prior.sum(), np.minimum(caps, 1.0)


def _parts(ratios: Ratios, made: Swarm | None, shares: Vector) -> dict[str, float]:
    """The parts of the law `given`, by task; a foreign unit counts as the name of a task."""
    if made is not None:
        return parts_of(made.units.tasks, made.units.spread(shares))
    return parts_of([("", unit) for unit in ratios.units], shares)


def _notes(made: Swarm | None) -> list[str]:
    if made is not None:
        return []
    return [
        "no swarm.json: the prior is the mean of the mixtures, and the proposal has no repetition "
        "cap"
    ]
