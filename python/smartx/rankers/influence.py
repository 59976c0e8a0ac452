"""Rows by the influence of their gradients on target tasks, as LESS has it.

    score of row i = max over subtasks s of  sum over checkpoints c of  rate_c * mean over the rows
    t of s of <gradient_ci, target_ct>
Source: Xia et al. 2024 (arXiv 2402.04333), section 3 and less/data_selection/matching.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from smartx.engine import NOMINAL, Speed
from smartx.errors import ConfigError, InputError
from smartx.needs import Need, names_of_features
from smartx.options import one_of, optional, whole
from smartx.rankers.by_score import by_score
from smartx.rankers.directions import products
from smartx.rankers.pool import Pool
from smartx.rankers.ranker import Order, Ranker
from smartx.rankers.rates import checked_rates, rates_of_checkpoints

TYPICAL_TARGETS = 256  # rows of a table of targets, for plans


@dataclass(frozen=True)
class InfluenceRanker(Ranker):
    """By the product of a row's gradient with the targets' gradients, summed over checkpoints; of
    several subtasks the one that a row helps most counts.

    gradients: features, (n, d) values each, one of each checkpoint.
    targets: tables, (q, d) values each, of the same checkpoints.
    `smartx features gradients` puts all checkpoints into one feature and one table, by these names.
    rates: learning rates of the checkpoints, which weigh them; none: equal.
    subtask_rows: so many rows of a table, one behind the other, are a subtask, whose mean counts.
    With 1 a row is a subtask.
    cosines: rows of both at length 1, as the paper has it; no: as they are, as its code does with
    gradients that it stored at length 1.
    Published: all but `per`; there the whole corpus is one pool.
    """

    gradients: Annotated[tuple[str, ...], names_of_features()] = ("gradients",)
    targets: Annotated[tuple[str, ...], names_of_features()] = ("target_gradients",)
    rates: Annotated[tuple[float, ...] | None, optional(rates_of_checkpoints())] = None
    subtask_rows: Annotated[int, whole(1)] = 1
    cosines: bool = True
    per: Annotated[str, one_of("template", "task", "corpus")] = field(default="task", kw_only=True)

    name: ClassVar[str] = "influence"

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.gradients) != len(self.targets):
            raise ConfigError(
                f"{len(self.targets)} are named, and {len(self.gradients)} gradients",
                place="targets",
                fix="name one table of targets for each matrix of gradients, in the same order",
            )
        checked_rates(self.rates, len(self.gradients))

    @property
    def needs(self) -> tuple[Need, ...]:
        """Gradients of the rows and of the targets."""
        rows = [Need(name, "matrix") for name in self.gradients]
        return (*rows, *(Need(name, "table") for name in self.targets))

    def seconds(
        self, sizes: NDArray[np.int64], dimensions: int, speed: Speed = NOMINAL
    ) -> NDArray[np.float64]:
        """Reading the gradients, and their products with a few hundred targets."""
        return np.asarray(3e-8 * max(1, dimensions) / speed.greedy * sizes + 1e-6)

    def memory(self, sizes: NDArray[np.int64], dimensions: int, threads: int) -> int:
        """Products with a few hundred targets, and a block of gradients."""
        return int(16 * TYPICAL_TARGETS * int(sizes.max(initial=0)) + (1 << 28))

    def rank(self, pool: Pool, *, threads: int) -> Order:
        """By score; ties go to the lower row."""
        scores = influence(
            [pool.feature(name) for name in self.gradients],
            [pool.feature(name) for name in self.targets],
            checked_rates(self.rates, len(self.gradients)),
            names=list(zip(self.gradients, self.targets, strict=True)),
            subtask_rows=self.subtask_rows,
            cosines=self.cosines,
        )
        return by_score(pool, scores)


def influence(
    gradients: Sequence[NDArray[np.floating[Any]]],
    targets: Sequence[NDArray[np.floating[Any]]],
    rates: Sequence[float],
    *,
    names: Sequence[tuple[str, str]],
    subtask_rows: int = 1,
    cosines: bool = True,
) -> NDArray[np.float64]:
    """(n,) float64 scores of the rows. Products are exact (`directions`), sums run in one order.

    gradients: (n, d) of each checkpoint.  targets: (q, d) of each.  names: of both, for messages.
    Raises InputError where subtasks do not come out even, or tables have not as many rows.
    """
    subtasks = len(targets[0]) // subtask_rows
    for table, (_, name) in zip(targets, names, strict=True):
        if len(table) != subtasks * subtask_rows or not subtasks:
            raise InputError(
                f"it has {len(table):,} rows: not {subtasks:,} subtasks of {subtask_rows:,} rows",
                place=name,
                fix="every table needs the same subtasks, each of `subtask_rows` rows",
            )
    total = np.zeros((len(gradients[0]), len(targets[0])))
    for rows, table, rate, pair in zip(gradients, targets, rates, names, strict=True):
        total += rate * products(rows, table, names=pair, cosines=cosines)
    by_subtask = total.reshape(len(total), subtasks, subtask_rows)
    means = np.zeros((len(total), subtasks))
    for place in range(subtask_rows):
        means += by_subtask[:, :, place]
    scores: NDArray[np.float64] = (means / subtask_rows).max(axis=1)
    return scores
