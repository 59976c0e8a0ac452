"""CHAMELEON: tasks that others do not explain get more, by kernel ridge leverage scores.

    K = X X' centred, X the M means of unit vectors
    S = diag(K (K + ridge M I)^-1), divided by its sum
    fine-tuning: share ~ exp(S / temperature)  pre-training: share ~ exp(1 / (S * temperature))
Source: Xie et al., 2025 (CHAMELEON, ICML), as its published scripts do it: ridge 10, temperature .2
for fine-tuning, 5 for pre-training. Scores sum to 1, so with more than a few tasks the published
fine-tuning shares are equal ones but for a few parts in a hundred.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np

from smartx.engine import DENSE_TASKS, SCALE
from smartx.errors import ConfigError, InputError
from smartx.options import number, optional
from smartx.weights.law import Ground, Shares, WeightLaw, on_grid


@dataclass(frozen=True)
class Chameleon(WeightLaw):
    """A softmax of the tasks' leverage scores among their mean vectors.

    stage: fine-tuning favours what is unlike the rest, pre-training what is like it.
    temperature: larger makes the shares more equal; none: that of the paper for the stage.
    """

    stage: Literal["finetune", "pretrain"] = "finetune"
    ridge: Annotated[float, number(1e-6, 1e12)] = 10.0
    temperature: Annotated[float | None, optional(number(0, above=True))] = None

    name: ClassVar[str] = "chameleon"

    @property
    def needs_means(self) -> bool:
        """For the kernel."""
        return True

    def shares(self, ground: Ground, total: int) -> Shares:
        """Every task that holds a row, in corpus order."""
        if ground.means is None:
            raise InputError("this law needs the mean vector of every task", place="means")
        count = len(ground.means)
        if count > DENSE_TASKS:
            raise ConfigError(
                f"chameleon has room for {DENSE_TASKS:,} tasks, and here are {count:,}",
                place="name",
                fix="choose another law",
            )
        rows = (ground.means - ground.means.mean(axis=0)) / SCALE  # means of rows of length 1
        kernel = rows @ rows.T
        scores = np.diagonal(np.linalg.solve(kernel + self.ridge * count * np.eye(count), kernel))
        scores = scores / scores.sum() if scores.any() else np.full(count, 1 / count)
        if self.stage == "finetune":
            logits = scores / (self.temperature or 0.2)
        else:
            logits = 1.0 / (scores + 1e-12) / (self.temperature or 5.0)
        order = np.flatnonzero(ground.rows).astype(np.int64)
        return Shares(order, on_grid(np.exp(logits - logits.max())[order]))
