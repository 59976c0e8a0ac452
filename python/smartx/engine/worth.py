"""What a set of rows is worth under facility location, and what no set of that size surpasses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smartx import _core
from smartx.engine.fixed_point import as_rows
from smartx.engine.threads import resolve_threads


def facility_worth(
    rows: NDArray[np.int16], items: NDArray[np.int64], *, threads: int | None = None
) -> tuple[float, float]:
    """The sum over all rows of the largest cosine, at least 0, with one of `items`; and a bound.

    rows: (n, d) int16 Q12.  items: (k,) places, without repeats.
    The bound is the value and the k largest gains that rows outside could still add: no k rows are
    worth more. Cosines are those of the dense kernel, to 16 bits. Both are 0 for no items.
    Time: n (n + k) products, without keeping any.
    """
    count = resolve_threads(threads)
    if not len(items):
        return 0.0, 0.0
    rows = as_rows(rows, name="rows", threads=count)
    places = np.ascontiguousarray(items, dtype=np.int32)
    value, gap = _core.dense_worth(rows, places, count)
    return value, value + gap
