"""Which texts are encoded together: like lengths, so that little padding is computed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray


def batches(
    lengths: NDArray[np.int64], max_tokens: int, max_rows: int
) -> Iterator[NDArray[np.int64]]:
    """Split rows 0..n-1 into batches, longest texts first, ties to the lower row.

    lengths: (n,) tokens of each text, at least 1.
    A batch has at most max_rows rows and, once padded, max_tokens tokens; a longer text goes alone.
    The longest come first, so that a batch too large for the memory fails at the start.
    """
    order = np.lexsort((np.arange(len(lengths)), -lengths))
    start = 0
    while start < len(order):
        rows = max(1, min(max_rows, max_tokens // int(lengths[order[start]])))
        yield order[start : start + rows]
        start += rows
