"""Do the intervals of `smartx fit` cover the truth at their level, and does its proposal pay?

Swarms of a corpus' tasks with a response of known shape: many truths, each measured with noise on
one swarm, fitted, and asked about new mixtures of the same design. Printed for every shape and
noise: how often intervals held the response and a new run, how often the proposal's true value
beat the truly best mixture of the swarm, and what the fit's choice of surface was.

    smartx swarm --run-dir RUN --rows 5000 --weights power --rows-only --out SWARM
    python bench/cases/swarm_coverage.py --swarm SWARM --seeds 100 --model log-linear
    python bench/cases/swarm_coverage.py --seeds 40 --model auto

Without --swarm there are 37 tasks of equal priors, and another swarm is drawn for every truth.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from smartx.swarm.designs import dirichlet, divergence
from smartx.swarm.fit import Asked, fit_swarm
from smartx.swarm.make import open_swarm
from smartx.swarm.tables import read_ratios

LEVEL, TESTED = 0.9, 100
SHAPES = ("log-linear", "few tasks", "linear", "diminishing")


@dataclass
class Tally:
    """What was counted over the seeds of one shape and noise."""

    truth: list[float] = field(default_factory=list)
    runs: list[float] = field(default_factory=list)
    at_proposal: list[bool] = field(default_factory=list)
    beats: list[bool] = field(default_factory=list)
    beats_prior: list[bool] = field(default_factory=list)
    gains: list[float] = field(default_factory=list)
    models: Counter[str] = field(default_factory=Counter)


def response(shape, prior, rng):
    """A loss over shares. The spread of its exponent over a swarm is .2, .5 or .8."""
    units = len(prior)
    slopes = rng.normal(size=units)
    if shape == "few tasks":
        slopes *= rng.random(units) < 0.2
        slopes[rng.integers(units)] += 2
    if shape == "linear":
        return lambda shares: shares @ slopes
    if shape == "diminishing":  # sum of a (share + s)^-g, as AutoScale has it
        worth = rng.exponential(size=units)
        return lambda shares: ((shares + 0.01) ** -0.3) @ worth
    spread = (rng.dirichlet(units * prior, size=2_000) @ slopes).std()
    slopes *= rng.choice([0.2, 0.5, 0.8]) / spread
    floor, height = rng.normal(2), rng.normal()
    return lambda shares: floor + np.exp(height + (shares - prior) @ slopes)


@dataclass
class Standing:
    """prior, caps: (p,).  swarm: (n, p) mixtures; None: others for every truth."""

    prior: np.ndarray
    caps: np.ndarray
    swarm: np.ndarray | None = None

    @classmethod
    def of(cls, folder):
        made = open_swarm(folder)
        caps = np.minimum(np.array(made.manifest["most"]) / made.manifest["total"], 1.0)
        shares = read_ratios(folder / "ratios.csv").shares
        return cls(np.array(made.manifest["prior"]), caps, shares)

    def mixtures(self, count, seed):
        concentration = float(len(self.prior))
        drawn = dirichlet(self.prior, count, concentration=concentration, caps=self.caps, seed=seed)
        return drawn / drawn.sum(axis=1, keepdims=True)


def one(shape, noise, seed, standing, count, model, tally):
    rng = np.random.default_rng([seed, SHAPES.index(shape)])
    truth = response(shape, standing.prior, rng)
    swarm = standing.mixtures(count, seed) if standing.swarm is None else standing.swarm
    asked = standing.mixtures(TESTED, seed + 1_000_003)
    spread = truth(standing.mixtures(500, -seed - 1)).std()
    values = truth(swarm) + noise * spread * rng.normal(size=len(swarm))
    settings = Asked(lower_is_better=True, model=model, level=LEVEL)
    found = fit_swarm(swarm, values, standing.prior, standing.caps, settings)
    said = found.surface.predict(asked)
    low, high = said.interval(LEVEL)
    tally.truth.append(((low <= truth(asked)) & (truth(asked) <= high)).mean())
    measured = truth(asked) + noise * spread * rng.normal(size=TESTED)
    low, high = said.interval(LEVEL, of_run=True)
    tally.runs.append(((low <= measured) & (measured <= high)).mean())
    proposal, best = found.proposal, truth(swarm).min()
    value = float(truth(proposal.shares / proposal.shares.sum()))
    tally.at_proposal.append(proposal.foretold.low <= value <= proposal.foretold.high)
    tally.beats.append(value < best)
    tally.beats_prior.append(value < truth(standing.prior))
    tally.gains.append((best - value) / spread)
    tally.models[found.model] += 1


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--model", default="auto")
    parser.add_argument("--swarm", type=Path)
    parser.add_argument("--shapes", nargs="*", default=SHAPES)
    parser.add_argument("--noise", nargs="*", type=float, default=(0.1, 0.3, 1.0))
    given = parser.parse_args()
    equal = np.full(37, 1 / 37)
    if given.swarm is None:
        standing = Standing(equal, np.full(37, 0.25))
    else:
        standing = Standing.of(given.swarm)
    swarm = standing.mixtures(given.count, 0) if standing.swarm is None else standing.swarm
    distance = np.median(divergence(swarm, standing.prior))
    print(
        f"{len(swarm)} mixtures of {len(standing.prior)} tasks, {given.seeds} truths a line, "
        f"{TESTED} new mixtures each, model {given.model}, intervals of {LEVEL:.0%}; proposals "
        f"within {distance:.2f} nats. Noise and gain in units of the response's spread."
    )
    print(
        f"{'shape':<12} {'noise':>5} | {'covers truth':>12} {'a new run':>9} {'at proposal':>11} | "
        f"{'beats best':>10} {'prior':>6} {'gain on best':>12} | {'s a fit':>7}  chosen"
    )
    for shape in given.shapes:
        for noise in given.noise:
            tally, started = Tally(), time.perf_counter()
            for seed in range(given.seeds):
                one(shape, noise, seed, standing, given.count, given.model, tally)
            took = (time.perf_counter() - started) / given.seeds
            error = np.std(tally.truth) / np.sqrt(given.seeds)
            chosen = ", ".join(f"{name} {n}" for name, n in tally.models.most_common())
            print(
                f"{shape:<12} {noise:>5} | {np.mean(tally.truth):>6.1%} ±{error:>4.1%} "
                f"{np.mean(tally.runs):>9.1%} {np.mean(tally.at_proposal):>11.1%} | "
                f"{np.mean(tally.beats):>10.0%} {np.mean(tally.beats_prior):>6.0%} "
                f"{np.mean(tally.gains):>12.2f} | {took:>7.2f}  {chosen}",
                flush=True,
            )


if __name__ == "__main__":
    main()
