"""What gradients are asked for, with what LESS published as defaults; no package is needed yet."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from smartx.amounts import Amount, Percent, amount
from smartx.draws import WARM_UP_DRAWS, WARM_UP_ORDER, WARM_UP_ROWS, draws, draws_at
from smartx.errors import InputError

Formulas = Literal["paper", "code"]
MOST_DIMENSIONS = 1 << 18
RISING = 0.03  # of the steps, in which the learning rate rises from 0


@dataclass(frozen=True)
class Lora:
    """The shape of the adapters: B A x is multiplied by `scale`, and a part of `dropout` of the
    inputs is left out while training.
    """

    rank: int = 128
    scale: int = 4
    dropout: float = 0.1


@dataclass(frozen=True)
class Recipe:
    """How adapters are warmed up.

    rows: that are trained on: a number, or a part of all.  epochs: each leaves a checkpoint.
    rate: the highest learning rate; it falls in a line to 0.  batch: rows of an optimizer step.
    seed: of rows, their order, the first weights and dropout.
    Source: Xia et al. 2024 (arXiv 2402.04333), less/scripts/train/base_training_args.sh.
    """

    rows: Amount = Percent(Fraction(5))  # noqa: RUF009, frozen
    epochs: int = 4
    rate: float = 2e-5
    batch: int = 32
    lora: Lora = Lora()
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise InputError for what no training can have."""
        if not (math.isfinite(self.rate) and self.rate > 0):
            raise InputError("it must be above 0", place="lr")

    def sample(self, rows: int) -> NDArray[np.int64]:
        """Rising ids of the rows that are trained on: those of the lowest draws, at least one."""
        wanted = self.rows if isinstance(self.rows, int) else math.ceil(self.rows.of(rows))
        drawn = draws(self.seed, WARM_UP_ROWS, 0, rows)
        return np.sort(np.argsort(drawn, kind="stable")[: max(1, min(wanted, rows))])

    def steps(self, sample: int) -> int:
        """Optimizer steps of an epoch, for so many rows."""
        return -(-sample // self.batch)

    def batches(self, row_ids: NDArray[np.int64], epoch: int) -> list[NDArray[np.int64]]:
        """Places in `row_ids` of the rows of each step of an epoch, by draws at the row ids."""
        drawn = draws_at(self.seed, WARM_UP_ORDER + 256 * epoch, row_ids)
        order = np.argsort(drawn, kind="stable").astype(np.int64)
        return [order[at : at + self.batch] for at in range(0, len(order), self.batch)]

    def torch_seed(self, step: int) -> int:
        """Of dropout in a step, counted from 1; of the first weights: step 0."""
        return int(draws(self.seed, WARM_UP_DRAWS, step, step + 1)[0]) >> 1

    def rates(self, sample: int) -> NDArray[np.float64]:
        """(epochs, steps) learning rates, as transformers' linear schedule with warm-up has them.

        Raises InputError where there are so few steps that all of them are 0.
        """
        total = self.epochs * self.steps(sample)
        rising = math.ceil(RISING * total)
        at = np.arange(total)
        falling = (total - at) / max(1, total - rising)
        made = self.rate * np.where(at < rising, at / max(1, rising), falling)
        if not made.any():
            raise InputError(
                f"{total} step of training is too little: the first has a learning rate of 0",
                place="warmup_rows",
                fix="warm up on more rows, for more epochs, or with a smaller `batch`",
            )
        return made.reshape(self.epochs, -1)

    def facts(self) -> dict[str, Any]:
        """For keys and manifests."""
        return {**asdict(self), "rows": str(self.rows)}


@dataclass(frozen=True)
class Asked:
    """What is asked for, as the options of the command have it.

    targets: a file of rows that the selection is to help; None: only the gradients of the rows.
    dimensions: of a sketch.  formulas: of the paper, or of its code.
    """

    model: Path
    targets: Path | None = None
    dimensions: int = 8_192
    max_length: int = 2_048
    device: str = "auto"
    dtype: str = "float32"
    formulas: Formulas = "paper"
    recipe: Recipe = Recipe()

    def __post_init__(self) -> None:
        """Raise InputError for what cannot be."""
        if not 1 <= self.dimensions <= MOST_DIMENSIONS:
            raise InputError(f"it must be 1 to {MOST_DIMENSIONS:,}", place="dimensions")
        if self.formulas not in ("paper", "code"):
            raise InputError('it must be "paper" or "code"', place="formulas")


def asked_for(
    *,
    warmup_rows: str,
    epochs: int,
    lr: float,
    batch: int,
    lora_rank: int,
    seed: int,
    formulas: str,
    **more: Any,
) -> Asked:
    """From the options of the command. Raises InputError for what cannot be."""
    try:
        rows = amount(warmup_rows)
    except ValueError as problem:
        raise InputError(str(problem), place="warmup_rows") from None
    recipe = Recipe(rows, epochs, lr, batch, Lora(lora_rank), seed)
    return Asked(recipe=recipe, formulas=cast("Formulas", formulas), **more)
