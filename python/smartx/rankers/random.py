"""Rows in random order: what the baselines use, and what every other ranker has to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from smartx.draws import ROW_ORDER, draws_at
from smartx.engine import NOMINAL, Speed
from smartx.needs import Need
from smartx.rankers.pool import Pool
from smartx.rankers.ranker import Order, Ranker


@dataclass(frozen=True)
class RandomRanker(Ranker):
    """The order of a draw for each row id. It claims no gain: every gain is 0."""

    seed: int = 0

    name: ClassVar[str] = "random"

    @property
    def needs(self) -> tuple[Need, ...]:
        """Nothing."""
        return ()

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

    def rank(self, pool: Pool, *, threads: int) -> Order:
        """Lowest draw first; equal draws by row."""
        unit = np.repeat(np.arange(len(pool.sizes)), pool.sizes)
        keys = draws_at(self.seed, ROW_ORDER, pool.row_ids)
        order = np.lexsort((keys, unit))  # stable, so ties keep the order of the rows
        return (order - pool.begins()).astype(np.int32), np.zeros(len(pool))
