"""Do the intervals of `smartx fit` cover the truth at their level, and does its proposal pay?

Swarms of a corpus' tasks with a response of known shape: many truths, each measured with noise on
one swarm, fitted, and asked about new mixtures of the same design. Printed for every shape and
noise: how often intervals held the response and a new run, how often the proposal's true value
beat the truly best mixture of the swarm, and what the fit's choice of surface was.

    python bench/cases/swarm_coverage.py --seeds 200 --model log-linear
    python bench/cases/swarm_coverage.py --seeds 40 --model auto
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from smartx.swarm.designs import dirichlet, divergence
from smartx.swarm.fit import Asked, fit_swarm

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


def one(shape, noise, seed, prior, count, model, tally):
    rng = np.random.default_rng([seed, SHAPES.index(shape)])
    truth = response(shape, prior, rng)
    swarm = normal(dirichlet(prior, count, concentration=len(prior), seed=seed))
    asked = normal(dirichlet(prior, TESTED, concentration=len(prior), seed=seed + 1_000_003))
    spread = truth(normal(dirichlet(prior, 500, concentration=len(prior), seed=-seed - 1))).std()
    values = truth(swarm) + noise * spread * rng.normal(size=count)
    caps = np.full(len(prior), 0.25)
    found = fit_swarm(swarm, values, prior, caps, Asked(lower_is_better=True, model=model))
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
    tally.beats_prior.append(value < truth(prior))
    tally.gains.append((best - value) / spread)
    tally.models[found.model] += 1


def normal(shares):
    return shares / shares.sum(axis=1, keepdims=True)


def priors(kind):
    """Equal shares, or shares by the square roots of sizes that differ as T0's do."""
    if kind == "equal":
        return np.full(37, 1 / 37)
    sizes = np.sqrt(np.geomspace(200, 4_000, 37))
    return sizes / sizes.sum()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--model", default="auto")
    parser.add_argument("--prior", default="equal", choices=("equal", "square-root"))
    parser.add_argument("--shapes", nargs="*", default=SHAPES)
    parser.add_argument("--noise", nargs="*", type=float, default=(0.1, 0.3, 1.0))
    given = parser.parse_args()
    prior = priors(given.prior)
    distance = np.median(divergence(dirichlet(prior, 64, concentration=37, seed=0), prior))
    print(
        f"{given.count} mixtures of 37 tasks, prior {given.prior}, {given.seeds} truths a line, "
        f"{TESTED} new mixtures each, model {given.model}, intervals of {LEVEL:.0%}; proposals "
        f"within {distance:.2f} nats or so. Noise and gain in units of the response's spread."
    )
    print(
        f"{'shape':<12} {'noise':>5} | {'covers truth':>12} {'a new run':>9} {'at proposal':>11} | "
        f"{'beats best':>10} {'prior':>6} {'gain on best':>12} | {'s a fit':>7}  chosen"
    )
    for shape in given.shapes:
        for noise in given.noise:
            tally, started = Tally(), time.perf_counter()
            for seed in range(given.seeds):
                one(shape, noise, seed, prior, given.count, given.model, tally)
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
