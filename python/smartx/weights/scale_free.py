"""Shares by gains without a unit, the temperature set by how many tasks are wanted.

    x = max(gain, 0) / the largest gain, of 0..1
    share ~ exp(x / T), or 1 + y + y²/2 with y = x / T
The published law sees the gains as they are: facility location's first gain is so large that its
task gets over 70 % of the rows, log-det's are so small that all tasks get the same. Here T, given
or found, says how far apart shares are: `effective` is exp of their entropy, which T raises.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from smartx.errors import ConfigError
from smartx.options import number, optional
from smartx.weights.greedy import GreedyLaw
from smartx.weights.law import Ground, Shares, on_grid
from smartx.weights.spread import effective

_COLDEST, _HOTTEST = 1e-6, 1e6
_STEPS = 100  # halvings: below the last bit


@dataclass(frozen=True)
class ScaleFree(GreedyLaw):
    """A softmax, or its second-order Taylor form, of gains divided by the largest.

    curve: which of the two.
    temperature: larger makes the shares more equal.
    effective: the wanted effective number of tasks; the temperature is found for it.
    """

    curve: Literal["softmax", "taylor"] = "softmax"
    temperature: Annotated[float, number(_COLDEST, _HOTTEST)] = 0.25
    effective: Annotated[float | None, optional(number(1))] = None

    name: ClassVar[str] = "scale-free"

    def shares(self, ground: Ground, total: int) -> Shares:
        """Shares of the first tasks in greedy order.

        Raises ConfigError where no temperature has so many effective tasks, with those that can be.
        """
        order, gains = self.first_tasks(ground)
        if not len(gains):
            return Shares(order, gains, gains)
        top = float(gains.max())
        x = np.clip(gains / top, 0.0, 1.0) if top > 0 else np.zeros_like(gains)
        temperature = self.temperature if self.effective is None else self._found(x)
        return Shares(order, on_grid(self._weights(x, temperature)), gains)

    def _weights(self, x: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
        if self.curve == "softmax":
            return np.array([math.exp((one - x.max()) / temperature) for one in x.tolist()])
        return 1.0 + x / temperature + (x / temperature) ** 2 / 2.0

    def _found(self, x: NDArray[np.float64]) -> float:
        """The temperature of the wanted number, which rises with it."""
        wanted = float(self.effective or 1)
        least, most = (effective(self._weights(x, t)) for t in (_COLDEST, _HOTTEST))
        if not least <= wanted <= most * (1 + 1e-9):
            raise ConfigError(
                f"{wanted:g} effective tasks are asked for; with these gains {least:.2f} to "
                f"{most:.2f} can be had",
                place="effective",
                fix="change it, `curve`, or the number of tasks",
            )
        low, high = math.log(_COLDEST), math.log(_HOTTEST)
        for _ in range(_STEPS):
            middle = (low + high) / 2
            if effective(self._weights(x, math.exp(middle))) < wanted:
                low = middle
            else:
                high = middle
        return math.exp(high)
