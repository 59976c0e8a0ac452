"""Orders of many groups at once (stage 2), and of tasks by their means (stage 1)."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from smartx import _core
from smartx.engine.dense import DenseKernel
from smartx.engine.fixed_point import as_rows, quantize
from smartx.engine.memory import DENSE_BYTES, DENSE_TASKS, TOGETHER_BYTES, kernel_fits
from smartx.engine.objectives import FacilityLocation, Objective, in_core
from smartx.engine.select import Selection, check_objective, maximize
from smartx.engine.threads import resolve_threads
from smartx.errors import InputError


def rank_groups(
    rows: NDArray[np.int16],
    sizes: NDArray[np.int64],
    function: Objective,
    *,
    threads: int | None = None,
    memory_bytes: int = DENSE_BYTES,
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Order every group of adjacent rows completely, each over its own rows alone.

    rows: (n, d) int16 Q12.  sizes: (g,) int64 >= 0, summing to n.
    Returns order (n,) int32, places inside each group, best first, group after group; and gains
    (n,) float64 in that order. Neither depends on `threads` or on the other groups.
    Raises InputError where rows and sizes do not fit each other or rows are not Q12.
    """
    check_objective(function)
    count = resolve_threads(threads)
    sizes = _checked_sizes(sizes, len(rows))
    if len(rows) == 0:
        return np.empty(0, np.int32), np.empty(0, np.float64)
    rows = as_rows(rows, name="rows", threads=count)
    order, gains = np.empty(len(rows), np.int32), np.empty(len(rows), np.float64)
    ends = np.concatenate([[0], np.cumsum(sizes)])
    for first, last in pairwise(_calls(sizes, function, memory_bytes)):
        start, stop = int(ends[first]), int(ends[last])
        own = rows[start:stop]
        if last - first == 1 and not _fits(int(sizes[first]), function, memory_bytes):
            chosen = maximize(function, own, stop - start, threads=count, memory_bytes=memory_bytes)
            order[start:stop], gains[start:stop] = chosen.items, chosen.gains
        elif stop > start:
            order[start:stop], gains[start:stop] = _core.rank_groups(
                own, sizes[first:last], in_core(function), count, TOGETHER_BYTES
            )
    return order, gains


def task_gains(
    means: NDArray[np.float64], function: Objective, *, threads: int | None = None
) -> Selection:
    """Order all tasks by greedy over the cosines of their mean embeddings.

    means: (M, d) float64, M >= 1; lengths do not matter.
    Returns the Selection of all M tasks: stage 1 of SMART takes a prefix of it. The cosines of up
    to DENSE_TASKS tasks are computed in float64 in one fixed order, diagonal included, so the bits
    are the same everywhere. More tasks have no room for all pairs: their means are rounded to Q12
    and ordered as rows are.
    Raises InputError where a mean is not finite or has no length, and names the task by its row.
    """
    check_objective(function)
    means = np.asarray(means)
    if means.dtype != np.float64 or means.ndim != 2 or 0 in means.shape:
        raise InputError(
            f"expected (tasks, d) float64, got shape {means.shape}, dtype {means.dtype}",
            place="means",
        )
    for fault, at_fault in (
        ("is not finite", ~np.isfinite(means).all(axis=1)),
        ("has zero length, so no direction", ~means.any(axis=1)),
    ):
        if at_fault.any():
            row, total = int(np.argmax(at_fault)), int(at_fault.sum())
            raise InputError(
                f"the mean of task {row} {fault} ({total} such tasks)",
                place="means",
                fix="leave such tasks out",
            )
    count = resolve_threads(threads)
    if len(means) > DENSE_TASKS:
        return maximize(function, quantize(means, threads=count), len(means), threads=count)
    kernel = _core.cosine_kernel(np.ascontiguousarray(means), count)
    return maximize(function, DenseKernel(kernel), len(means), threads=count)


def _checked_sizes(sizes: NDArray[np.int64], rows: int) -> NDArray[np.int64]:
    sizes = np.asarray(sizes)
    if sizes.ndim != 1 or sizes.dtype.kind not in "iu":
        raise InputError(
            f"expected (groups,) integers, got shape {sizes.shape}, dtype {sizes.dtype}",
            place="sizes",
        )
    sizes = np.ascontiguousarray(sizes, dtype=np.int64)
    if (sizes < 0).any():
        raise InputError(f"group {int(np.argmax(sizes < 0))} has a negative size", place="sizes")
    if sizes.sum() != rows:
        raise InputError(f"they sum to {sizes.sum()}, but there are {rows} rows", place="sizes")
    return sizes


def _fits(size: int, function: Objective, memory_bytes: int) -> bool:
    return not isinstance(function, FacilityLocation) or kernel_fits(size, memory_bytes)


def _calls(sizes: NDArray[np.int64], function: Objective, memory_bytes: int) -> list[int]:
    """Where to cut the groups into calls: one whose kernel does not fit is ranked by itself."""
    alone = [g for g, size in enumerate(sizes.tolist()) if not _fits(size, function, memory_bytes)]
    return sorted({0, len(sizes), *alone, *(group + 1 for group in alone)})
