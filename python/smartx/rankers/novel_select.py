"""The row that is newest beside those chosen so far, as NovelSelect has it.

    novelty of row i = mean over chosen rows j of (1 - cos_ij) (dens_i + dens_j) / rank_ij
rank_ij: place of j among the chosen rows by (1 - cos_ij) (dens_i + dens_j), the least first;
dens: 1 / sqrt(mean squared distance to the ten nearest different rows + 1e-9)
Source: Yang et al. 2025 (NovelSum, arXiv 2502.17184), novelselect.py and utils.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from smartx.engine import NOMINAL, SCALE, Speed
from smartx.options import whole
from smartx.rankers.k_center import most_central
from smartx.rankers.one_by_one import check_rows, one_by_one
from smartx.rankers.pool import Pool
from smartx.rankers.ranker import Order, Ranker

MOST_ROWS = 16_384  # of a unit: each step looks at all rows and their nearest chosen ones
REGULAR = 1e-9
_BLOCK_ROWS = 2048
_UNIT = SCALE * SCALE
_FAR = 2.0**28  # above any weighted distance, in whole numbers,
_SHARE = 2.0**20  # and what one of the first rank counts: sums below 2^53 are exact


@dataclass(frozen=True)
class NovelSelectRanker(Ranker):
    """The row that is newest beside those before it first; gains are the novelties.

    neighbours: nearest rows by which density goes.
    depth: so many of the chosen rows count for a row, those of the lowest ranks. Up to that many
    rows of a unit it is the published order; beyond, what far rows add is left out.
    The most central row begins (see k-center), and has the gain 0; published is a random one. Ours
    are also `depth` and exact numbers: published is half precision.
    Units above MOST_ROWS rows are refused: it takes rows^2 times `depth` steps.
    """

    neighbours: Annotated[int, whole(1, 1000)] = 10
    depth: Annotated[int, whole(1, MOST_ROWS)] = 256

    name: ClassVar[str] = "novel-select"

    def seconds(
        self, sizes: NDArray[np.int64], dimensions: int, speed: Speed = NOMINAL
    ) -> NDArray[np.float64]:
        """In each step all rows that are left meet the chosen ones that count."""
        rows = sizes.astype(np.float64)
        pairs = (1e-10 * max(1, dimensions) + 2e-8) * rows * rows
        steps = 1.2e-9 * np.minimum(rows, self.depth) * rows * rows
        return np.asarray((pairs + steps + 1e-4 * rows) / speed.greedy, dtype=np.float64)

    def memory(self, sizes: NDArray[np.int64], dimensions: int, threads: int) -> int:
        """The nearest chosen rows of each row, twice, and a block of products."""
        rows = min(int(sizes.max(initial=0)), MOST_ROWS)
        held = 24 * min(rows, self.depth) + 12 * max(1, dimensions) + 12 * _BLOCK_ROWS
        return rows * held

    def rank(self, pool: Pool, *, threads: int) -> Order:
        """Each unit by itself."""

        def ranked(part: slice) -> Order:
            check_rows(part.stop - part.start, MOST_ROWS, self.name)
            vectors = pool.vectors[part]
            dense = densities(vectors, self.neighbours)
            return newest_first(vectors, dense, self.depth, most_central(vectors))

        return one_by_one(pool, ranked)


def densities(vectors: NDArray[np.int16], neighbours: int) -> NDArray[np.float64]:
    """(n,) the density of each row. Squared distances are whole numbers, and their sums exact."""
    different = np.unique(vectors, axis=0).astype(np.float32)
    count = min(neighbours, len(different) - 1)
    if count < 1:
        return np.ones(len(vectors))
    wide = vectors.astype(np.float32)
    own = np.einsum("ij,ij->i", wide, wide).astype(np.float64)
    others = np.einsum("ij,ij->i", different, different).astype(np.float64)
    found = np.empty(len(vectors))
    for start in range(0, len(vectors), _BLOCK_ROWS):
        some = slice(start, start + _BLOCK_ROWS)
        far = own[some, None] + others - 2.0 * (wide[some] @ different.T)
        nearest = np.partition(far, count, axis=1)[:, : count + 1]  # itself is one, at 0
        found[some] = nearest.sum(axis=1) / (count * _UNIT)
    return 1.0 / np.sqrt(found + REGULAR)


def newest_first(
    vectors: NDArray[np.int16], dense: NDArray[np.float64], depth: int, start: int
) -> Order:
    """The order of one unit that begins with the row `start`.

    Weighted distances are put on a grid of whole numbers, as are the parts by which ranks count, so
    that sums are the same in any order.
    """
    wide, count = vectors.astype(np.float32), len(vectors)
    norms = np.einsum("ij,ij->i", wide, wide).astype(np.float64)
    grid = _FAR / (4.0 * float(dense.max()))
    shares = np.rint(_SHARE / np.arange(1, min(depth, count) + 1))
    ranks = _Ranks(len(shares), count)
    left, open_ = np.arange(count), np.ones(count, dtype=np.bool_)
    order, gains = [start], [0.0]
    for chosen in range(1, count):
        row = order[-1]
        open_[np.searchsorted(left, row)] = False
        if 4 * int(open_.sum()) < 3 * len(left):  # chosen rows are dropped now and then
            ranks.keep(open_)
            left, open_ = left[open_], np.ones(int(open_.sum()), dtype=np.bool_)
        near = (wide[left] @ wide[row]).astype(np.float64) / np.sqrt(norms[left] * norms[row])
        far = np.rint(np.maximum(0.0, 1.0 - near) * (dense[left] + dense[row]) * grid)
        nearest = ranks.with_one_more(far)
        novelty = np.where(open_, shares[: len(nearest)] @ nearest, -1.0)
        best = int(novelty.argmax())
        order.append(int(left[best]))
        gains.append(float(novelty[best]) / (grid * _SHARE * chosen))
    return np.array(order, dtype=np.int32), np.array(gains)


class _Ranks:
    """Weighted distances of rows to the chosen ones by rank: a column for each row, rising."""

    def __init__(self, depth: int, rows: int) -> None:
        self._held, self._next = np.full((depth, rows), np.inf), np.full((depth, rows), np.inf)
        self._chosen = 0

    def with_one_more(self, far: NDArray[np.float64]) -> NDArray[np.float64]:
        """The distances that count after another row is chosen. far: (rows,) those to it.

        It moves what is above it up by one: each rank gets the least of its own and the new one, or
        the one below where that is more.
        """
        self._chosen = min(self._chosen + 1, len(self._held))
        old, new = self._held[: self._chosen], self._next[: self._chosen]
        np.minimum(old, far, out=new)
        np.maximum(old[:-1], new[1:], out=new[1:])
        self._held, self._next = self._next, self._held
        return new

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Drop the other columns."""
        self._held = np.ascontiguousarray(self._held[:, rows])
        self._next = np.full_like(self._held, np.inf)
