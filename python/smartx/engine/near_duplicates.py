"""Near duplicates: rows that point nearly where a better-ranked row of their group points."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smartx import _core
from smartx.engine.fixed_point import as_rows
from smartx.engine.threads import resolve_threads
from smartx.errors import InputError


@dataclass(frozen=True, slots=True, eq=False)
class NearDuplicates:
    """Which rows are near duplicates, aligned with the order that they were looked for in.

    origin: (n,) int32, place in its group's order of the row that stays instead; -1: it stays.
    cosine: (n,) float64, of these two rows; 0 where the row stays.
    """

    origin: NDArray[np.int32]
    cosine: NDArray[np.float64]


def near_duplicates(
    rows: NDArray[np.int16],
    sizes: NDArray[np.int64],
    order: NDArray[np.int32],
    threshold: float,
    *,
    threads: int | None = None,
) -> NearDuplicates:
    """Go through each group in its order: a row stays unless it is near one that stayed before it.

    rows: (n, d) int16 Q12, group after group.  sizes: (g,) int64, summing to n.
    order: (n,) int32, places inside each group, as `rank_groups` returns them.
    threshold: least cosine of rows that are near, 0 < threshold <= 1, taken to the millionth.
    The cosine is that of the stored rows, a . b / (|a| |b|), compared in whole numbers: equal rows
    are near at 1.0, and threads, instruction set and memory do not show. The origin of a row is
    the best-ranked row that stays and is near it. Nothing is left to chance or to a graph: each row
    meets every row that stayed before it.
    Raises InputError where the arguments do not fit each other or the threshold is out of range.
    """
    count = resolve_threads(threads)
    millionths = millionths_of(threshold)
    if not len(rows):
        return NearDuplicates(np.empty(0, np.int32), np.empty(0, np.float64))
    rows = as_rows(rows, name="rows", threads=count)
    groups = np.ascontiguousarray(sizes, dtype=np.int64)
    places = np.ascontiguousarray(order, dtype=np.int32)
    return NearDuplicates(*_core.near_duplicates(rows, groups, places, millionths, threads=count))


def checked_threshold(threshold: float) -> float:
    """The threshold to the millionth. Raises InputError unless it is in 0.000001 .. 1."""
    return millionths_of(threshold) / _core.COSINE_UNIT


def millionths_of(threshold: float) -> int:
    """A threshold in the units that the core takes. Raises InputError as `checked_threshold`."""
    unit = _core.COSINE_UNIT
    if not math.isfinite(threshold) or not 1 <= round(threshold * unit) <= unit:
        raise InputError(
            f"{threshold} is no cosine above 0 and at most 1",
            place="near_duplicates",
            fix="pass a number such as 0.95",
        )
    return round(threshold * unit)
