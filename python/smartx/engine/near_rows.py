"""Rows that point nearly where a row of another set points, such as that of an evaluation set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smartx import _core
from smartx.engine.fixed_point import as_rows
from smartx.engine.near_duplicates import millionths_of
from smartx.engine.threads import resolve_threads
from smartx.errors import InputError

_ROWS, _OTHERS = 2_048, 8_192  # that meet at a time: 64 MiB of products
_IN_DOUBT = 1e-9  # a squared cosine that near the threshold's is compared in whole numbers


@dataclass(frozen=True, slots=True, eq=False)
class NearRows:
    """Rows that are near one of the others at least, by the nearest of them.

    rows: (k,) int64, rising.  others: (k,) int64, the nearest one; ties go to the lower.
    cosines: (k,) float64, of the two.
    """

    rows: NDArray[np.int64]
    others: NDArray[np.int64]
    cosines: NDArray[np.float64]


def near_rows(
    rows: NDArray[np.int16],
    others: NDArray[np.int16],
    threshold: float,
    *,
    threads: int | None = None,
) -> NearRows:
    """Every row that has at least the threshold's cosine with one of the others.

    rows: (n, d) int16 Q12.  others: (m, d) int16 Q12.
    threshold: 0 < threshold <= 1, taken to the millionth. The cosine is that of the stored rows,
    a . b / (|a| |b|), and whether it reaches the threshold is told in whole numbers. Every row
    meets every other one: n m d multiply-adds, and 64 MiB of memory besides the rows.
    Raises InputError where widths differ or the threshold is out of range.
    """
    count, least = resolve_threads(threads), millionths_of(threshold)
    if rows.shape[1:] != others.shape[1:]:
        fault = f"rows of {rows.shape[1:]} values do not fit others of {others.shape[1:]}"
        raise InputError(fault, place="others", fix="embed both with one encoder")
    found = [_NONE]
    if len(rows) and len(others):
        rows = as_rows(rows, name="rows", threads=count)
        others = as_rows(others, name="others", threads=count)
        norms, other_norms = _norms2(rows), _norms2(others)
        for at in range(0, len(rows), _ROWS):
            some = slice(at, at + _ROWS)
            best = _nearest(rows[some], norms[some], others, other_norms, least, count)
            found.append(NearRows(best.rows + at, best.others, best.cosines))
    return _joined(found)


_NONE = NearRows(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))


def _nearest(
    rows: NDArray[np.int16],
    norms: NDArray[np.int64],
    others: NDArray[np.int16],
    other_norms: NDArray[np.int64],
    least: int,
    threads: int,
) -> NearRows:
    """`near_rows` of a block of rows."""
    found = [_NONE]
    for at in range(0, len(others), _OTHERS):
        some, own = others[at : at + _OTHERS], other_norms[at : at + _OTHERS]
        dots = _core.similarities(rows, some, threads=threads)
        lowest = float(norms.min()) * float(own.min())  # at most 2^48, so exact
        bar = int(least / _core.COSINE_UNIT * lowest**0.5 * (1 - _IN_DOUBT))
        i, j = np.nonzero(dots >= max(1, bar))
        dot = dots[i, j].astype(np.int64)
        near = _are_near(dot, norms[i] * own[j], least)
        i, j, dot = i[near], j[near], dot[near]
        cosines = dot / np.sqrt((norms[i] * own[j]).astype(np.float64))
        found.append(NearRows(i.astype(np.int64), j.astype(np.int64) + at, cosines))
    both = _joined(found)
    order = np.lexsort((both.others, -both.cosines, both.rows))
    first = order[np.append(True, np.diff(both.rows[order]) != 0)[: len(order)]]
    return NearRows(both.rows[first], both.others[first], both.cosines[first])


def _are_near(dot: NDArray[np.int64], norms: NDArray[np.int64], least: int) -> NDArray[np.bool_]:
    """Whether dot^2 / norms >= (least / 10^6)^2; dot > 0, dot^2 and norms at most 2^48."""
    squared, bar = dot * dot / norms, (least / _core.COSINE_UNIT) ** 2
    near: NDArray[np.bool_] = squared >= bar
    for at in np.flatnonzero(np.abs(squared - bar) < _IN_DOUBT).tolist():
        exact = (int(dot[at]) * _core.COSINE_UNIT) ** 2 >= int(norms[at]) * least**2
        near[at] = exact
    return near


def _norms2(rows: NDArray[np.int16]) -> NDArray[np.int64]:
    norms: NDArray[np.int64] = np.einsum("ij,ij->i", rows, rows, dtype=np.int64)
    return norms


def _joined(found: list[NearRows]) -> NearRows:
    rows, others, cosines = (
        np.concatenate([getattr(one, name) for one in found])
        for name in ("rows", "others", "cosines")
    )
    return NearRows(rows, others, cosines)
