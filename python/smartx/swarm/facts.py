"""What `smartx fit` says, as JSON, and as YAML that `smartx mix` reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import yaml

from smartx.swarm.fit import POINT, Candidate, Fit, Foretold, Gain
from smartx.swarm.surface import Vector

SCHEMA = 1
HOW = {
    "log-linear": "posterior of the log-linear response, averaged over its bend and ridge by "
    "evidence; Student t",
    "gp": "posterior of the Gaussian process, its kernel taken as known; Student t",
    "boosted-trees": "cross-conformal: errors of runs that were left out; of a measured run",
}
_DIGITS = 10  # that a fit's numbers keep: those behind them differ between machines


def fit_facts(
    fit: Fit, *, metric: str, runs: Sequence[str], units: Sequence[str], values: Vector
) -> dict[str, Any]:
    """The facts of a fit. runs, values: as they were fitted.  units: names of the shares."""
    mixtures = len(set(runs))
    facts = {
        "schema": SCHEMA,
        "metric": metric,
        "lower_is_better": fit.asked.lower_is_better,
        "runs": len(runs),
        "mixtures": mixtures,
        "model": fit.model,
        "models": {
            name: {"error": one.error, "explained": one.explained, "covered": one.covered}
            for name, one in fit.validations.items()
        },
        "interval": {"level": fit.asked.level, "how": HOW[fit.model]},
        "noise": fit.noise,
        "noise_floor": fit.floor and asdict(fit.floor),
        "kl_bound": fit.bound,
        "prior": _candidate(fit.prior, units),
        "proposal": {
            **_candidate(fit.proposal, units),
            "gain_over_prior": _gain(fit.gain_over_prior),
            "gain_over_best": _gain(fit.gain_over_best),
        },
        "worst": _candidate(fit.worst, units),
        "best_measured": _run(fit, runs, values, fit.best),
        "poorest_measured": _run(fit, runs, values, fit.poorest),
        "effects": {unit: _gain(gain) for unit, gain in zip(units, fit.effects, strict=True)},
        "effect_of": POINT,
        "swarm": [_run(fit, runs, values, place) for place in range(len(runs))],
        "notes": list(fit.notes),
    }
    rounded: dict[str, Any] = _rounded(facts)
    return rounded


def weights_yaml(parts: Mapping[str, float], heading: Sequence[str]) -> bytes:
    """A configuration file with the law `given`: `smartx mix --config` reads it."""
    law = {"name": "given", "parts": {name: _short(part) for name, part in parts.items()}}
    lines = "".join(f"# {line}\n" for line in heading)
    text = yaml.safe_dump({"weights": law}, sort_keys=False, allow_unicode=True, width=10_000)
    return (lines + text).encode()


def _candidate(found: Candidate, units: Sequence[str]) -> dict[str, Any]:
    shares = {
        unit: share for unit, share in zip(units, found.shares.tolist(), strict=True) if share > 0
    }
    return {"foretold": _foretold(found.foretold), "kl": found.kl, "shares": shares}


def _run(fit: Fit, runs: Sequence[str], values: Vector, place: int) -> dict[str, Any]:
    return {
        "run": runs[place],
        "measured": float(values[place]),
        "foretold": _foretold(fit.runs[place]),
        "left_out": float(fit.left_out[place]),
    }


def _foretold(one: Foretold) -> dict[str, float]:
    return asdict(one)


def _gain(one: Gain) -> dict[str, float]:
    return asdict(one)


def _rounded(value: Any) -> Any:
    """With the digits that mean something."""
    if isinstance(value, float):
        return _short(value)
    if isinstance(value, Mapping):
        return {name: _rounded(one) for name, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, list) else value


def _short(value: float) -> float:
    return float(np.format_float_scientific(value, precision=_DIGITS - 1))
