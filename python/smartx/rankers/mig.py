"""Greedy order by how much information rows add on a graph of labels, as MIG has it.

    v(row) = quality of the row times its labels, spread over labels that are near: onehot P
    P = cosines of label vectors from `near` upwards, others 0; each column divided by its sum
    gain = v . phi'(sum of the chosen v),   phi(x) = (x + 1e-6)^exponent
Source: Chen et al. 2025 (MIG, arXiv 2504.13835), mig/sampler.py and mig/label.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from smartx.engine import NOMINAL, Speed
from smartx.errors import InputError
from smartx.needs import Need
from smartx.options import number, one_of
from smartx.rankers.directions import products
from smartx.rankers.lazily import lazily
from smartx.rankers.one_by_one import not_negative, one_by_one, trained_of
from smartx.rankers.pool import Pool
from smartx.rankers.ranker import Order, Ranker

OFFSET = 1e-6  # of phi: its slope at nothing is finite
_GRID = 2.0**30  # of P: sums of its entries are exact in any order
_NAMES = ("label vectors", "label vectors")


@dataclass(frozen=True)
class MigRanker(Ranker):
    """By what rows add on a graph of labels, weighted by their quality (MIG).

    labels: a feature, (n, labels); a label counts where it is not 0.
    quality: a column of numbers at least 0; a row without one (NaN) counts as 0, and comes last.
    label_vectors: a table, (labels, d), of the labels' texts by any encoder; "none": labels are
    near no other.
    near: least cosine of labels that are near.  spread: weight of these beside the label's own.
    shared: yes: a row's quality is divided among its labels; no: each has all of it.
    exponent: of phi.
    Published: all of it, with these numbers. Powers may differ in the last bit between processors,
    which could turn a tie. Rows that a model was trained on count from the start.
    """

    labels: str = "labels"
    quality: str = "quality"
    label_vectors: str = "label_vectors"
    near: Annotated[float, number(0, 1)] = 0.9
    spread: Annotated[float, number(0, 1e6)] = 1.0
    shared: bool = False
    exponent: Annotated[float, number(0, 1, above=True)] = 0.8
    per: Annotated[str, one_of("template", "task", "corpus")] = field(default="task", kw_only=True)

    name: ClassVar[str] = "mig"

    @property
    def needs(self) -> tuple[Need, ...]:
        """Labels, quality, and vectors of the labels."""
        own = Need(self.labels, "matrix"), Need(self.quality, "column")
        return own if self.label_vectors == "none" else (*own, Need(self.label_vectors, "table"))

    def seconds(
        self, sizes: NDArray[np.int64], dimensions: int, speed: Speed = NOMINAL
    ) -> NDArray[np.float64]:
        """A look at many rows in each step, where what they add differs little."""
        step = 1e-4 + 1.5e-10 * max(1, dimensions) * sizes
        return np.asarray(step * sizes / speed.greedy, dtype=np.float64)

    def memory(self, sizes: NDArray[np.int64], dimensions: int, threads: int) -> int:
        """The rows as float64, twice while gains are counted."""
        return int(sizes.max(initial=0)) * (24 * max(1, dimensions) + 64)

    def rank(self, pool: Pool, *, threads: int) -> Order:
        """Each unit by itself. Raises InputError where a quality is negative or infinite, a label
        is not finite, or the label vectors are not one for each label.
        """
        labels, quality = pool.feature(self.labels), pool.feature(self.quality)
        unknown = np.isnan(quality)
        worth = not_negative(np.where(unknown, 0.0, quality), self.quality, "quality")
        if not np.isfinite(labels).all():
            raise InputError("a value is not finite", place=self.labels)
        table = None if self.label_vectors == "none" else pool.feature(self.label_vectors)
        spreading = self.spreading(labels.shape[1], table)

        def ranked(part: slice) -> Order:
            told = information(labels[part] != 0, worth[part], spreading, self.shared)
            return by_information(told, self.exponent, trained_of(pool, part))

        return one_by_one(pool, ranked)

    def spreading(self, count: int, table: NDArray[Any] | None) -> NDArray[np.float64] | None:
        """(labels, labels), what a row that has a label tells of each; None: of itself alone."""
        if table is None:
            return None
        if len(table) != count:
            raise InputError(
                f"it has {len(table):,} rows for {count:,} labels", place=self.label_vectors
            )
        near = products(table, table, names=_NAMES, cosines=True)
        near = np.where(near >= self.near, near, 0.0)
        own = np.eye(count, dtype=np.bool_)
        near = np.where(own, near, near * self.spread)
        sums = np.add.accumulate(near, axis=0)[-1]
        shares = near / np.where(sums > 0, sums, 1.0)
        return np.asarray(np.rint(shares * _GRID) / _GRID)


def information(
    has: NDArray[np.bool_],
    quality: NDArray[np.float64],
    spreading: NDArray[np.float64] | None,
    shared: bool,
) -> NDArray[np.float64]:
    """(n, labels), v of each row. Sums of the grid's numbers are exact in any order."""
    told = has.astype(np.float64)
    told = told if spreading is None else told @ spreading
    worth = quality / np.maximum(1, has.sum(axis=1)) if shared else quality
    return np.asarray(told * worth[:, None])


def by_information(told: NDArray[np.float64], exponent: float, trained: NDArray[np.int64]) -> Order:
    """Greedy over what the rows tell."""
    so_far = np.zeros(told.shape[1])

    def gains_of(rows: NDArray[np.int64]) -> NDArray[np.float64]:
        slopes = exponent * (so_far + OFFSET) ** (exponent - 1.0)
        found: NDArray[np.float64] = (told[rows] * slopes).sum(axis=1)
        return found

    def add(row: int) -> None:
        np.add(so_far, told[row], out=so_far)

    return lazily(len(told), gains_of, add, trained)
