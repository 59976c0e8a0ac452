"""Rows drawn by how empty their surroundings are: inverse propensity sampling.

    density of a row = mean over hashes of the part of all rows that share its cell
    rows are drawn one after another without repetition, each by 1 / density
A hash is floor((a . x + b) / width), a of independent numbers with variance 1: near rows share a
cell often. So the density is a kernel's, whose reach is about the width.
Source: Sachdeva et al. 2024 (How to train data-efficient LLMs, arXiv 2402.09668), algorithm 2;
Datar et al. 2004 for the hashes. The authors' code was never published.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from smartx.draws import DENSITY_HASHES, DENSITY_ROWS, draws, draws_at
from smartx.engine import NOMINAL, SCALE, Speed
from smartx.options import number, one_of, whole
from smartx.rankers.exponentials import exponentials
from smartx.rankers.one_by_one import one_by_one
from smartx.rankers.pool import Pool
from smartx.rankers.ranker import Order, Ranker

_TOGETHER = 64  # hashes
_BITS = 64  # of a draw: their sum less 32 has variance 16, and is nearly normal
_DEVIATION = 4.0


@dataclass(frozen=True)
class DensityRanker(Ranker):
    """By draws that prefer rows in empty surroundings: 1 / density, which are the gains.

    hashes: how many; 1,000 in the paper.  width: of their cells, where rows have length 1.
    seed: of the hashes and of the draws.
    Published: the sketch, and the draws. Ours: the width (the paper names none that fits vectors of
    this length), cells without collisions, and numbers of hashes that are sums of 64 coins and not
    normal, so that every product is exact.
    """

    hashes: Annotated[int, whole(1, 100_000)] = 1000
    width: Annotated[float, number(0.001, 10)] = 0.1
    seed: int = 0
    per: Annotated[str, one_of("template", "task", "corpus")] = field(default="task", kw_only=True)

    name: ClassVar[str] = "density"

    def seconds(
        self, sizes: NDArray[np.int64], dimensions: int, speed: Speed = NOMINAL
    ) -> NDArray[np.float64]:
        """Each row meets each hash."""
        row = (4e-11 * max(1, dimensions) + 1.5e-8) * self.hashes
        return np.asarray((row * sizes + 1e-6 * self.hashes) / speed.greedy, dtype=np.float64)

    def memory(self, sizes: NDArray[np.int64], dimensions: int, threads: int) -> int:
        """The rows as float64, and a block of cells."""
        rows = int(sizes.max(initial=0))
        hashes = self.hashes * max(1, dimensions) * 12 + (100 << 20)
        return rows * (8 * max(1, dimensions) + 40 * _TOGETHER) + hashes

    def rank(self, pool: Pool, *, threads: int) -> Order:
        """Each unit by itself."""
        coins = hashes_of(self.hashes, pool.vectors.shape[1], self.seed)
        starts = draws(self.seed, DENSITY_HASHES + 1, 0, self.hashes)
        offsets = (starts >> np.uint64(12)).astype(np.float64) * 2.0**-52  # of a width

        def ranked(part: slice) -> Order:
            weights = 1.0 / densities(pool.vectors[part], coins, offsets, self.width)
            races = exponentials(draws_at(self.seed, DENSITY_ROWS, pool.row_ids[part]))
            order = np.argsort(races / weights, kind="stable")
            return order.astype(np.int32), weights[order]

        return one_by_one(pool, ranked)


def hashes_of(count: int, dimensions: int, seed: int) -> NDArray[np.float32]:
    """(dimensions, count) whole numbers, sums of 64 coins less 32."""
    found = draws(seed, DENSITY_HASHES, 0, count * dimensions)
    bits = np.empty(len(found), dtype=np.float32)
    for start in range(0, len(found), 1 << 16):
        some = found[start : start + (1 << 16)].view(np.uint8)
        bits[start : start + (1 << 16)] = np.unpackbits(some).reshape(-1, _BITS).sum(axis=1)
    return np.asarray((bits - _BITS // 2).reshape(dimensions, count))


def densities(
    vectors: NDArray[np.int16],
    coins: NDArray[np.float32],
    offsets: NDArray[np.float64],
    width: float,
) -> NDArray[np.float64]:
    """(n,) the mean part of the rows that share a row's cell, itself among them.

    Products of rows and hashes are exact in any order as long as sums stay below 2^53.
    """
    wide, count = vectors.astype(np.float64), len(vectors)
    shared = np.zeros(count, dtype=np.int64)
    for start in range(0, coins.shape[1], _TOGETHER):
        some = slice(start, start + _TOGETHER)
        reach = wide @ coins[:, some].astype(np.float64)
        cells = np.floor(reach / (_DEVIATION * SCALE * width) + offsets[some]).astype(np.int64)
        cells -= cells.min(axis=0)
        span = int(cells.max()) + 1
        cells += span * np.arange(cells.shape[1])
        rows = np.bincount(cells.ravel(), minlength=span * cells.shape[1])
        shared += rows[cells].sum(axis=1)
    return np.asarray(shared / (float(count) * coins.shape[1]))
