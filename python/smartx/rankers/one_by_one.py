"""Units that are ranked one after another."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from smartx.errors import InputError
from smartx.rankers.pool import Pool
from smartx.rankers.ranker import Order


def one_by_one(pool: Pool, ranked: Callable[[slice], Order]) -> Order:
    """The orders of all units. ranked: of one that has rows, by where these stand in the pool."""
    order, gains = np.empty(len(pool), dtype=np.int32), np.empty(len(pool))
    for part in pool.parts():
        if part.stop > part.start:
            order[part], gains[part] = ranked(part)
    return order, gains


def trained_of(pool: Pool, part: slice) -> NDArray[np.int64]:
    """Places, inside the unit, of the rows that a model was trained on, rising."""
    return np.flatnonzero(pool.trained[part]) if pool.trained is not None else np.zeros(0, np.int64)


def check_rows(rows: int, most: int, name: str) -> None:
    """Raise InputError where a unit is larger than a ranker can take.  name: of the ranker."""
    if rows > most:
        raise InputError(
            f"{name} compares all pairs of a unit's rows, and takes at most {most:,} of them; "
            f"here are {rows:,}",
            place="ranker",
            fix="rank smaller units (`per` task or template), or take facility-location, which "
            "ranks units of any size",
        )


def finite(values: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    """A column without infinities; NaN means that a row has no value.

    Raises InputError with the first row that is infinite.
    """
    wrong = np.isinf(values)
    if wrong.any():
        fault = f"row {int(wrong.argmax())} is infinite ({int(wrong.sum())} such rows)"
        raise InputError(fault, place=name, fix="leave the value empty where a row has none")
    return values


def not_negative(values: NDArray[np.floating], name: str, what: str) -> NDArray[np.float64]:
    """Values as float64, all of them finite and at least 0. Raises InputError with the first row
    that has another.  what: they are, for the message.
    """
    found = np.asarray(values, dtype=np.float64)
    rows = found if found.ndim == 1 else found.min(axis=1, initial=0.0)
    tops = found if found.ndim == 1 else found.max(axis=1, initial=0.0)
    wrong = ~((rows >= 0) & np.isfinite(tops))  # NaN is neither
    if wrong.any():
        row, total = int(wrong.argmax()), int(wrong.sum())
        raise InputError(
            f"{what} must be finite and at least 0; row {row} has another ({total} such rows)",
            place=name,
            fix="shift or clip them, or leave those rows out",
        )
    return found
