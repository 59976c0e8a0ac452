"""Near duplicates in a ranking: behind all other rows of their group, each beside the row it is
near.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from smartx.engine import near_duplicates

# What the table of a ranking has besides, where near duplicates were looked for: the row_id of the
# row that stays instead, and the cosine of the two; null for a row that stays.
COLUMNS = pa.schema([("duplicate_of", pa.int64()), ("cosine", pa.float64())])

Order = tuple[NDArray[np.int32], NDArray[np.float64]]


def set_apart(
    rows: NDArray[np.int16],
    sizes: NDArray[np.int64],
    ranked: Order,
    threshold: float,
    first_row: int,
    threads: int,
) -> tuple[Order, list[pa.Array]]:
    """The order and gains with the near duplicates of each group last, and COLUMNS beside them.

    rows: (n, d) int16 Q12, groups of `sizes` one after another, from row id `first_row` on.
    ranked: order and gains as a ranker gave them. Both kinds of rows keep that order.
    """
    order, gains = ranked
    found = near_duplicates(rows, sizes, order, threshold, threads=threads)
    stays = found.origin < 0
    begins = np.repeat(np.cumsum(sizes) - sizes, sizes)
    origin = begins + np.where(stays, 0, found.origin)
    instead = first_row + begins + order[origin]
    last = np.lexsort((~stays, begins))  # stable
    columns = [
        pa.array(values[last], field.type, mask=stays[last])
        for values, field in zip((instead, found.cosine), COLUMNS, strict=True)
    ]
    return (order[last], gains[last]), columns


def near_duplicates_line(rows: int, found: Mapping[str, Any]) -> str:
    """How many are left out, for a person. rows: looked at.  found: `threshold` and `rows`."""
    are = "row is a near duplicate" if found["rows"] == 1 else "rows are near duplicates"
    return f"{found['rows']:,} of {rows:,} {are} (cosine >= {found['threshold']:g}) and left out"
