"""MixMin: the mixture of the sources' models that gives a target the highest likelihood.

    minimise over shares w:  - mean over i of log(sum over k of w_k p_k(x_i)) / length_i
    w_k <- w_k exp(rate * (mean over i of p_k(x_i) / (length_i sum over j of w_j p_j(x_i)))) / norm
p_k(x_i): of the target text i, by a small model trained on source k alone. The problem is convex;
the steps are exponentiated gradient from equal shares.
Source: Thudi et al., 2025 (MixMin, ICML), and its published mixmin_gen.py: rate 1, 100 steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from smartx.errors import ConfigError, InputError
from smartx.needs import Need, names_of_features
from smartx.options import number, optional, whole
from smartx.weights.given import Given
from smartx.weights.law import Ground, Shares, WeightLaw, on_grid

_LEAST = 2.0**-40  # of the largest share: what is below is none


@dataclass(frozen=True)
class MixMin(WeightLaw):
    """Shares under which the models of the tasks together explain a target best.

    log_probs: a table, a row for each text of the target and a column for each task: the log
    probability that the task's model gives the text.
    lengths: a table of one column, the tokens of each text, by which its log probability is
    divided; none: all texts count the same.
    columns: what the columns stand for, where they are not the tasks in corpus order: names of
    tasks, SOURCE/TASK, or patterns of these, whose tasks share by their sizes.
    """

    log_probs: str
    lengths: str | None = None
    columns: Annotated[tuple[str, ...] | None, optional(names_of_features())] = None
    steps: Annotated[int, whole(1, 1_000_000)] = 100
    rate: Annotated[float, number(0, 1e6, above=True)] = 1.0

    name: ClassVar[str] = "mixmin"

    @property
    def needs(self) -> tuple[Need, ...]:
        """The tables."""
        return tuple(Need(name, "table") for name in (self.log_probs, self.lengths) if name)

    def check(self, names: Sequence[tuple[str, ...]]) -> None:
        """Every column has a task."""
        if self.columns is not None:
            _check_patterns(self.columns, names)

    def shares(self, ground: Ground, total: int) -> Shares:
        """Tasks with a share of any size, in corpus order.

        Raises InputError where the tables do not fit the tasks or each other.
        """
        table = _table(ground, self.log_probs, len(self.columns or ground.names))
        lengths = np.ones(len(table))
        if self.lengths is not None:
            lengths = _table(ground, self.lengths, 1)[:, 0]
            if len(lengths) != len(table) or not (lengths > 0).all():
                raise InputError(
                    f"it must hold {len(table):,} numbers above 0, as there are texts",
                    place=self.lengths,
                )
        weights = mixmin_weights(table, lengths, steps=self.steps, rate=self.rate)
        weights[weights < _LEAST * weights.max()] = 0.0
        if self.columns is not None:
            _check_patterns(self.columns, ground.names)
            named = zip(self.columns, weights.tolist(), strict=True)
            return Given({name: weight for name, weight in named if weight}).shares(ground, total)
        order = np.flatnonzero((weights > 0) & (ground.rows > 0)).astype(np.int64)
        return Shares(order, on_grid(weights[order]))


def mixmin_weights(
    log_probs: NDArray[np.float64], lengths: NDArray[np.float64], *, steps: int, rate: float
) -> NDArray[np.float64]:
    """(K,) shares that sum to 1. log_probs: (q, K).  lengths: (q,) above 0.

    A column of minus infinities is a model that gives no text any chance, and gets nothing.
    Sums run from first to last, so that they are the same on every machine.
    """
    by_source = np.ascontiguousarray(log_probs.T)
    by_source = np.exp(by_source - by_source.max(axis=0))
    count = len(by_source)
    logs = np.zeros(count)
    weights = np.full(count, 1.0 / count)
    for _ in range(steps):
        mixed = np.add.accumulate(weights[:, None] * by_source, axis=0)[-1] * lengths
        pull = np.add.accumulate(by_source / mixed, axis=1)[:, -1] / len(lengths)
        logs += rate * (pull - pull.max())
        logs -= logs.max()
        weights = np.exp(logs)
        weights /= np.add.accumulate(weights)[-1]
    return weights


def _table(ground: Ground, name: str, width: int) -> NDArray[np.float64]:
    table = np.asarray(ground.feature(Need(name, "table").key), dtype=np.float64)
    if table.ndim == 1:
        table = table[:, None]
    if table.ndim != 2 or not len(table) or table.shape[1] != width:
        raise InputError(
            f"it has the shape {table.shape}, and {width:,} columns are needed",
            place=name,
            fix="give a row for each text and a column for each task in corpus order, or say in "
            "`columns` what they are",
        )
    bad = np.isnan(table) | (table == np.inf) | (table == -np.inf).all(axis=1, keepdims=True)
    if bad.any():
        row = int(np.argmax(bad.any(axis=1)))
        raise InputError(f"row {row} (from 0) holds what is no log probability", place=name)
    return table


def _check_patterns(columns: Sequence[str], names: Sequence[tuple[str, ...]]) -> None:
    """Raise ConfigError where a column has no task of its own."""
    if len(set(columns)) < len(columns):
        raise ConfigError("a name stands there twice", place="columns")
    try:
        Given(dict.fromkeys(columns, 1.0)).check(names)
    except ConfigError as problem:
        place = problem.place.replace("parts", "columns", 1)
        raise ConfigError(problem.fault, place=place, fix=problem.fix) from None
