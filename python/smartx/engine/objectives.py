"""The set functions that can be maximised, as options. The formulas live in the core.

S is the chosen set, V the ground set, s(i, j) the similarity of rows i and j (their cosine, where
rows are given).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

from smartx import _core
from smartx.errors import InputError

PENALTIES = (0.0, 1e12)
"""Above, sums of squares overflow, and gains of minus infinity end the search."""

RIDGES = (1e-12, 1e12)
"""Below, what rounding leaves of a repeated row decides: lazy and naive greedy part ways."""


@dataclass(frozen=True)
class FacilityLocation:
    """How well S covers V: sum over u in V of max(0, the largest s(v, u) with v in S).

    Monotone and submodular: greedy gets at least 63 % of the best possible value. In a kernel or
    graph row u lists who covers u; an asymmetric one is accepted.

    >>> import numpy as np, smartx
    >>> rows = np.eye(3)[[0, 0, 0, 1, 1, 2]]
    >>> smartx.maximize(smartx.FacilityLocation(), rows, 3).indices.tolist()
    [0, 3, 5]
    """


@dataclass(frozen=True)
class GraphCut:
    """How near S is to V, less how near it is to itself.

    f(S) = sum of s(i, j) over i in V, j in S  -  penalty * sum of s(i, j) over i, j in S: ordered
    pairs, diagonal included, negative similarities kept.
    penalty: within PENALTIES. Up to 0.5 f is monotone where no similarity is negative.
    Source: SMART (Renduchintala et al., 2024) uses 0.4.

    >>> import numpy as np, smartx
    >>> rows = np.eye(3)[[0, 0, 0, 1, 1, 2]]
    >>> smartx.maximize(smartx.GraphCut(penalty=0.4), rows, 3).indices.tolist()
    [0, 1, 3]
    """

    penalty: float = 0.4

    def __post_init__(self) -> None:
        _check("GraphCut.penalty", self.penalty, PENALTIES)


@dataclass(frozen=True)
class LogDet:
    """How much room S spans: log det(K_S + ridge * I), K the similarities.

    ridge: within RIDGES; from 1 upwards f is monotone.

    >>> import numpy as np, smartx
    >>> rows = np.eye(3)[[0, 0, 0, 1, 1, 2]]
    >>> smartx.maximize(smartx.LogDet(), rows, 3).indices.tolist()
    [0, 3, 5]
    """

    ridge: float = 1.0

    def __post_init__(self) -> None:
        _check("LogDet.ridge", self.ridge, RIDGES)


Objective: TypeAlias = FacilityLocation | GraphCut | LogDet


def in_core(function: Objective) -> _core.Objective:
    """The same function as the core has it."""
    if isinstance(function, GraphCut):
        return _core.GraphCut(float(function.penalty))
    if isinstance(function, LogDet):
        return _core.LogDet(float(function.ridge))
    return _core.FacilityLocation()


def _check(name: str, value: object, bounds: tuple[float, float]) -> None:
    """Raise InputError unless `value` is a number within the bounds."""
    low, high = bounds
    try:
        number = math.nan if isinstance(value, (bool, str)) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not low <= number <= high:
        raise InputError(f"{value!r} is not a number from {low:g} to {high:g}", place=name)
