"""Query sets: tables of vectors of what a model should become good at, and how near rows are to
them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from smartx.engine import quantize
from smartx.errors import InputError
from smartx.needs import VECTORS, Need, names_of_features
from smartx.options import one_of
from smartx.rankers.directions import check_width
from smartx.rankers.pool import Pool
from smartx.rankers.ranker import Ranker

COSINE = float(1 << 24)  # the product of two Q12 rows that are equal, at most
MOST_BYTES = 4 << 30  # of similarities with queries, at 4 bytes each
TYPICAL_QUERIES = 1024  # for plans
_BLOCK_ROWS = 8192


@dataclass(frozen=True)
class QuerySetRanker(Ranker):
    """A ranker that looks at rows beside query sets.

    queries: tables of query vectors, by the encoder of the rows.
    """

    queries: Annotated[tuple[str, ...], names_of_features()] = ("queries",)
    per: Annotated[str, one_of("template", "task", "corpus")] = field(default="task", kw_only=True)

    @property
    def needs(self) -> tuple[Need, ...]:
        """Vectors, and those of the queries."""
        return (VECTORS, *(Need(name, "table") for name in self.queries))


def queries_of(pool: Pool, names: Sequence[str]) -> list[NDArray[np.int16]]:
    """The tables of these names, (q, d) int16 Q12 each.

    Raises InputError where one has other dimensions than the vectors, or a row without a length.
    """
    found = []
    for name in names:
        table = pool.feature(name)
        check_width(pool.vectors, table, (VECTORS.name, name))
        if not (np.isfinite(table).all() and table.any(axis=1).all()):
            raise InputError("a row is zero or not finite, so it has no direction", place=name)
        found.append(quantize(table))
    return found


def check_room(rows: int, queries: int) -> None:
    """Raise InputError where the similarities of so many rows with queries have no room."""
    if 4 * rows * queries > MOST_BYTES:
        raise InputError(
            f"{rows:,} rows by {queries:,} queries are more than {MOST_BYTES // 4:,} similarities",
            place="queries",
            fix="rank by task or template (`per`), or take fewer queries, such as cluster centres",
        )


def similarities(vectors: NDArray[np.int16], queries: NDArray[np.int16]) -> NDArray[np.float32]:
    """(n, q) float32, products of Q12 rows: whole numbers up to 2^24 in size, of which float32
    holds each, and each partial sum, in any order of summation.
    """
    found = np.empty((len(vectors), len(queries)), dtype=np.float32)
    right = queries.astype(np.float32).T
    for start in range(0, len(vectors), _BLOCK_ROWS):
        found[start : start + _BLOCK_ROWS] = (
            vectors[start : start + _BLOCK_ROWS].astype(np.float32) @ right
        )
    return found


def nearest(vectors: NDArray[np.int16], queries: NDArray[np.int16]) -> NDArray[np.float32]:
    """(n,) float32, the largest similarity of each row with a query; in blocks."""
    right = queries.astype(np.float32).T
    step = max(1, (1 << 24) // len(queries))
    found = np.empty(len(vectors), dtype=np.float32)
    for start in range(0, len(vectors), step):
        own: NDArray[Any] = vectors[start : start + step].astype(np.float32)
        found[start : start + step] = (own @ right).max(axis=1)
    return found
