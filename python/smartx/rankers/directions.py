"""Rows of any values as directions on a grid: their products are exact, so that sums in any order,
on any number of threads and any processor give the same bits, and equal rows tie.

A direction's entries are whole multiples of 2^-25. Products of two of these are multiples of 2^-50,
and sums of them stay below 1: float64 holds each on the way. Rounding an entry is as coarse as a
float32 is for numbers near 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartx.errors import InputError

GRID = 2.0**25
BLOCK_VALUES = 1 << 22  # of which float64 copies are held at a time


def directions(
    rows: NDArray[np.floating[Any]], *, name: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rows of length 1 on the grid, (n, d) float64, and the lengths that they had, (n,) float64.

    A row of zeros has no direction: it stays zero, and so do its products.  name: for messages.
    Raises InputError where a row is not finite.
    """
    x = np.asarray(rows, dtype=np.float64)
    peaks = np.abs(x).max(axis=1, initial=0.0)
    if not np.isfinite(peaks).all():
        row, total = int(np.argmin(np.isfinite(peaks))), int((~np.isfinite(peaks)).sum())
        raise InputError(f"row {row} is not finite ({total} such rows)", place=name)
    exponents = np.frexp(peaks)[1]
    x = np.ldexp(x, -exponents[:, None])
    near = np.rint(x * 2.0**23).astype(np.int64)
    lengths = np.sqrt(np.einsum("ij,ij->i", near, near).astype(np.float64)) * 2.0**-23
    unit = np.rint(x / np.where(lengths > 0, lengths, 1.0)[:, None] * GRID) / GRID
    return unit, np.ldexp(lengths, exponents)


def products(
    rows: NDArray[np.floating[Any]],
    table: NDArray[np.floating[Any]],
    *,
    names: tuple[str, str],
    cosines: bool,
) -> NDArray[np.float64]:
    """(n, q) float64, the product of each row with each row of a table; with `cosines`, of both at
    length 1.  names: of the two, for messages. Raises InputError where the widths are not equal.
    """
    check_width(rows, table, names)
    targets, reach = directions(table, name=names[1])
    found = np.empty((len(rows), len(table)))
    step = max(1, BLOCK_VALUES // max(1, rows.shape[1]))
    for start in range(0, len(rows), step):
        own, lengths = directions(rows[start : start + step], name=names[0])
        near = own @ targets.T
        found[start : start + step] = near if cosines else near * lengths[:, None] * reach
    return found


def check_width(rows: NDArray[Any], table: NDArray[Any], names: tuple[str, str]) -> None:
    """Raise InputError unless the rows and the table have as many values in a row, and the table
    has a row.
    """
    if not len(table):
        raise InputError("it has no rows", place=names[1])
    if table.shape[1] != rows.shape[1]:
        raise InputError(
            f"its rows have {table.shape[1]:,} values, and those of {names[0] or 'the vectors'} "
            f"have {rows.shape[1]:,}",
            place=names[1],
            fix="both must come from the same model, in the same way",
        )
