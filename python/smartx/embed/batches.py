"""Which texts are encoded together: those of one length, so that none changes another's vector."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray


def batches(
    lengths: NDArray[np.int64], max_tokens: int, max_rows: int
) -> Iterator[NDArray[np.int64]]:
    """Split rows 0..n-1 into batches of one length, longest first, inside a batch in order.

    lengths: (n,) padded tokens of each text, at least 1.
    A batch has at most max_rows rows and max_tokens tokens; a longer text goes alone. The longest
    come first, so that a batch too large for the memory fails at the start.
    """
    order = np.argsort(-lengths, kind="stable")
    ordered = lengths[order]
    ends = np.append(np.flatnonzero(np.diff(ordered)) + 1, len(order))
    start = 0
    for end in ends.tolist():
        most = rows_of(int(ordered[start]), max_tokens, max_rows)
        while start < end:
            rows = min(most, end - start)
            yield order[start : start + rows]
            start += rows


def rows_of(length: int, max_tokens: int, max_rows: int) -> int:
    """Rows of a full batch of texts of one length."""
    return max(1, min(max_rows, max_tokens // length))
