"""Q12: embedding rows as int16, so that every similarity is an exact integer (design section 4)."""

from __future__ import annotations

import math
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
_ROWS_AT_ONCE = 512  # whose squares are summed while they are in the cache


def quantize(X: ArrayLike, *, threads: int = 1) -> NDArray[np.int16]:
    """Scale every row to unit length and round it to Q12: round(0.998 * 4096 * x / |x|).

    X: (n, d) float32 or float64, any memory order. Lengths do not matter, directions do.
    Returns (n, d) int16 in C order, halves rounded to even. The same values give the same bits on
    every machine: the norm is summed in float64 in one fixed order. A row whose sum of q**2 would
    exceed 2**24 is truncated toward zero instead.
    Raises InputError if X is not a 2-D float array with rows and columns, or if a row holds NaN or
    infinity or has no length; the message names the first such rows.

    >>> import numpy as np, smartx
    >>> smartx.quantize(np.array([[3.0, 4.0], [0.0, -0.1]]))
    array([[ 2453,  3270],
           [    0, -4088]], dtype=int16)
    """
    rows, faults = _core.quantize(_float_matrix(native(X)), threads)
    raise_faults(faults, "X")
    return rows


def as_rows(X: ArrayLike, *, name: str = "X", threads: int = 1) -> NDArray[np.int16]:
    """Q12 rows of whatever the caller has: floats are quantised, int16 must be Q12 already.

    X: (n, d) float32, float64 or int16.  name: the argument, for error messages.
    Returns (n, d) int16 in C order; an array that is already so is returned as it is.
    Raises InputError as quantize does; if an int16 row has not the length that quantize gives, so
    that numbers of another scale are not taken for Q12; and for a symmetric matrix of floats, which
    is a kernel and not rows.
    """
    array = native(X, name)
    if array.dtype != np.int16:
        array = _float_matrix(array, name)
        _refuse_kernel(array, name)
        rows, faults = _core.quantize(array, threads)
        raise_faults(faults, name)
        return rows
    rows = np.ascontiguousarray(_matrix(array, name))
    raise_faults(_core.check_q12(rows, threads), name)
    raise_faults(("other scale", int((other := other_scale(rows)).sum()), _first(other)), name)
    return rows


def q12_norms2(dimensions: int) -> tuple[int, int]:
    """The least and the largest sum of q**2 of a row that `quantize` gives.

    Each value is rounded by at most 1/2, so the length of a row is within sqrt(d) / 2 of SCALE; it
    is at most 4096, and where rounding would lead beyond, values are cut by less than 1 instead.
    """
    reach = math.sqrt(dimensions)
    cut = SCALE + reach / 2 > math.sqrt(MAX_NORM2)
    low, high = SCALE - (reach if cut else reach / 2), SCALE + reach / 2
    return math.floor(low * low), min(MAX_NORM2, math.ceil(high * high))


def other_scale(rows: NDArray[np.int16]) -> NDArray[np.bool_]:
    """(n,) which of (n, d) int16 rows `quantize` cannot have given, by their length.

    The squares of a Q12 row sum to at most 2**24, so float32 sums them exactly in any order; those
    of longer rows are rounded, and stay above.
    """
    low, high = q12_norms2(rows.shape[1])
    other = np.empty(len(rows), dtype=np.bool_)
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        some = rows[start : start + _ROWS_AT_ONCE].astype(np.float32)
        norms2 = np.einsum("ij,ij->i", some, some)
        other[start : start + _ROWS_AT_ONCE] = (norms2 < low) | (norms2 > high)
    return other


def sum_rows(rows: NDArray[np.int16]) -> NDArray[np.int64]:
    """The exact sum of (n, d) int16 rows: (d,) int64. No rows give zeros."""
    if rows.dtype != np.int16 or rows.ndim != 2:
        raise InputError(f"expected (n, d) int16 rows, got {_described(rows)}", place="rows")
    return _core.sum_rows(np.ascontiguousarray(rows))


def _float_matrix(
    array: NDArray[Any], name: str = "X"
) -> NDArray[np.float32] | NDArray[np.float64]:
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


def native(X: Any, name: str = "X") -> NDArray[Any]:
    """X as an array in this machine's byte order; a tensor of torch without what numpy lacks."""
    if type(X).__module__.partition(".")[0] == "torch":
        X = X.detach().cpu()
        X = X.float() if str(X.dtype) == "torch.bfloat16" else X  # exact
    try:
        array = np.asarray(X)
    except ValueError:
        raise InputError("the rows are not of equal length", place=name) from None
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _refuse_kernel(array: NDArray[Any], name: str) -> None:
    """Raise InputError for a square matrix that equals its transpose: nobody's embeddings do."""
    count = len(array)
    if 1 < count == array.shape[1] and np.array_equal(array, array.T):
        raise InputError(
            f"this {count} x {count} matrix is symmetric: these are similarities, not embeddings",
            place=name,
            fix="wrap similarities in DenseKernel(...); if these are rows, pass quantize(...)",
        )


def _first(faulty: NDArray[np.bool_]) -> list[int]:
    return [int(row) for row in np.flatnonzero(faulty)[:5]]


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


def raise_faults(faults: tuple[str, int, Sequence[int]], name: str) -> None:
    """Raise InputError where the core found rows at fault: (kind, how many, the first few)."""
    kind, count, first = faults
    if not kind or not count:
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
        "other scale": (
            f"{rows} {have} not the length of Q12 rows{total}: these are whole numbers of another "
            "scale",
            "pass the float embeddings, or what smartx.quantize gives for them",
        ),
    }[kind]
    raise InputError(fault, place=name, fix=fix)
