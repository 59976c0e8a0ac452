"""The set functions that can be maximised, as options. The formulas live in the core.

S is the chosen set, V the ground set, s(i, j) the similarity of rows i and j (their cosine, where
rows are given).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

from smartx.errors import InputError


@dataclass(frozen=True)
class FacilityLocation:
    """How well S covers V: sum over u in V of max(0, the largest s(v, u) with v in S).

    Monotone and submodular: greedy gets at least 63 % of the best possible value. In a kernel or
    graph row u lists who covers u; an asymmetric one is accepted.
    """


@dataclass(frozen=True)
class GraphCut:
    """How near S is to V, less how near it is to itself.

    f(S) = sum of s(i, j) over i in V, j in S  -  penalty * sum of s(i, j) over i, j in S: ordered
    pairs, diagonal included, negative similarities kept.
    penalty: finite, >= 0. Up to 0.5 f is monotone where no similarity is negative.
    Source: SMART (Renduchintala et al., 2024) uses 0.4.
    """

    penalty: float = 0.4

    def __post_init__(self) -> None:
        _check("GraphCut.penalty", self.penalty, lowest_allowed=True)


@dataclass(frozen=True)
class LogDet:
    """How much room S spans: log det(K_S + ridge * I), K the similarities.

    ridge: finite, > 0; from 1 upwards f is monotone.
    """

    ridge: float = 1.0

    def __post_init__(self) -> None:
        _check("LogDet.ridge", self.ridge, lowest_allowed=False)


Objective: TypeAlias = FacilityLocation | GraphCut | LogDet


def _check(name: str, value: object, *, lowest_allowed: bool) -> None:
    """Raise InputError unless `value` is a finite number above 0, or 0 itself where allowed."""
    wanted = ">= 0" if lowest_allowed else "> 0"
    try:
        number = math.nan if isinstance(value, (bool, str)) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number) or number < 0 or (number == 0 and not lowest_allowed):
        raise InputError(f"{value!r} is not a finite number {wanted}", place=name)
