"""Weight laws: in which shares tasks get the rows of a mixture. One file per law.

A new law is a frozen dataclass as `WeightLaw` describes it, in a file of its own, and a line in
LAWS; the contract tests run over LAWS.
"""

from __future__ import annotations

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

LAWS: dict[str, type[WeightLaw]] = {
    "taylor-softmax": TaylorSoftmax,
    "proportional": Proportional,
    "equal": Equal,
    "random-rows": RandomRows,
}

__all__ = [
    "LAWS",
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
    "sum_in_order",
    "task_ground",
]
