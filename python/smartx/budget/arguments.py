"""Checks of arguments, which may be anybody's."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smartx.errors import BudgetError, InputError

IntVector = NDArray[np.int64]
FloatVector = NDArray[np.float64]


def check_room(capacities: IntVector, total: int, what: str, fix: str, unit: str = "row") -> None:
    """Raise BudgetError, with both numbers, where `what` hold fewer rows than the total."""
    held = int(capacities.sum())
    if held < total:
        raise BudgetError(
            f"the {len(capacities):,} {what} hold {held:,} {unit}s, "
            f"{total - held:,} fewer than the {total:,} asked",
            asked=total,
            available=held,
            fix=f"{fix}: at most {held:,}" if held else "leave fewer rows out: none may be taken",
        )


def check_floors(floors: IntVector, capacities: IntVector, total: int) -> None:
    """Raise BudgetError where floors are above their capacities, or ask for more than the total."""
    least = int(floors.sum())
    for place in np.flatnonzero(floors > capacities):
        raise BudgetError(
            f"floor {place} asks for {floors[place]:,} and {capacities[place]:,} are there",
            asked=int(floors[place]),
            available=int(capacities[place]),
        )
    if least > total:
        raise BudgetError(
            f"the floors ask for {least:,}, {least - total:,} more than the {total:,} to be shared",
            asked=least,
            available=total,
        )


def whole_number(name: str, value: Any) -> int:
    """A whole number >= 0, as Python's int. Raises InputError with the name."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer) or value < 0:
        raise InputError(f"it must be a whole number >= 0, not {value!r}", place=name)
    return int(value)


def whole_numbers(name: str, values: ArrayLike) -> IntVector:
    """One row of whole numbers >= 0, as int64. Raises InputError with the name."""
    array = np.asarray(values)
    if array.size == 0:
        array = array.astype(np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise InputError(
            f"it must be one row of whole numbers, not {array.dtype} of shape {array.shape}",
            place=name,
        )
    if (array < 0).any():
        place = int(np.flatnonzero(array < 0)[0])
        raise InputError(f"entry {place} is {array[place]}; it must be >= 0", place=name)
    return array.astype(np.int64)


def reals(name: str, values: ArrayLike, length: int) -> FloatVector:
    """One row of `length` finite numbers, as float64. Raises InputError with the name."""
    array = np.asarray(values)
    if array.ndim != 1 or array.dtype.kind not in "iuf":
        raise InputError(
            f"it must be one row of numbers, not {array.dtype} of shape {array.shape}", place=name
        )
    array = array.astype(np.float64)
    if len(array) != length:
        raise InputError(f"{len(array)} entries for {length} capacities", place=name)
    if not np.isfinite(array).all():
        place = int(np.flatnonzero(~np.isfinite(array))[0])
        raise InputError(f"entry {place} is {array[place]}; it must be finite", place=name)
    return array


def scatter(places: NDArray[Any], values: NDArray[Any], size: int) -> NDArray[Any]:
    """(size,) of zeros, with the values at their places."""
    spread = np.zeros(size, dtype=values.dtype)
    spread[places] = values
    return spread
