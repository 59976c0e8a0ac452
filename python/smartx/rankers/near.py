"""Near duplicates in a ranking: behind all other rows of their unit, each beside the row it is
near.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from smartx.engine import near_duplicates
from smartx.rankers.pool import Pool
from smartx.rankers.ranker import Order

# What the table of a ranking has besides, where near duplicates were looked for: the row_id of the
# row that stays instead, and the cosine of the two; null for a row that stays.
COLUMNS = pa.schema([("duplicate_of", pa.int64()), ("cosine", pa.float64())])


def set_apart(
    pool: Pool, ranked: Order, threshold: float, *, threads: int
) -> tuple[Order, list[pa.Array]]:
    """The order and gains with the near duplicates of each unit last, and COLUMNS beside them.

    ranked: order and gains as a ranker gave them. Both kinds of rows keep that order.
    """
    order, gains = ranked
    found = near_duplicates(pool.vectors, pool.sizes, order, threshold, threads=threads)
    stays, begins = found.origin < 0, pool.begins()
    origin = begins + np.where(stays, 0, found.origin)
    instead = pool.row_ids[begins + order[origin]]
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
