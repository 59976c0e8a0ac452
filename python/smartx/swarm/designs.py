"""Which mixtures a swarm holds: shares of units (tasks or sources) around a prior.

All functions take shares, (p,) float64 >= 0 that sum to 1, and give rows of such shares, rounded to
multiples of 2^-30, so that what a machine's log or exp says in its last bits is not to be seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from smartx.draws import SWARM, SWARM_SEARCH, draws_at
from smartx.errors import InputError
from smartx.swarm.library import special

Matrix = NDArray[np.float64]
Vector = NDArray[np.float64]

TRIES = 10_000  # draws of one mixture before its cap is said to be too tight
_GRID = 2.0**30
_BLOCK = 1 << 22  # numbers that are drawn at once


def dirichlet(
    prior: Vector,
    count: int,
    *,
    concentration: float,
    caps: Vector | None = None,
    seed: int = 0,
    names: Sequence[str] = (),
) -> Matrix:
    """The first `count` mixtures of a swarm: Dirichlet(concentration * prior).

    concentration: > 0; a share varies by sqrt(prior (1 - prior) / (concentration + 1)).
    caps: (p,) most of each share; a draw above one is drawn again. None: no caps.
    names: of the units, for messages.
    Returns (count, p). Mixture i depends on the seed and i alone: a larger swarm begins with the
    smaller one.
    Raises InputError where no draw of TRIES keeps the caps, with the unit that broke its own most.
    Source: RegMix (arXiv 2407.01492) and olmix (arXiv 2602.12237) draw their swarms so.
    """
    held = np.flatnonzero(prior > 0)
    shapes, ceiling = concentration * prior[held], _ceiling(prior, caps, names)[held]
    found, pending = np.zeros((count, len(prior))), np.arange(count)
    broken, tried = np.zeros(len(held), dtype=np.int64), 0
    while len(pending) and tried < TRIES:
        at_once = max(1, min(tried, _BLOCK // (len(pending) * len(held))))
        tries = np.arange(tried, min(TRIES, tried + at_once))
        numbers = (pending[:, None] * TRIES + tries).ravel()
        drawn = on_grid(_dirichlet_draws(shapes, numbers, seed, SWARM))
        drawn = drawn.reshape(len(pending), len(tries), len(held))
        over: NDArray[np.bool_] = np.greater(drawn, ceiling)
        good = np.logical_not(over.any(axis=2))
        kept = good.any(axis=1)
        found[np.ix_(pending[kept], held)] = drawn[kept, good.argmax(axis=1)[kept]]
        broken += over[~kept].sum(axis=(0, 1))
        pending, tried = pending[~kept], tried + len(tries)
    if len(pending):
        _tell_broken(names, held, prior, ceiling, broken)
    return found


def leave_one_out(prior: Vector) -> Matrix:
    """One mixture for each unit that has a share: the prior without it, the rest renormalised.

    Raises InputError where only one unit has a share.
    """
    held = np.flatnonzero(prior > 0)
    if len(held) < 2:
        raise InputError("only one unit has a share, and nothing is left without it", place="prior")
    shares = np.tile(prior, (len(held), 1))
    shares[np.arange(len(held)), held] = 0.0
    return on_grid(shares / shares.sum(axis=1, keepdims=True))


def scale_one(prior: Vector, factor: float, *, names: Sequence[str] = ()) -> Matrix:
    """One mixture for each unit that has a share: this share times `factor`, the rest shrunk or
    grown together.

    names: of the units, for messages. Raises InputError where a share would be all of a mixture.
    """
    held = np.flatnonzero(prior > 0)
    scaled = factor * prior[held]
    if (scaled >= 1).any():
        unit = int(held[int(scaled.argmax())])
        raise InputError(
            f"{factor:g} times the share {prior[unit]:.4f} of {_called(names, unit)} leaves others "
            "nothing",
            place="factor",
            fix=f"at most {0.99 / prior.max():.3g} goes",
        )
    shares = np.tile(prior, (len(held), 1))
    shares *= ((1 - scaled) / (1 - prior[held]))[:, None]
    shares[np.arange(len(held)), held] = scaled
    return on_grid(shares)


def draws_around(prior: Vector, count: int, scales: tuple[float, ...]) -> Matrix:
    """(count, p) mixtures for a search: Dirichlet draws around the prior, the concentrations in
    turn, in units of the number of shares.
    """
    held = np.flatnonzero(prior > 0)
    found = np.zeros((count, len(prior)))
    for turn, scale in enumerate(scales):
        own = np.arange(turn, count, len(scales))
        shapes = scale * len(held) * prior[held]
        found[np.ix_(own, held)] = _dirichlet_draws(shapes, own, 0, SWARM_SEARCH)
    return found


def divergence(shares: Matrix, prior: Vector) -> Vector:
    """(n,) KL(shares || prior) in nats; infinite where a share is given to what has none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(shares > 0, shares * np.log(shares / prior), 0.0)
    total: Vector = np.maximum(terms.sum(axis=-1), 0.0)
    return total


def on_grid(shares: Matrix) -> Matrix:
    """Shares as multiples of 2^-30; a sum may be off 1 by p of these."""
    rounded: Matrix = np.round(shares * _GRID) / _GRID
    return rounded


def _ceiling(prior: Vector, caps: Vector | None, names: Sequence[str]) -> Vector:
    """The caps. Raises InputError where the prior breaks one itself."""
    if caps is None:
        return np.ones(len(prior))
    over = np.flatnonzero(prior > caps * (1 + 1e-9))
    if len(over):
        unit = int(over[0])
        raise InputError(
            f"the prior gives {_called(names, unit)} a share of {prior[unit]:.4f}, more than the "
            f"repetition cap lets it have ({caps[unit]:.4f})",
            place="prior",
            fix="raise the repetition cap, lower `rows`, or choose another prior",
        )
    return caps


def _tell_broken(
    names: Sequence[str],
    held: NDArray[np.int64],
    prior: Vector,
    ceiling: Vector,
    broken: NDArray[np.int64],
) -> NoReturn:
    """Raise InputError with the cap that was broken most often."""
    worst = int(broken.argmax())
    raise InputError(
        f"{TRIES:,} draws around the prior broke a cap, most often that of "
        f"{_called(names, int(held[worst]))} (share {prior[held[worst]]:.4f} in the prior, at most "
        f"{ceiling[worst]:.4f})",
        place="concentration",
        fix="raise `concentration` or the repetition cap, or lower `rows`",
    )


def _called(names: Sequence[str], unit: int) -> str:
    return names[unit] if names else f"unit {unit}"


def _dirichlet_draws(shapes: Vector, draws: NDArray[np.int64], seed: int, stream: int) -> Matrix:
    """(d, k) one Dirichlet draw for each number in `draws`, by gamma variates.

    A variate of shape a is one of shape a + 1, by its inverse distribution function, times
    u ** (1 / a): in logarithms, since those of small shapes are too small for float64.
    """
    places = draws[:, None] * len(shapes) + np.arange(len(shapes))
    logs = np.log(special().gammaincinv(shapes + 1, _uniform(seed, stream, 2 * places)))
    logs += np.log(_uniform(seed, stream, 2 * places + 1)) / shapes
    grown = np.exp(logs - logs.max(axis=1, keepdims=True))
    shares: Matrix = grown / grown.sum(axis=1, keepdims=True)
    return shares


def _uniform(seed: int, stream: int, places: NDArray[np.int64]) -> Matrix:
    """Uniform numbers strictly between 0 and 1, of 53 bits."""
    bits = draws_at(seed, stream, places.ravel()) >> np.uint64(11)
    numbers: Matrix = (bits.astype(np.float64) + 0.5) * 2.0**-53
    return numbers.reshape(places.shape)
