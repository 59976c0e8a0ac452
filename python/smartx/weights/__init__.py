"""Weight laws: in which shares tasks get the rows of a mixture. One file per law.

A new law is a frozen dataclass as `WeightLaw` describes it, in a file of its own, and a line in
`strategies.LAWS`; the contract tests run over that table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartx.strategies import LAWS
from smartx.weights.equal import Equal
from smartx.weights.law import (
    Ground,
    Shares,
    WeightLaw,
    described,
    group_ground,
    sum_in_order,
    task_ground,
)
from smartx.weights.proportional import Proportional
from smartx.weights.random_rows import RandomRows
from smartx.weights.taylor_softmax import RandomTasks, TaylorSoftmax

if TYPE_CHECKING:
    from smartx.config import RunConfig

__all__ = [
    "Equal",
    "Ground",
    "Proportional",
    "RandomRows",
    "RandomTasks",
    "Shares",
    "TaylorSoftmax",
    "WeightLaw",
    "described",
    "group_ground",
    "law_from",
    "sum_in_order",
    "task_ground",
]


def law_from(config: RunConfig) -> WeightLaw:
    """The weight law that a configuration asks for."""
    law: WeightLaw = LAWS[config.law].made(config)
    return law
