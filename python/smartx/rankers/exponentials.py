"""Exponentially distributed numbers from draws, the same bits on every machine.

Rows in the order of number / weight are rows drawn one after another, each by its weight, without
repetition: the first is row i with probability weight_i / sum, and so on with what is left.
Source: Efraimidis and Spirakis 2006.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_TERMS = 20  # of the series; the last is below 2^-60 of the first
_LN_2 = 0.6931471805599453


def exponentials(draws: NDArray[np.uint64]) -> NDArray[np.float64]:
    """-ln u > 0 of u = (k + 1/2) / 2^52, k the upper 52 bits of a draw.

    By ln m = 2 (s + s^3 / 3 + s^5 / 5 + ...), s = (m - 1) / (m + 1): each step has one right answer
    by IEEE 754. What libraries call log has not, and a last bit could change an order.
    """
    u = ((draws >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52
    mantissa, exponent = np.frexp(u)
    s = (mantissa - 1.0) / (mantissa + 1.0)
    square, series = s * s, np.zeros(len(u))
    for term in range(_TERMS, -1, -1):
        series = series * square + 1.0 / (2 * term + 1)
    logarithm: NDArray[np.float64] = exponent * _LN_2 + 2.0 * s * series
    return -logarithm
