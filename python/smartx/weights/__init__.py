"""Weight laws: in which shares tasks get the rows of a mixture. One file per law.

A new law is a `WeightLaw` in a file of its own, and a line in `strategies.LAWS`; the contract tests
run over that table.
"""

from __future__ import annotations

from smartx.weights.cali_budget import CaliBudget
from smartx.weights.chameleon import Chameleon
from smartx.weights.coverage_mass import CoverageMass
from smartx.weights.equal import Equal
from smartx.weights.given import Given
from smartx.weights.greedy import GreedyLaw, RandomTasks, ScaledGraphCut
from smartx.weights.kernels import exact_kernel
from smartx.weights.law import (
    Ground,
    Shares,
    WeightLaw,
    group_ground,
    on_grid,
    sum_in_order,
    task_ground,
)
from smartx.weights.mixmin import MixMin, mixmin_weights
from smartx.weights.power import Power, Temperature
from smartx.weights.proportional import Proportional
from smartx.weights.random_rows import RandomRows
from smartx.weights.scale_free import ScaleFree
from smartx.weights.spread import effective, spread_line, spread_of
from smartx.weights.taylor_softmax import TaylorSoftmax

__all__ = [
    "CaliBudget",
    "Chameleon",
    "CoverageMass",
    "Equal",
    "Given",
    "GreedyLaw",
    "Ground",
    "MixMin",
    "Power",
    "Proportional",
    "RandomRows",
    "RandomTasks",
    "ScaleFree",
    "ScaledGraphCut",
    "Shares",
    "TaylorSoftmax",
    "Temperature",
    "WeightLaw",
    "effective",
    "exact_kernel",
    "group_ground",
    "mixmin_weights",
    "on_grid",
    "spread_line",
    "spread_of",
    "sum_in_order",
    "task_ground",
]
