"""Which row of a choice is nearest to each of some queries, for very many choices from one pool.

The nearest rows of the whole pool are listed once, nearest first. The first of them that is in a
choice is the nearest row of that choice, so a choice costs a few look-ups a query and no product.
Where a list is too short to meet the choice, the products with it are made after all.

Products of Q12 rows are whole numbers of at most 2^24: float32 holds them and all their partial
sums, so that any library multiplies them to the same bits, in any order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

QUERIES = 256  # rows of one product,
COLUMNS = 32_768  # and rows of the pool that they are multiplied with at a time
LIST_BYTES = 1 << 26  # of all lists together
SHORTEST, LONGEST = 64, 2_048  # rows in a list
CHUNK = 16_384  # rows read at a time
_NAME_BITS = 32  # of a key: a product, and below it the row that it is with

IntVector = NDArray[np.int64]


class Rows(Protocol):
    """Anything that holds a Q12 row for each row of a corpus."""

    def rows(self, start: int, stop: int) -> NDArray[np.int16]:
        """(stop - start, d) int16, rows start..stop-1."""


def taken(read: Callable[[int, int], NDArray[Any]], row_ids: IntVector) -> NDArray[Any]:
    """What rows of any ids have, in that order; reads only where they lie, a chunk at a time."""
    order = np.argsort(row_ids, kind="stable")
    rising = row_ids[order]
    cuts = np.flatnonzero(np.diff(rising // CHUNK)) + 1
    pieces = [
        read(int(part[0]), int(part[-1]) + 1)[part - part[0]]
        for part in np.split(rising, cuts)
        if len(part)
    ]
    if not pieces:
        return read(0, 0)
    found = np.empty((len(row_ids), *pieces[0].shape[1:]), dtype=pieces[0].dtype)
    found[order] = np.concatenate(pieces)
    return found


@dataclass(frozen=True, eq=False)
class NearLists:
    """The nearest rows of a pool to each query, nearest first; of equal ones the lower row.

    queries: (q, d) int16 Q12.  row_ids: (q, l) int64.  products: (q, l) int32, Q12 products.
    read: the rows that a choice may be of.
    """

    queries: NDArray[np.int16]
    row_ids: IntVector
    products: NDArray[np.int32]
    read: Rows

    def nearest(self, chosen: NDArray[np.bool_]) -> tuple[IntVector, NDArray[np.int32]]:
        """The nearest chosen row to each query, and the product with it.

        chosen: (n,) bool over the rows of the corpus; at least one is, and only rows of the pool.
        """
        place = self._first_hits(chosen)
        there = np.maximum(place, 0)[:, np.newaxis]
        row_ids = np.take_along_axis(self.row_ids, there, axis=1)[:, 0]
        products = np.take_along_axis(self.products, there, axis=1)[:, 0]
        missed = np.flatnonzero(place < 0)
        if len(missed):
            all_of_them = np.flatnonzero(chosen).astype(np.int64)
            found = near_lists(self.queries[missed], self.read, all_of_them, length=1)
            row_ids[missed], products[missed] = found.row_ids[:, 0], found.products[:, 0]
        return row_ids, products

    def _first_hits(self, chosen: NDArray[np.bool_]) -> IntVector:
        """(q,) where each list first has a chosen row; -1 where it has none."""
        place = np.full(len(self.row_ids), -1, dtype=np.int64)
        left, start, width = np.arange(len(place)), 0, 8
        while len(left) and start < self.row_ids.shape[1]:
            hits = chosen[self.row_ids[left, start : start + width]]
            found = hits.any(axis=1)
            place[left[found]] = start + hits[found].argmax(axis=1)
            left, start, width = left[~found], start + width, 2 * width
        return place


def list_length(queries: int, pool: int) -> int:
    """How many rows a list holds: as many as fit LIST_BYTES, within bounds, and within the pool."""
    fitting = LIST_BYTES // (12 * max(1, queries))
    return min(pool, max(SHORTEST, min(LONGEST, fitting)))


def near_lists(
    queries: NDArray[np.int16], rows: Rows, pool: IntVector, *, length: int | None = None
) -> NearLists:
    """The lists of `queries` over the rows `pool` (rising row ids, at least one) of `rows`.

    Memory: the lists twice, and a product of QUERIES x COLUMNS.
    """
    length = min(length or list_length(len(queries), len(pool)), len(pool))
    left = queries.astype(np.float32)
    ids = np.empty((len(queries), 0), dtype=np.int64)
    products = np.empty((len(queries), 0), dtype=np.int32)
    for start in range(0, len(pool), COLUMNS):
        block = pool[start : start + COLUMNS]
        right = np.ascontiguousarray(taken(rows.rows, block).astype(np.float32).T)
        width = min(length, products.shape[1] + len(block))
        more_ids = np.empty((len(queries), width), dtype=np.int64)
        more = np.empty((len(queries), width), dtype=np.int32)
        for first in range(0, len(queries), QUERIES):
            part = slice(first, first + QUERIES)
            dots = left[part] @ right
            names = np.broadcast_to(block, dots.shape)
            if start:
                dots = np.concatenate([products[part].astype(np.float32), dots], axis=1)
                names = np.concatenate([ids[part], names], axis=1)
            more_ids[part], more[part] = _largest(names, dots, width)
        ids, products = more_ids, more
    return NearLists(queries, ids, products, rows)


def _largest(
    names: NDArray[np.int64], dots: NDArray[np.float32], width: int
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """The `width` largest of each row with their names, largest first; of equal ones the lower
    name. names: below 2^32.
    """
    last = dots.shape[1] - width
    least = np.partition(dots, last, axis=1)[:, last : last + 1]
    row, column = np.nonzero(dots >= least)
    keys = (-dots[row, column].astype(np.int64) << _NAME_BITS) + names[row, column]
    often = np.bincount(row, minlength=len(dots))
    place = np.arange(len(row)) - np.repeat(np.cumsum(often) - often, often)
    table = np.full((len(dots), int(often.max(initial=0))), np.iinfo(np.int64).max)
    table[row, place] = keys
    table.sort(axis=1)
    kept = table[:, :width]
    return kept & ((1 << _NAME_BITS) - 1), -(kept >> _NAME_BITS).astype(np.int32)
