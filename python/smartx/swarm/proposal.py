"""The best mixture that a surface foretells, no further from the prior than is allowed.

    minimise f(x)  over  0 <= x <= caps,  sum x = 1,  KL(x || prior) <= bound
by conditional gradients (Frank and Wolfe): with f linear the best point has a closed form, that of
`tilted`, and steps to it never leave the set. Begun at the prior, at the best mixtures of the swarm
and at a search by draws, which is also all that finds anything on a surface of steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smartx.errors import InputError
from smartx.swarm.designs import divergence, draws_around, on_grid
from smartx.swarm.surface import Matrix, Surface, Vector

STEPS = 60
DRAWS = 4_096  # of a search
_BEST = 32  # draws of which a search takes the mean
_SCALES = (0.25, 1.0, 4.0)  # concentrations of its draws, in units of the number of shares
_DELTA = 1e-4  # of a share, for slopes
_LENGTHS = 2.0 ** -np.arange(0, 14)


@dataclass(frozen=True, eq=False)
class Limits:
    """Where a proposal may lie.

    prior: (p,) sums to 1.  bound: most of KL(shares || prior), in nats.  caps: (p,) most of each
    share.
    """

    prior: Vector
    bound: float
    caps: Vector


def propose(surface: Surface, limits: Limits, swarm: Matrix, *, worst: bool = False) -> Vector:
    """(p,) shares with the least foretold response; with `worst` the largest, as a control.

    swarm: (n, p) mixtures from which to begin, beside the prior.
    Raises InputError where no mixture keeps caps and bound.
    """
    prior, caps, bound = limits.prior, limits.caps, limits.bound
    centre = within_caps(prior, caps, bound)
    starts = np.vstack([centre[None, :], swarm, draws_around(prior, DRAWS, _SCALES)])
    starts = drawn_in(starts, centre, limits)
    sign = -1.0 if worst else 1.0
    values = sign * surface.mean(starts)
    own = np.argsort(values[: 1 + len(swarm)], kind="stable")[:2]
    searched = starts[np.argsort(values, kind="stable")[:_BEST]].mean(axis=0)
    begins = [centre, *starts[own], searched]
    found = [_descended(surface, start, limits, sign) for start in begins]
    ends = sign * surface.mean(np.array(found))
    return on_grid(found[int(np.argmin(ends))])


def tilted(slopes: Vector, prior: Vector, caps: Vector, bound: float) -> Vector:
    """(p,) the shares with the least slopes . shares within caps and bound.

    They are min(cap, z prior exp(-slopes / t)): z makes them sum to 1, t makes their divergence
    from the prior the bound, or is near 0 where the caps alone keep it lower.
    """
    held = prior > 0
    level = slopes - slopes[held].min()
    size = float(level[held].max())
    if size <= 0 or bound <= 0:
        return _filled(prior, caps)
    cold, hot = size * 2e-3, size * 1e6
    for _ in range(60):
        middle = float(np.sqrt(cold * hot))
        if divergence(_tilted_at(level, prior, caps, middle), prior) > bound:
            cold = middle
        else:
            hot = middle
    return _tilted_at(level, prior, caps, hot)


def within_caps(prior: Vector, caps: Vector, bound: float) -> Vector:
    """(p,) the mixture nearest to the prior that keeps the caps: the prior itself, if it does.

    Raises InputError where none does, or none within the bound.
    """
    if caps[prior > 0].sum() < 1:
        raise InputError(
            f"the shares may be {caps[prior > 0].sum():.3f} in all under the repetition cap",
            place="repetition",
            fix="raise the cap, or lower `rows`",
        )
    centre = _filled(prior, caps)
    if divergence(centre, prior) > bound:
        raise InputError(
            f"under the repetition cap every mixture is at least {divergence(centre, prior):.4f} "
            f"nats from the prior, and {bound:.4f} are allowed",
            place="kl",
            fix="raise `kl` or the cap, or lower `rows`",
        )
    return centre


def drawn_in(starts: Matrix, centre: Vector, limits: Limits) -> Matrix:
    """Mixtures moved towards `centre` until they keep caps and bound."""
    low, high = np.zeros(len(starts)), np.ones(len(starts))

    def keeps(part: Vector) -> NDArray[np.bool_]:
        moved = centre + part[:, None] * (starts - centre)
        capped = (moved <= limits.caps + 1e-12).all(axis=1)
        return np.logical_and(capped, divergence(moved, limits.prior) <= limits.bound)

    whole = keeps(high)
    for _ in range(40):
        middle = (low + high) / 2
        good = keeps(middle)
        low, high = np.where(good, middle, low), np.where(good, high, middle)
    part = np.where(whole, 1.0, low)
    moved: Matrix = centre + part[:, None] * (starts - centre)
    return moved


def _descended(surface: Surface, start: Vector, limits: Limits, sign: float) -> Vector:
    """Conditional gradients from a start, until no step of a length of ours goes down."""
    prior, at = limits.prior, start
    value = sign * float(surface.mean(at[None, :])[0])
    for _ in range(STEPS):
        slopes = sign * _slopes(surface, at, prior)
        goal = tilted(slopes, prior, limits.caps, limits.bound)
        along = at + _LENGTHS[:, None] * (goal - at)
        values = sign * surface.mean(along)
        best = int(np.argmin(values))
        if values[best] >= value - 1e-10 * (1 + abs(value)):
            break
        at, value = along[best], float(values[best])
    return at


def _slopes(surface: Surface, at: Vector, prior: Vector) -> Vector:
    """(p,) slopes of the response at a mixture, each share growing at the cost of all."""
    size = len(at)
    moved = np.vstack([at[None, :], (1 - _DELTA) * at + _DELTA * np.eye(size)])
    values = surface.mean(moved)
    slopes: Vector = np.where(prior > 0, (values[1:] - values[0]) / _DELTA, 0.0)
    return slopes


def _tilted_at(level: Vector, prior: Vector, caps: Vector, heat: float) -> Vector:
    return _filled(prior * np.exp(-level / heat), caps)


def _filled(parts: Vector, caps: Vector) -> Vector:
    """Shares in the ratio of `parts`, those above their cap at it: what they leave goes to the
    others. Where all that have a part are full, what is left goes nowhere.
    """
    full = np.zeros(len(parts), dtype=bool)
    while True:
        left, rest = 1.0 - caps[full].sum(), parts[~full].sum()
        shares = np.where(full, caps, parts * (left / rest if rest > 0 else 0.0))
        over = ~full & (shares > caps)
        if not over.any():
            return np.maximum(shares, 0.0)
        full |= over
