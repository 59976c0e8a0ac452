"""Shares by a power of the tasks' sizes, between equal (0) and proportional (1) mixing.

    share ~ min(size, cap) ** exponent              the square root: 1/2
    share ~ min(size, cap) ** (1 / temperature)     the same, as T5 and seqio write it
Source: T5 (Raffel et al., 2020), section 3.5.2; multilingual BERT has the exponent 0.7.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from smartx.options import number, optional, whole
from smartx.weights.law import Ground, Shares, WeightLaw, on_grid
from smartx.weights.proportional import Proportional


@dataclass(frozen=True)
class Power(WeightLaw):
    """Shares in the ratio of size ** exponent. cap: a larger task counts as one of this size."""

    exponent: Annotated[float, number(0, 1)] = 0.5
    cap: Annotated[int | None, optional(whole(1))] = None

    name: ClassVar[str] = "power"

    def shares(self, ground: Ground, total: int) -> Shares:
        """Every task that holds a row, in corpus order."""
        sized = Proportional(self.cap).shares(ground, total)
        return Shares(sized.order, on_grid(sized.weights**self.exponent))


@dataclass(frozen=True)
class Temperature(WeightLaw):
    """Shares in the ratio of size ** (1 / temperature): 1 is proportional, 2 the square root."""

    temperature: Annotated[float, number(1)] = 2.0
    cap: Annotated[int | None, optional(whole(1))] = None

    name: ClassVar[str] = "temperature"

    def shares(self, ground: Ground, total: int) -> Shares:
        """Every task that holds a row, in corpus order."""
        return Power(1.0 / self.temperature, self.cap).shares(ground, total)
