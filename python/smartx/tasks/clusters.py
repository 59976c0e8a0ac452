"""Clusters of a corpus's vectors: found on a sample, then every row goes to the nearest centre."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from smartx.draws import TASK_SAMPLE, draws
from smartx.embed import Embeddings
from smartx.engine import SCALE, nearest_centre, quantize, sum_rows
from smartx.progress import Progress, step
from smartx.rankers.clusters import clusters_of, spread_starts
from smartx.tasks.auto import ITERATIONS, AutoTasks

_CHUNK = 65_536  # rows read at a time


@dataclass(frozen=True, eq=False)
class Assigned:
    """Every row's cluster. Clusters that are nearest to no row are not counted.

    labels: (n,) int32, from 0.  rows: (k,) int64, of each cluster.
    typical: (k,) int64, the row nearest to its centre; of equal ones the lowest.
    centres: (k, d) int16 Q12.
    """

    labels: NDArray[np.int32]
    rows: NDArray[np.int64]
    typical: NDArray[np.int64]
    centres: NDArray[np.int16]


def sample_of(rows: int, asked: AutoTasks) -> NDArray[np.int64]:
    """The rows that clusters are found among: those with the lowest draws, rising."""
    count = asked.sampled(rows)
    if count >= rows:
        return np.arange(rows, dtype=np.int64)
    keys = draws(asked.seed, TASK_SAMPLE, 0, rows)
    chosen: NDArray[np.int64] = np.sort(np.argsort(keys, kind="stable")[:count]).astype(np.int64)
    return chosen


def centres_of(
    rows: NDArray[np.int16], row_ids: NDArray[np.int64], count: int, *, seed: int
) -> NDArray[np.int16]:
    """(k, d) int16 Q12, the centres of at most `count` clusters, no two equal.

    rows: (n, d) int16 Q12.  row_ids: (n,) their numbers, for messages.
    The library says who belongs together, in float64; a centre is the exact sum of its rows, scaled
    to length 1 and rounded once. So its bits depend on nothing but who belongs together.
    """
    points, count = rows.astype(np.float64) / SCALE, min(count, len(rows))
    starts = spread_starts(points, count, seed=seed)
    labels = clusters_of(points, count, row_ids, seed=seed, iterations=ITERATIONS, starts=starts)
    order = np.argsort(labels, kind="stable")
    bounds = np.searchsorted(labels[order], np.arange(int(labels.max()) + 2))
    sums = np.stack([sum_rows(rows[order[a:b]]) for a, b in pairwise(bounds.tolist())])
    centres = quantize(sums[sums.any(axis=1)].astype(np.float64))
    _, first = np.unique(centres, axis=0, return_index=True)
    return centres[np.sort(first)]


def read_sample(embeddings: Embeddings, rows: NDArray[np.int64]) -> NDArray[np.int16]:
    """The vectors of rising rows."""
    found = np.empty((len(rows), embeddings.dimensions), dtype=np.int16)
    for start in range(0, embeddings.num_rows, _CHUNK):
        stop = min(start + _CHUNK, embeddings.num_rows)
        first, last = np.searchsorted(rows, [start, stop])
        if first < last:
            found[first:last] = embeddings.rows(start, stop)[rows[first:last] - start]
    return found


def assigned(
    embeddings: Embeddings,
    centres: NDArray[np.int16],
    *,
    threads: int,
    progress: Progress,
) -> Assigned:
    """Every row to the centre that it has the largest product with; ties to the lower centre."""
    count = embeddings.num_rows
    labels = np.empty(count, dtype=np.int32)
    best = np.full(len(centres), -1, dtype=np.int64)
    typical = np.zeros(len(centres), dtype=np.int64)
    with step(progress, "assign rows to tasks", count, "rows") as advance:
        for start in range(0, count, _CHUNK):
            stop = min(start + _CHUNK, count)
            own, product = nearest_centre(embeddings.rows(start, stop), centres, threads=threads)
            labels[start:stop] = own
            order = np.lexsort((-product.astype(np.int64), own))  # stable: the lower row first
            clusters, first = np.unique(own[order], return_index=True)
            rows = order[first]
            nearer = product[rows] > best[clusters]
            best[clusters[nearer]] = product[rows[nearer]]
            typical[clusters[nearer]] = rows[nearer] + start
            advance(stop - start)
    rows_of = np.bincount(labels, minlength=len(centres)).astype(np.int64)
    kept = np.flatnonzero(rows_of)
    number = np.cumsum(rows_of > 0, dtype=np.int32) - np.int32(1)
    return Assigned(number[labels], rows_of[kept], typical[kept], centres[kept])
