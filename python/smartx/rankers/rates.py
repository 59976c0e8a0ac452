"""Learning rates, by which rankers weigh the checkpoints that gradients come from."""

from __future__ import annotations

import math
import re
from typing import Any

from smartx.errors import ConfigError
from smartx.options import Takes


def rates_of_checkpoints() -> Takes:
    """Numbers above 0, joined by + in a text (the + of 1e+5 joins nothing), or a list of them."""

    def read(value: Any) -> tuple[float, ...]:
        parts = re.split(r"(?<![eE])\+", value) if isinstance(value, str) else list(value)
        rates = tuple(float(part) for part in parts)
        if not rates or not all(0 < rate < math.inf for rate in rates):
            raise ValueError
        return rates

    return Takes("numbers above 0, joined by +", read)


def checked_rates(rates: tuple[float, ...] | None, checkpoints: int) -> list[float]:
    """The rates of so many checkpoints, summing to 1; equal ones where none are given.

    Raises ConfigError unless there is one for each.
    """
    given = (1.0,) * checkpoints if rates is None else rates
    if len(given) != checkpoints:
        raise ConfigError(
            f"{len(given)} are given for {checkpoints} checkpoints",
            place="rates",
            fix="give one for each matrix of gradients, in the same order",
        )
    total = math.fsum(given)
    return [rate / total for rate in given]
