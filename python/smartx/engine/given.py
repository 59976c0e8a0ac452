"""Arguments of `maximize` and `evaluate` that name rows or weigh them, checked."""

from __future__ import annotations

import math
import operator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smartx.engine.dense import DenseKernel
from smartx.engine.fixed_point import SCALE
from smartx.engine.graph import SimilarityGraph, knn_graph
from smartx.engine.memory import GRAPH_NEIGHBOURS
from smartx.engine.objectives import FacilityLocation, LogDet, Objective
from smartx.errors import InputError

_FLOAT = 8  # bytes
_BLOCK = 1_024  # rows of a kernel that are made at once


def places_of(rows: ArrayLike, count: int, name: str) -> NDArray[np.int32]:
    """(k,) int32 places without repeats, as they were given; of (n,) booleans those that are true.

    Raises InputError for anything else.
    """
    array = np.asarray(rows)
    if array.dtype == np.bool_ and array.shape == (count,):
        return np.flatnonzero(array).astype(np.int32)
    if array.size == 0:
        return np.empty(0, dtype=np.int32)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise InputError(f"({count:,},) booleans, or places of rows, are needed", place=name)
    outside = array[(array < 0) | (array >= count)]
    if outside.size:
        raise InputError(f"row {outside[0]} is outside 0..{count - 1}", place=name)
    if len(np.unique(array)) < len(array):
        raise InputError("a row is named twice", place=name)
    return array.astype(np.int32)


def weights_of(function: Objective, weights: ArrayLike, count: int) -> NDArray[np.float64]:
    """(n,) float64 >= 0. Raises InputError for anything else, or where they have no meaning."""
    if not isinstance(function, FacilityLocation):
        raise InputError(
            f"{function!r} has no rows to weigh",
            place="weights",
            fix="use FacilityLocation(); or `costs`, if what a row costs is meant",
        )
    array = np.asarray(weights)
    if array.shape != (count,) or array.dtype.kind not in "iuf":
        raise InputError(
            f"expected ({count},) numbers, got shape {array.shape}, dtype {array.dtype}",
            place="weights",
        )
    wrong = ~(np.isfinite(array) & (array >= 0))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(
            f"row {row} weighs {array[row]} ({int(wrong.sum())} such rows)",
            place="weights",
            fix="give finite weights of at least 0",
        )
    return array.astype(np.float64)


def check_first(
    first: NDArray[np.int32], optimizer: str, costs: ArrayLike | None, certificate: bool
) -> None:
    """Raise InputError where rows that are in S from the start have no meaning."""
    wrong = {
        "costs": costs is not None,
        "certificate": certificate,
        f"the optimizer {optimizer!r}": optimizer not in ("lazy", "naive"),
    }
    if len(first) and any(wrong.values()):
        what = next(name for name, is_so in wrong.items() if is_so)
        raise InputError(f"it has no meaning with {what}", place="initial_subset")


def costs_of(
    function: Objective,
    costs: ArrayLike,
    budget: float,
    size: int,
    optimizer: str,
    certificate: bool,
) -> tuple[NDArray[np.float64], float]:
    """The costs and what they may sum to, checked."""
    values = np.asarray(costs)
    if values.shape != (size,) or values.dtype.kind not in "iuf":
        raise InputError(
            f"expected ({size},) numbers, got shape {values.shape}, dtype {values.dtype}",
            place="costs",
        )
    values = np.ascontiguousarray(values, dtype=np.float64)
    wrong = ~(np.isfinite(values) & (values > 0))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(
            f"row {row} costs {values[row]} ({int(wrong.sum())} such rows)",
            place="costs",
            fix="leave such rows out, or give them a cost above zero",
        )
    if isinstance(budget, (bool, str)) or not isinstance(budget, (int, float, np.number)):
        raise InputError(f"expected a number, got {budget!r}", place="budget")
    if not math.isfinite(budget) or budget < 0:
        raise InputError(f"{budget!r} is not a finite number >= 0", place="budget")
    if optimizer not in ("lazy", "naive"):
        raise InputError(f"{optimizer!r} has no meaning with costs", place="optimizer")
    monotone = isinstance(function, FacilityLocation) or (
        isinstance(function, LogDet) and function.ridge >= 1.0
    )
    if certificate and not monotone:
        raise InputError(
            f"there is no bound for {function!r} with costs",
            place="certificate",
            fix="use FacilityLocation() or LogDet(ridge) with ridge >= 1, or leave it out",
        )
    return values, float(budget)


def seed_of(seed: object) -> int:
    """The low 64 bits of a whole number. Raises InputError for anything else."""
    try:
        return operator.index(seed) & 0xFFFFFFFFFFFFFFFF  # type: ignore[arg-type]
    except TypeError:
        raise InputError(f"expected a whole number, got {seed!r}", place="seed") from None


def epsilon_of(epsilon: float) -> float:
    """A number above 0 and below 1. Raises InputError for any other."""
    if not 0.0 < epsilon < 1.0:
        raise InputError(f"{epsilon!r} is not above 0 and below 1", place="epsilon")
    return float(epsilon)


def weighed_ground(
    ground: NDArray[np.int16] | SimilarityGraph | DenseKernel,
    weights: NDArray[np.float64],
    memory_bytes: int,
    threads: int,
) -> SimilarityGraph | DenseKernel:
    """Similarities in which row u, which lists who covers u, is worth weights[u] times as much.

    Of (n, d) Q12 rows: a kernel of 8 n^2 bytes up to memory_bytes, above it a graph of neighbours.
    """
    if isinstance(ground, DenseKernel):
        return DenseKernel(ground.values.astype(np.float64) * weights[:, None])
    if not isinstance(ground, SimilarityGraph):
        count = len(ground)
        if _FLOAT * count * count <= memory_bytes:
            return DenseKernel(_cosines(ground) * weights[:, None])
        ground = knn_graph(ground, GRAPH_NEIGHBOURS, "exact", threads=threads)
    of_row = np.repeat(weights, np.diff(ground.indptr))
    return SimilarityGraph(ground.indptr, ground.indices, ground.similarities * of_row)


def _cosines(rows: NDArray[np.int16]) -> NDArray[np.float64]:
    """All cosines of Q12 rows: their products are whole numbers, which float64 holds exactly."""
    values = np.empty((len(rows), len(rows)))
    columns = rows.T.astype(np.float64)
    for start in range(0, len(rows), _BLOCK):
        own = slice(start, start + _BLOCK)
        np.matmul(rows[own].astype(np.float64), columns, out=values[own])
    values /= SCALE * SCALE
    return values
