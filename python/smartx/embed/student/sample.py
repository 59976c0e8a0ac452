"""Which rows the teacher embeds: those the student learns from, and those it is judged by.

Rows are drawn by the digest of their text, so a text is drawn or not whatever stands beside it:
when a source is added, most of the sample stays, and with it the teacher's work. Of a group as many
are drawn as the square root of its size says: large groups do not push out small ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smartx.draws import STUDENT_GROUPS, STUDENT_HELD, STUDENT_ROWS, draws_at

DEEP_GROUPS, DEEP_ROWS = 16, 96  # groups of which many rows are held out, and how many
_Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Held:
    """Rows that the student is judged by, no text twice, all rising.

    spread: of all groups.  deep: of a few groups, many of each.
    """

    spread: _Rows
    deep: _Rows

    @property
    def rows(self) -> _Rows:
        """Both, rising."""
        return np.union1d(self.spread, self.deep)


def held_rows(sizes: _Rows, digests: NDArray[np.uint64], seed: int, most: int) -> Held:
    """sizes: (g,) rows of each group.  digests: (n, 2) of the texts of all rows.

    most: as many rows as are held out of each kind, at most.
    """
    keys = draws_at(seed, STUDENT_HELD, digests[:, 0])
    starts = np.cumsum(sizes) - sizes
    spread = _lowest(keys, starts, _quotas(sizes, most, keys[starts]), sizes)
    wanted = min(DEEP_ROWS, max(8, most // DEEP_GROUPS))
    large = np.flatnonzero(sizes >= min(2 * wanted, int(sizes.max())))
    order = np.argsort(draws_at(seed, STUDENT_GROUPS, large), kind="stable")
    quotas = np.zeros_like(sizes)
    quotas[large[order[:DEEP_GROUPS]]] = wanted
    deep = _lowest(keys, starts, np.minimum(quotas, -(-sizes // 2)), sizes)
    return Held(_distinct(spread, digests), _distinct(deep, digests))


def training_rows(
    sizes: _Rows, digests: NDArray[np.uint64], held: _Rows, seed: int, rows: int
) -> _Rows:
    """About `rows` rising rows, no text twice and none of a held one. Fewer rows are among more."""
    keys = draws_at(seed, STUDENT_ROWS, digests[:, 0])
    starts = np.cumsum(sizes) - sizes
    drawn = _lowest(keys, starts, _quotas(sizes, rows, keys[starts]), sizes)
    drawn = _distinct(drawn, digests)
    return drawn[~np.isin(digests[drawn, 0], digests[held, 0])]


def _quotas(sizes: _Rows, rows: int, keys: NDArray[np.uint64]) -> _Rows:
    """(g,) rows of each group, about `rows` in all: min(size, c sqrt size), rounded up where the
    part of a row that is over is above the group's own draw, so that more rows hold all of fewer.

    keys: (g,) the groups' draws.
    """
    if rows >= int(sizes.sum()):
        return sizes
    roots = np.sqrt(sizes.astype(np.float64))
    low, high = 0.0, float(roots.max())
    for _ in range(64):
        middle = (low + high) / 2
        low, high = (
            (middle, high) if np.minimum(sizes, middle * roots).sum() < rows else (low, middle)
        )
    up = (keys >> np.uint64(11)).astype(np.float64) / 2.0**53
    quotas: _Rows = np.minimum(np.floor(high * roots + up).astype(np.int64), sizes)
    return quotas


def _lowest(keys: NDArray[np.uint64], starts: _Rows, quotas: _Rows, sizes: _Rows) -> _Rows:
    """The rows of the lowest keys of each group, rising. Equal texts have equal keys."""
    found = [np.empty(0, dtype=np.int64)]
    for group in np.flatnonzero(quotas).tolist():
        start, size, quota = int(starts[group]), int(sizes[group]), int(quotas[group])
        own = keys[start : start + size]
        if quota < size:
            found.append(start + np.sort(np.argpartition(own, quota)[:quota]))
        else:
            found.append(np.arange(start, start + size))
    return np.concatenate(found)


def _distinct(rows: _Rows, digests: NDArray[np.uint64]) -> _Rows:
    """Without rows whose text an earlier one has."""
    _, first = np.unique(digests[rows, 0], return_index=True)
    distinct: _Rows = rows[np.sort(first)]
    return distinct
