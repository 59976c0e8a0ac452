"""What Adam would make of a row's gradient, given its moments.

    m' = b1 m + (1 - b1) g,   v' = b2 v + (1 - b2) g^2   with the moments m and v after t steps
    paper:  M / (sqrt(V) + e),   M = m' / (1 - b1^(t + 1)),   V = v' / (1 - b2^(t + 1))
    code:   m' / sqrt(v' + e)
The paper's is the next step of torch.optim.AdamW without
weight decay, but for the learning rate.
Source: Xia et al. 2024 (arXiv 2402.04333), equations of section 2.2 and appendix; their code is
less/data_selection/collect_grad_reps.py (`obtain_gradients_with_adam`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from smartx.collect.gradients.asked import Formulas

BETAS = (0.9, 0.999)
EPSILON = 1e-8


@dataclass(frozen=True, eq=False)
class Moments:
    """Adam's state. first, second: (P,) float32 tensors.  steps: that were made."""

    first: Any
    second: Any
    steps: int


def precondition(gradients: Any, moments: Moments, formulas: Formulas) -> None:
    """Put in place of each row of gradients, a (n, P) float32 tensor, what Adam makes of it."""
    first, second = BETAS
    carried, spread = moments.first * first, moments.second * second
    scales = (1 - first ** (moments.steps + 1), 1 - second ** (moments.steps + 1))
    for row in gradients:
        below = torch.addcmul(spread, row, row, value=1 - second)
        row.mul_(1 - first).add_(carried)
        if formulas == "paper":
            row.div_(scales[0]).div_(below.div_(scales[1]).sqrt_().add_(EPSILON))
        else:
            row.div_(below.add_(EPSILON).sqrt_())
