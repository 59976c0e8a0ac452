"""The best rows that are not near better ones, as DEITA has it.

    score = complexity times quality; rows by falling score
    a row is accepted unless its cosine with an accepted row is above `near`
Source: Liu et al. 2024 (DEITA, arXiv 2312.15685), selection/filter/base.py and combined_filter.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from smartx.engine import (
    NOMINAL,
    Speed,
    near_duplicate_bytes,
    near_duplicate_seconds,
    near_duplicates,
)
from smartx.needs import VECTORS, Need
from smartx.options import number, one_of
from smartx.rankers.by_score import by_score
from smartx.rankers.one_by_one import finite
from smartx.rankers.pool import Pool
from smartx.rankers.ranker import Order, Ranker


@dataclass(frozen=True)
class DeitaRanker(Ranker):
    """The best by complexity times quality that are not near better ones, then the others.

    complexity, quality: columns of numbers; of a conversation the sum of its turns' products
    belongs in one, and 1 in the other. A row without a number comes last in its part.
    near: cosine from which rows are too near, to the millionth.
    Published: which rows are accepted, and in which order; there a cosine just at `near` is not yet
    too near. Ours: the rest follows.
    """

    complexity: str = "complexity"
    quality: str = "quality"
    near: Annotated[float, number(1e-6, 1)] = 0.9
    per: Annotated[str, one_of("template", "task", "corpus")] = field(default="task", kw_only=True)

    name: ClassVar[str] = "deita"

    @property
    def needs(self) -> tuple[Need, ...]:
        """Vectors and both columns."""
        return VECTORS, Need(self.complexity, "column"), Need(self.quality, "column")

    def seconds(
        self, sizes: NDArray[np.int64], dimensions: int, speed: Speed = NOMINAL
    ) -> NDArray[np.float64]:
        """As looking for near duplicates."""
        looked = near_duplicate_seconds(sizes, max(1, dimensions), speed.products)
        return np.asarray(looked + 1e-6 / speed.greedy * sizes + 1e-6, dtype=np.float64)

    def memory(self, sizes: NDArray[np.int64], dimensions: int, threads: int) -> int:
        """As looking for near duplicates, some units side by side."""
        largest = int(sizes.max(initial=1))
        return max(1, threads) * near_duplicate_bytes(largest, max(1, dimensions))

    def rank(self, pool: Pool, *, threads: int) -> Order:
        """By score; ties go to the lower row. Raises InputError where a score is infinite."""
        scores = pool.feature(self.complexity) * pool.feature(self.quality)
        order, gains = by_score(pool, finite(scores, self.complexity))
        found = near_duplicates(pool.vectors, pool.sizes, order, self.near, threads=threads)
        unit = np.repeat(np.arange(len(pool.sizes)), pool.sizes)
        last = np.lexsort((found.origin >= 0, unit))  # stable
        return order[last], gains[last]
