"""A unit that is ranked in parts, of which one at a time is in memory; anybody may make a part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from smartx.errors import InputError
from smartx.needs import Feature
from smartx.rankers.parts import Ordered, part_sizes, taken
from smartx.rankers.pool import Pool
from smartx.rankers.ranker import Order
from smartx.rankers.submodular import SubmodularRanker

MadeParts = Callable[["LargeUnit", int], Ordered]
"""Ranks a part, or reads it: row ids, best first, and gains."""


@dataclass(frozen=True, eq=False)
class LargeUnit:
    """A unit of a ranking. pool: its rows, without what is known of them.  feature: their vectors.

    number: of the unit.
    """

    number: int
    ranker: SubmodularRanker
    pool: Pool
    feature: Feature
    threads: int

    @property
    def count(self) -> int:
        """How many parts it has."""
        return self.ranker.parts(len(self.pool))

    def rows_of_part(self, part: int) -> int:
        """How many rows a part has."""
        return int(part_sizes(len(self.pool), self.count)[part])

    @cached_property
    def part(self) -> NDArray[np.int32]:
        """(n,) the part of each row."""
        return self.ranker.cut(self._vectors, self.pool.row_ids, self.threads)

    def ranked(self, part: int) -> Ordered:
        """Row ids of a part, best first, and gains."""
        places = np.flatnonzero(self.part == part)
        rows = taken(self._vectors, places, len(self.pool))
        trained = None if self.pool.trained is None else self.pool.trained[places]
        order, gains = self.ranker.rank_part(rows, trained, self.threads)
        return self.pool.row_ids[places[order]], gains

    def joined(self, made: MadeParts) -> Order:
        """Places of all rows in the pool, best first, and gains."""
        parts = []
        for number in range(self.count):
            ids, gains = made(self, number)
            parts.append((np.searchsorted(self.pool.row_ids, ids), gains))
        pool, rows = self.pool, np.sort(np.concatenate([order for order, _ in parts]))
        if not np.array_equal(rows, np.arange(len(pool))):
            raise InputError("its parts do not have each row once", place=f"unit {self.number}")
        order, gains = self.ranker.join(
            parts, self._vectors, pool.trained, pool.templates, self.threads
        )
        return order.astype(np.int32), gains

    def _vectors(self, start: int, stop: int) -> NDArray[np.int16]:
        """Vectors of the rows at places start..stop-1 of the pool."""
        ids = self.pool.row_ids[start:stop]
        low, high = int(ids[0]), int(ids[-1]) + 1
        rows: NDArray[np.int16] = self.feature.rows(low, high)
        return rows if len(ids) == high - low else rows[ids - low]


def by_itself(unit: LargeUnit, part: int) -> Ordered:
    """A part that nobody keeps."""
    return unit.ranked(part)
