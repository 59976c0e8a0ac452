"""Q12: embedding rows as int16, so that every similarity is an exact integer (design section 4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smartx import _core
from smartx.errors import InputError

SCALE: float = _core.SCALE
"""Length of a unit row in Q12 units: 0.998 * 4096."""

MAX_NORM2: int = _core.MAX_NORM2
"""Largest sum of q**2 of a row, 2**24: the bound of every similarity."""

MAX_DIMENSIONS = 65_536


def quantize(X: ArrayLike, *, threads: int = 1) -> NDArray[np.int16]:
    """Scale every row to unit length and round it to Q12: round(0.998 * 4096 * x / |x|).

    X: (n, d) float32 or float64, any memory order. Lengths do not matter, directions do.
    Returns (n, d) int16 in C order, halves rounded to even. The same values give the same bits on
    every machine: the norm is summed in float64 in one fixed order. A row whose sum of q**2 would
    exceed 2**24 is truncated toward zero instead.
    Raises InputError if X is not a 2-D float array with rows and columns, or if a row holds NaN or
    infinity or has no length; the message names the first such rows.
    """
    rows, faults = _core.quantize(_float_matrix(X), threads)
    _raise_faults(faults, "X")
    return rows


def as_rows(X: ArrayLike, *, name: str = "X", threads: int = 1) -> NDArray[np.int16]:
    """Q12 rows of whatever the caller has: floats are quantised, int16 must be Q12 already.

    X: (n, d) float32, float64 or int16.  name: the argument, for error messages.
    Returns (n, d) int16 in C order; an array that is already so is returned as it is.
    Raises InputError as quantize does, and if an int16 row is longer than Q12 rows are.
    """
    array = _native(X)
    if array.dtype != np.int16:
        rows, faults = _core.quantize(_float_matrix(array, name), threads)
        _raise_faults(faults, name)
        return rows
    rows = np.ascontiguousarray(_matrix(array, name))
    _raise_faults(_core.check_q12(rows, threads), name)
    return rows


def is_q12(rows: NDArray[Any]) -> bool:
    """Whether `rows` is an (n, d) int16 array whose every row is a Q12 row."""
    if rows.dtype != np.int16 or rows.ndim != 2 or 0 in rows.shape:
        return False
    return not _core.check_q12(np.ascontiguousarray(rows), 1)[0]


def sum_rows(rows: NDArray[np.int16]) -> NDArray[np.int64]:
    """The exact sum of (n, d) int16 rows: (d,) int64. No rows give zeros."""
    if rows.dtype != np.int16 or rows.ndim != 2:
        raise InputError(f"expected (n, d) int16 rows, got {_described(rows)}", place="rows")
    return _core.sum_rows(np.ascontiguousarray(rows))


def _float_matrix(X: ArrayLike, name: str = "X") -> NDArray[np.float32] | NDArray[np.float64]:
    array = _native(X)
    if array.dtype == np.float16:
        array = array.astype(np.float32)  # exact
    if array.dtype not in (np.float32, np.float64):
        raise InputError(
            f"expected float32 or float64 rows, got {_described(array)}",
            place=name,
            fix="pass embeddings as floats (X.astype(numpy.float32)) or as int16 Q12 rows",
        )
    rows = np.ascontiguousarray(_matrix(array, name))
    return cast("NDArray[np.float32] | NDArray[np.float64]", rows)


def _native(X: ArrayLike) -> NDArray[Any]:
    """X as an array in this machine's byte order."""
    array = np.asarray(X)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _matrix(array: NDArray[Any], name: str) -> NDArray[Any]:
    if array.ndim != 2:
        raise InputError(
            f"expected 2 dimensions (rows, values), got {_described(array)}",
            place=name,
            fix="pass one embedding as X[None, :]" if array.ndim == 1 else "",
        )
    if 0 in array.shape:
        raise InputError(f"there is nothing in an array of {_described(array)}", place=name)
    if array.shape[1] > MAX_DIMENSIONS:
        raise InputError(
            f"{array.shape[1]} values in a row; at most {MAX_DIMENSIONS} are supported",
            place=name,
            fix="pass one embedding per row (transpose?)",
        )
    return array


def _described(array: NDArray[Any]) -> str:
    return f"shape {array.shape}, dtype {array.dtype}"


def _raise_faults(faults: tuple[str, int, Sequence[int]], name: str) -> None:
    kind, count, first = faults
    if not kind:
        return
    rows = f"row {first[0]}" if count == 1 else "rows " + ", ".join(map(str, first))
    if count > len(first):
        rows += ", ..."
    total = f" ({count} in all)" if count > 1 else ""
    are = "is" if count == 1 else "are"
    have = "has" if count == 1 else "have"
    fault, fix = {
        "not finite": (
            f"{rows} {are} not finite{total}",
            "remove or repair the rows with NaN or infinity",
        ),
        "zero": (
            f"{rows} {have} zero length{total}",
            "remove them: a zero vector has no direction, so no similarity",
        ),
        "too long": (
            f"{rows} {are} longer than Q12 rows: the sum of squares exceeds 2**24{total}",
            "pass the float embeddings, or what smartx.quantize gave",
        ),
    }[kind]
    raise InputError(fault, place=name, fix=fix)
