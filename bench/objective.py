"""The judge of all packages: f(S) in float64, from the vectors, by the formula."""

from __future__ import annotations

import numpy as np

PENALTY, RIDGE = 0.4, 1.0  # graph cut's lambda, log-det's
MOST_PRODUCTS = 5e11  # a facility-location value that needs more is left out
_BLOCK = 2048


def prefix_values(function, vectors, items, lengths):
    """f of the first `lengths` (ascending) of items: a float each, None where it costs too much."""
    rows = vectors.astype(np.float64)
    items = np.asarray(items, dtype=np.int64)
    if function == "fl":
        return _facility_location(rows, items, lengths)
    if function == "gc":
        total = rows.sum(axis=0)
        sums = [rows[items[:length]].sum(axis=0) for length in lengths]
        return [float(s @ total - PENALTY * (s @ s)) for s in sums]
    # log det(K_S + r I) = |S| log r + log det(I_d + X_S' X_S / r)
    return [
        float(
            length * np.log(RIDGE)
            + np.linalg.slogdet(
                np.eye(rows.shape[1]) + rows[items[:length]].T @ rows[items[:length]] / RIDGE
            )[1]
        )
        for length in lengths
    ]


def _facility_location(rows, items, lengths):
    n, d = rows.shape
    kept = [length for length in lengths if n * length * d <= MOST_PRODUCTS]
    values = np.zeros(len(kept))
    for start in range(0, n, _BLOCK):
        block = rows[start : start + _BLOCK]
        best, done = np.zeros(len(block)), 0
        for place, length in enumerate(kept):
            for first in range(done, length, _BLOCK):
                some = rows[items[first : min(first + _BLOCK, length)]]
                np.maximum(best, (block @ some.T).max(axis=1), out=best)
            done = length
            values[place] += best.sum()
    return [*values.tolist(), *[None] * (len(lengths) - len(kept))]


def judged(function, vectors, items):
    """Lengths 1 %, 10 % and all of the items, and f of those prefixes."""
    lengths = sorted({max(1, len(items) // 100), max(1, len(items) // 10), len(items)})
    return {"lengths": lengths, "values": prefix_values(function, vectors, items, lengths)}
