"""Greedy order by quality and diversity together, as QDIT has it.

    f(S) = (1 - alpha) sum over v in V of the largest s(v, a), a in S
           + alpha sum over a in S of q(a)
s: cosines, negative ones as 0; V: the rows of a unit; q: a column of quality scores.
Source: Bukharin et al. 2024 (QDIT, arXiv 2311.14736), section 3.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from smartx.engine import NOMINAL, SCALE, Speed
from smartx.needs import VECTORS, Need
from smartx.options import number, one_of
from smartx.rankers.covering import MOST_ROWS, Best, Covering, products_of_pairs
from smartx.rankers.one_by_one import check_rows, finite, one_by_one, trained_of
from smartx.rankers.pool import Pool
from smartx.rankers.ranker import Order, Ranker


@dataclass(frozen=True)
class QditRanker(Ranker):
    """By how well the first rows cover their unit, and their quality (QDIT).

    quality: a column of numbers; a row without one (NaN) counts as the worst of its unit.
    alpha: 0 is facility location alone, 1 quality alone.
    scaled: yes: quality counts from 0 for the worst row of a unit to 1 for its best, and coverage
    as the part of its largest first gain; no: both as they are, as in the paper, where one of them
    may drown the other: a first row covers up to n, and scores have any unit.
    Published: the rule, greedy. Ours: `scaled`, and a score that is lacking. No code of the authors
    was to be had.
    Units above MOST_ROWS rows are refused: the products of all pairs are held.
    """

    quality: str = "quality"
    alpha: Annotated[float, number(0, 1)] = 0.5
    scaled: bool = True
    per: Annotated[str, one_of("template", "task", "corpus")] = field(default="task", kw_only=True)

    name: ClassVar[str] = "qdit"

    @property
    def needs(self) -> tuple[Need, ...]:
        """Vectors and the column."""
        return VECTORS, Need(self.quality, "column")

    def seconds(
        self, sizes: NDArray[np.int64], dimensions: int, speed: Speed = NOMINAL
    ) -> NDArray[np.float64]:
        """Products of all pairs, and some looks at each."""
        pairs = sizes.astype(np.float64) ** 2
        looks = 4e-8 * pairs + 5e-5 * sizes
        return np.asarray(pairs * dimensions / speed.products + looks / speed.greedy + 1e-5)

    def memory(self, sizes: NDArray[np.int64], dimensions: int, threads: int) -> int:
        """The products, and what is put together of them at a time."""
        rows = min(int(sizes.max(initial=0)), MOST_ROWS)
        return rows * (4 * rows + 4 * max(1, dimensions) + 16_384 + 100) + (1 << 24)

    def rank(self, pool: Pool, *, threads: int) -> Order:
        """Each unit by itself. Rows that a model was trained on cover what they cover, and come
        first with a gain of 0.
        """
        quality = finite(pool.feature(self.quality), self.quality)

        def ranked(part: slice) -> Order:
            check_rows(part.stop - part.start, MOST_ROWS, self.name)
            near = products_of_pairs(pool.vectors[part])
            trained = trained_of(pool, part)
            return quality_and_cover(near, quality[part], self.alpha, self.scaled, trained)

        return one_by_one(pool, ranked)


def quality_and_cover(
    near: NDArray[np.int32],
    quality: NDArray[np.float64],
    alpha: float,
    scaled: bool,
    trained: NDArray[np.int64],
) -> Order:
    """Greedy over a matrix of products and a score of each row."""
    known = ~np.isnan(quality)
    worst = float(quality[known].min()) if known.any() else 0.0
    worth = np.where(known, quality, worst)
    covering = Covering(near, Best(np.zeros(len(near), dtype=np.int32)))
    unit = SCALE * SCALE
    if scaled:
        unit = float(max(1, covering.gains.max(initial=0)))
        reach = float(worth.max(initial=worst)) - worst
        worth = (worth - worst) / reach if reach > 0 else np.zeros(len(near))
    for row in trained.tolist():
        covering.add(row)
    left = np.ones(len(near), dtype=np.bool_)
    left[trained] = False
    order, gains = trained.tolist(), [0.0] * len(trained)
    while len(order) < len(near):
        gain = (1.0 - alpha) * (covering.gains / unit) + alpha * worth
        row = int(np.where(left, gain, -np.inf).argmax())
        order.append(row)
        gains.append(float(gain[row]))
        left[row] = False
        covering.add(row)
    return np.array(order, dtype=np.int32), np.array(gains)
