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
from smartx.engine.on_card import card_for_kernel
from smartx.engine.select import Subset, check_objective, maximize, order_rows
from smartx.engine.threads import resolve_threads
from smartx.errors import InputError

_NONE = np.empty(0, np.int32)


def rank_groups(
    rows: NDArray[np.int16],
    sizes: NDArray[np.int64],
    function: Objective,
    *,
    templates: NDArray[np.int32] | None = None,
    first: NDArray[np.bool_] | None = None,
    threads: int | None = None,
    memory_bytes: int = DENSE_BYTES,
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Order every group of adjacent rows completely, each over its own rows alone.

    rows: (n, d) int16 Q12.  sizes: (g,) int64 >= 0, summing to n.
    templates: (n,) int32, number of the template of each row, from 0 on and below the rows of its
    group. Greedy is then over the whole group, but of the first s rows each template gives
    size * s / n of it, rounded up or down, at every s: whatever prefix is taken is balanced. A row
    may be next if its template is behind its share, got * n < size * (s + 1), and no other template
    is then bound to fall a whole row behind. None: any row may be next.
    first: (n,) whether a row comes first, as one that was trained on before: such rows are the
    first places of their group, in the order of rows, with a gain of 0; the others are greedy's
    choice given these, and shares are of the others.
    Returns order (n,) int32, places inside each group, best first, group after group; and gains
    (n,) float64 in that order. Neither depends on `threads` or on the other groups.
    Raises InputError where the arrays do not fit each other or rows are not Q12.
    """
    check_objective(function)
    count = resolve_threads(threads)
    sizes = _checked_sizes(sizes, len(rows))
    templates = _checked_templates(templates, sizes)
    first = _checked_first(first, len(rows))
    if len(rows) == 0:
        return np.empty(0, np.int32), np.empty(0, np.float64)
    rows = as_rows(rows, name="rows", threads=count)
    order, gains = np.empty(len(rows), np.int32), np.empty(len(rows), np.float64)
    ends = np.concatenate([[0], np.cumsum(sizes)])
    d = rows.shape[1]
    alone = {g for g, n in enumerate(sizes.tolist()) if _alone(n, d, function, memory_bytes, count)}
    for first_group, last in pairwise(_calls(len(sizes), alone)):
        start, stop = int(ends[first_group]), int(ends[last])
        own = slice(start, stop)
        of = None if templates is None else templates[own]
        before = None if first is None else first[own]
        if first_group in alone:
            order[own], gains[own] = _rank_one(
                rows[own], of, before, function, threads=count, memory_bytes=memory_bytes
            )
        elif stop > start:
            order[own], gains[own] = _core.rank_groups(
                rows[own],
                sizes[first_group:last],
                in_core(function),
                count,
                TOGETHER_BYTES,
                of,
                before,
            )
    return order, gains


def balanced(
    order: NDArray[np.int64], templates: NDArray[np.int32], *, threads: int | None = None
) -> NDArray[np.int64]:
    """The same rows, such that every prefix is balanced as `rank_groups` says: at each place the
    first row, in the given order, of those whose template may be next.

    order: (n,) places 0..n-1.  templates: (n,) of each place, numbered from 0 on and below n.
    Source: greedy of facility location over rows that cover nothing but themselves.
    """
    count = len(order)
    worth = np.empty(count)
    worth[order] = np.arange(count, 0, -1)
    request = _core.Request(
        in_core(FacilityLocation()), count, templates=np.ascontiguousarray(templates, np.int32)
    )
    own = np.arange(count, dtype=np.int32)
    indptr = np.arange(count + 1, dtype=np.int64)
    chosen = _core.maximize_graph(indptr, own, worth, request, resolve_threads(threads))[0]
    return chosen.astype(np.int64)


def _rank_one(
    rows: NDArray[np.int16],
    templates: NDArray[np.int32] | None,
    first: NDArray[np.bool_] | None,
    function: Objective,
    *,
    threads: int,
    memory_bytes: int,
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """A group that is ranked by itself."""
    before = np.flatnonzero(first).astype(np.int32) if first is not None else _NONE
    chosen = order_rows(
        function, rows, templates, before, threads=threads, memory_bytes=memory_bytes
    )
    gains = np.concatenate([np.zeros(len(before)), chosen.gains])
    return np.concatenate([before, chosen.items]), gains


def task_gains(
    means: NDArray[np.float64], function: Objective, *, threads: int | None = None
) -> Subset:
    """Order all tasks by greedy over the cosines of their mean embeddings.

    means: (M, d) float64, M >= 1; lengths do not matter.
    Returns the Subset of all M tasks: stage 1 of SMART takes a prefix of it. The cosines of up
    to DENSE_TASKS tasks are computed in float64 in one fixed order, diagonal included, so the bits
    are the same everywhere. More tasks have no room for all pairs: their means are rounded to Q12
    and ordered as rows are.
    Raises InputError where a mean is not finite or has no length, and names the task by its row.

    >>> import numpy as np, smartx
    >>> means = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    >>> smartx.task_gains(means, smartx.GraphCut(penalty=0.4)).items.tolist()
    [1, 0, 2]
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


def _checked_templates(
    templates: NDArray[np.int32] | None, sizes: NDArray[np.int64]
) -> NDArray[np.int32] | None:
    if templates is None:
        return None
    templates, rows = np.asarray(templates), int(sizes.sum())
    if templates.shape != (rows,) or templates.dtype.kind not in "iu":
        raise InputError(
            f"expected ({rows},) integers, got shape {templates.shape}, dtype {templates.dtype}",
            place="templates",
        )
    wrong = (templates < 0) | (templates >= np.repeat(sizes, sizes))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(
            f"row {row} is of template {templates[row]}, which is not one of 0 to rows of its "
            f"group - 1 ({int(wrong.sum())} such rows)",
            place="templates",
            fix="number the templates of each group from 0 on",
        )
    return np.ascontiguousarray(templates, dtype=np.int32)


def _checked_first(first: NDArray[np.bool_] | None, rows: int) -> NDArray[np.bool_] | None:
    if first is None:
        return None
    first = np.asarray(first)
    if first.shape != (rows,) or first.dtype != np.bool_:
        raise InputError(
            f"expected ({rows},) bool, got shape {first.shape}, dtype {first.dtype}", place="first"
        )
    return np.ascontiguousarray(first)


def _alone(size: int, d: int, function: Objective, memory_bytes: int, threads: int) -> bool:
    """Whether a group is ranked by itself: its kernel does not fit, or is made on a card."""
    if not isinstance(function, FacilityLocation):
        return False
    if not kernel_fits(size, memory_bytes):
        return True
    return card_for_kernel(size, size, d, threads) is not None


def _calls(groups: int, alone: set[int]) -> list[int]:
    """Where to cut the groups into calls: some of them are ranked by themselves."""
    return sorted({0, groups, *alone, *(group + 1 for group in alone)})
