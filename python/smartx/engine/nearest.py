"""Which of a few centres each row is nearest to, by exact products."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smartx import _core
from smartx.engine.fixed_point import as_rows
from smartx.engine.threads import resolve_threads
from smartx.errors import InputError

_BLOCK_VALUES = 1 << 23  # similarities held at a time: 32 MiB


def nearest_centre(
    rows: NDArray[np.int16], centres: NDArray[np.int16], *, threads: int | None = None
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The centre with the largest product for each row, and that product.

    rows: (n, d) int16 Q12.  centres: (k, d) int16 Q12, k >= 1.
    Returns two (n,) int32; ties go to the lower centre. The products are whole numbers, so neither
    threads nor instruction set show.
    Raises InputError where either is not Q12 or they are not of equal width.
    """
    count = resolve_threads(threads)
    nearest, product = np.empty(len(rows), np.int32), np.empty(len(rows), np.int32)
    if not len(rows):
        return nearest, product
    rows = as_rows(rows, name="rows", threads=count)
    centres = as_rows(centres, name="centres", threads=count)
    if rows.shape[1] != centres.shape[1]:
        raise InputError(
            f"they have {centres.shape[1]} values, and the rows {rows.shape[1]}", place="centres"
        )
    block = max(1, _BLOCK_VALUES // len(centres))
    for start in range(0, len(rows), block):
        found = _core.similarities(rows[start : start + block], centres, threads=count)
        best = found.argmax(axis=1)
        nearest[start : start + block] = best
        product[start : start + block] = found[np.arange(len(found)), best]
    return nearest, product
