"""Near duplicates in a ranking: behind all other rows of their unit, each beside the row it is
near.

They are looked for among the rows of a unit, or more widely: within tasks, or within the corpus.
Of two near rows the better-ranked one stays. Ranks of several units are compared by the part of
its unit that a row stands behind; where that is equal, the lower row stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from smartx.engine import near_duplicate_seconds, near_duplicates
from smartx.errors import InputError
from smartx.progress import duration
from smartx.rankers.pool import Pool
from smartx.rankers.ranker import Order

# What the table of a ranking has besides, where near duplicates were looked for: the row_id of the
# row that stays instead, and the cosine of the two; null for a row that stays.
COLUMNS = pa.schema([("duplicate_of", pa.int64()), ("cosine", pa.float64())])
WITHIN = ("template", "task", "corpus")
MOST_ROWS = 1 << 22  # of a corpus that are compared with each other: 5 hours of a thread


def set_apart(
    pool: Pool,
    ranked: Order,
    threshold: float,
    *,
    within: NDArray[np.int64] | None = None,
    threads: int,
) -> tuple[Order, list[pa.Array]]:
    """The order and gains with the near duplicates of each unit last, and COLUMNS beside them.

    ranked: order and gains as a ranker gave them. Both kinds of rows keep that order.
    within: (w,) int64, how many adjacent rows of the pool are compared with each other, summing to
    n; they are parts of units or hold whole ones. None: the units.
    Rows that a model was trained on come before all others, so what is near one is left out; they
    are near duplicates of nobody.
    """
    order, gains = ranked
    begins = pool.begins()
    rows = begins + order
    sizes = pool.sizes if within is None else within
    if within is not None or pool.trained is not None:
        rows = rows[_merged(pool, rows, sizes)]
    own = np.repeat(np.cumsum(sizes) - sizes, sizes)  # where the rows begin that each row meets
    places = (rows - own).astype(np.int32)
    found = near_duplicates(pool.vectors, sizes, places, threshold, threads=threads)
    origin, cosine = np.full(len(pool), -1, dtype=np.int64), np.zeros(len(pool))
    origin[rows] = np.where(found.origin < 0, -1, pool.row_ids[rows[own + found.origin]])
    cosine[rows] = found.cosine
    if pool.trained is not None:
        origin[pool.trained] = -1
    ranked_rows = begins + order
    last = np.lexsort((origin[ranked_rows] >= 0, begins))  # stable
    moved = ranked_rows[last]
    columns = [
        pa.array(values[moved], field.type, mask=origin[moved] < 0)
        for values, field in zip((origin, cosine), COLUMNS, strict=True)
    ]
    return (order[last], gains[last]), columns


def _merged(pool: Pool, rows: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """In which order rows meet, as places in `rows`, part after part.

    rows: (n,) places in the pool, ranked, unit after unit.  sizes: of the parts.
    """
    behind = (np.arange(len(rows)) - pool.begins()) / np.repeat(pool.sizes, pool.sizes)
    later = np.zeros(len(rows), np.bool_) if pool.trained is None else ~pool.trained[rows]
    part = np.searchsorted(np.cumsum(sizes), rows, side="right")
    return np.lexsort((rows, behind, later, part))


def check_within(rows: int, dimensions: int, within: str) -> None:
    """Raise InputError where a corpus has too many rows to compare each with each."""
    if within == "corpus" and rows > MOST_ROWS:
        seconds = near_duplicate_seconds(np.array([rows]), max(1, dimensions))
        raise InputError(
            f"{rows:,} rows would be compared with each other, which takes a thread about "
            f"{duration(float(seconds[0]))} (at most {MOST_ROWS:,} rows are)",
            place="near_duplicates_within",
            fix="compare the rows of each task: `near_duplicates_within` task",
        )


def near_duplicates_line(rows: int, found: Mapping[str, Any]) -> str:
    """How many are left out, for a person. rows: looked at.  found: `threshold` and `rows`, and
    `within`, where they were looked for in other parts than those that are ranked.
    """
    are = "row is a near duplicate" if found["rows"] == 1 else "rows are near duplicates"
    within = found.get("within")
    where = f", within the {within}" if within == "corpus" else f", within each {within}"
    how = f"cosine >= {found['threshold']:g}{where if within else ''}"
    return f"{found['rows']:,} of {rows:,} {are} ({how}) and left out"
