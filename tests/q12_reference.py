"""Q12 in plain Python and int64 numpy, to hold the fixed-point core against. Imports no smartx."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SCALE = 0.998 * 4096.0


def quantized_row(x: Sequence[float]) -> list[int]:
    """One row by the letter: prescale, 8-lane norm, half to even, truncate if too long."""
    exponent = max(-1000, min(1000, math.frexp(max(abs(v) for v in x))[1] - 1))
    near_one = [math.ldexp(v, -exponent) for v in x]
    lanes = [0.0] * 8
    for place, value in enumerate(near_one):
        lanes[place % 8] += value * value
    a, b, c, d, e, f, g, h = lanes
    norm = math.sqrt(((a + e) + (c + g)) + ((b + f) + (d + h)))
    scaled = [SCALE * (value / norm) for value in near_one]
    rounded = [round(value) for value in scaled]  # Python rounds half to even
    if sum(q * q for q in rounded) <= 2**24:
        return rounded
    return [math.trunc(value) for value in scaled]


def similarities(a: NDArray[np.int16], b: NDArray[np.int16]) -> NDArray[np.int64]:
    """All dot products, in float64, which holds integers up to 2**53 and so every partial sum."""
    return (a.astype(np.float64) @ b.astype(np.float64).T).astype(np.int64)


def nearest(rows: NDArray[np.int16], k: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The k nearest others of every row by a stable sort: ties to the lower row."""
    kernel = similarities(rows, rows)
    np.fill_diagonal(kernel, np.iinfo(np.int64).min)
    order = np.argsort(-(kernel + 1), axis=1, kind="stable")[:, : min(k, len(rows) - 1)]
    return order, np.take_along_axis(kernel, order, axis=1)


def kernel16(rows: NDArray[np.int16]) -> NDArray[np.int64]:
    """The dense 16-bit kernel: negatives become 0, 8 bits are rounded off, at most 65535."""
    return np.minimum(65535, (np.maximum(0, similarities(rows, rows)) + 128) >> 8)


def random_rows(n: int, d: int, seed: int) -> NDArray[np.int16]:
    """Clustered Q12 rows, made without the code under test: rounding errors of both signs keep such
    rows from the bound.
    """
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(1 + n // 20, d))
    x = centres[rng.integers(0, len(centres), n)] + 0.5 * rng.normal(size=(n, d))
    return np.rint(x / np.linalg.norm(x, axis=1, keepdims=True) * SCALE).astype(np.int16)


def extreme_rows(n: int, d: int) -> NDArray[np.int16]:
    """Rows at the edge of the bound: one-hot of either sign, equal values, alternating signs."""
    one_hot = np.zeros((n, d), dtype=np.int16)
    one_hot[np.arange(n), np.arange(n) % d] = np.where(np.arange(n) % 3 == 0, -4096, 4096)
    level = math.isqrt(2**24 // d)
    one_hot[1::4] = level
    one_hot[2::4] = level * (1 - 2 * (np.arange(d) % 2))
    one_hot[7::8] = -level
    return one_hot
