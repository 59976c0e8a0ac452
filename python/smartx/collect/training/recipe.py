"""How a model is fine-tuned: steps, learning rate, and which rows come when."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartx.draws import TRAINING_ORDER, draws_at
from smartx.errors import InputError

_LARGEST = 4  # rows that go through the model at once, as published


@dataclass(frozen=True)
class Recipe:
    """Fine-tuning with AdamW: a warm-up, then the learning rate falls along a cosine.

    epochs: passes over the rows; a part of one is allowed.  rate: the highest learning rate.
    batch: rows of an optimizer step.  warm_up: part of the steps.
    seed: of the order of the rows and of dropout.
    The defaults are those published for S2L (arXiv 2403.07384): 3 epochs, 2e-5, cosine, warm-up
    of 3 %, gradients of 8 times 4 rows to a step.
    """

    epochs: float = 3.0
    rate: float = 2e-5
    batch: int = 32
    warm_up: float = 0.03
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise InputError for what no training can have."""
        if not (math.isfinite(self.epochs) and self.epochs > 0):
            raise InputError("it must be above 0", place="epochs")
        if not (math.isfinite(self.rate) and self.rate > 0):
            raise InputError("it must be above 0", place="lr")
        if self.batch < 1:
            raise InputError("it must be at least 1", place="batch")

    @property
    def at_once(self) -> int:
        """Rows of which gradients are computed together: the largest divisor of the batch up to 4.
        It depends on nothing else, so that the sums are the same on every machine.
        """
        return max(size for size in range(1, _LARGEST + 1) if self.batch % size == 0)

    def steps(self, rows: int) -> int:
        """Optimizer steps in all, for so many rows; the last may have a smaller batch."""
        return -(-len_of_run(self.epochs, rows) // self.batch)

    def order(self, row_ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Places in `row_ids` in the order in which they are trained on, pass after pass.

        Each pass has every row once, in an order of its own, by draws at the row ids.
        """
        wanted, passes = len_of_run(self.epochs, len(row_ids)), math.ceil(self.epochs)
        found = [
            np.argsort(draws_at(self.seed, TRAINING_ORDER + 256 * number, row_ids), kind="stable")
            for number in range(passes)
        ]
        return np.concatenate(found)[:wanted].astype(np.int64)

    def facts(self) -> dict[str, Any]:
        """For keys and manifests."""
        return {**asdict(self), "at_once": self.at_once, "schedule": "cosine", "optimizer": "AdamW"}


def len_of_run(epochs: float, rows: int) -> int:
    """Rows that are trained on, passes counted: at least one."""
    return max(1, round(epochs * rows))


def checkpoint_steps(steps: int, checkpoints: int) -> list[int]:
    """The optimizer steps after which losses are recorded: evenly spread, the last one among them.

    Published: every 500 steps of a run of that length. Raises InputError where there are fewer
    steps than checkpoints.
    """
    if checkpoints < 1:
        raise InputError("it must be at least 1", place="checkpoints")
    if checkpoints > steps:
        raise InputError(
            f"{checkpoints:,} checkpoints were asked for, and training has {steps:,} steps",
            place="checkpoints",
            fix=f"pass `checkpoints` {steps} or fewer, a smaller `batch`, or more `epochs` or "
            "`train_rows`",
        )
    return [-(-steps * number // checkpoints) for number in range(1, checkpoints + 1)]
