"""Rows in random order: what the baselines use, and what every other ranker has to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from smartx.draws import ROW_ORDER, draws
from smartx.engine import NOMINAL, Speed
from smartx.rankers.ranker import Ranker


@dataclass(frozen=True)
class RandomRanker(Ranker):
    """The order of a draw for each row id. It claims no gain: every gain is 0."""

    seed: int = 0

    name: ClassVar[str] = "random"
    needs_embeddings: ClassVar[bool] = False

    def seconds(
        self, sizes: NDArray[np.int64], dimensions: int, speed: Speed = NOMINAL
    ) -> NDArray[np.float64]:
        """Drawing and sorting."""
        return np.asarray(3e-7 / speed.greedy * sizes, dtype=np.float64)

    def memory(self, sizes: NDArray[np.int64], dimensions: int, threads: int) -> int:
        """The draws, and what sorts them."""
        return 64 * int(sizes.max(initial=0))

    def engine(self, rows: int) -> str:
        """There is one."""
        return "draws"

    def rank(
        self,
        rows: NDArray[np.int16] | None,
        sizes: NDArray[np.int64],
        first_row: int,
        *,
        threads: int,
    ) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Lowest draw first; equal draws by row."""
        count = int(sizes.sum())
        group = np.repeat(np.arange(len(sizes)), sizes)
        keys = draws(self.seed, ROW_ORDER, first_row, first_row + count)
        order = np.lexsort((keys, group))  # stable, so ties keep the order of the rows
        starts = np.repeat(np.cumsum(sizes) - sizes, sizes)
        return (order - starts).astype(np.int32), np.zeros(count)
