"""Weight laws: in which shares tasks get the rows of a mixture. One file per law.

A new law is a frozen dataclass as `WeightLaw` describes it, in a file of its own, and a line in
`strategies.LAWS`; the contract tests run over that table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartx.errors import ConfigError
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
    """The weight law that a configuration asks for.

    Raises ConfigError where it asks for a number of tasks and the law takes none.
    """
    recipe = LAWS[config.law]
    if config.num_tasks is not None and "num_tasks" not in recipe.takes():
        raise ConfigError(
            f"the weight law {config.law} mixes all tasks",
            place="num_tasks",
            fix="leave it out, or choose the weight law taylor-softmax",
        )
    law: WeightLaw = recipe.made(config)
    return law
