"""K-means, by scikit-learn, of which the same rows and seed make the same clusters."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartx.draws import CLUSTER_STARTS, draws_at
from smartx.errors import InputError, MissingPackageError


def clusters_of(
    rows: NDArray[np.floating[Any]],
    count: int,
    row_ids: NDArray[np.int64],
    *,
    seed: int,
    iterations: int = 20,
    starts: NDArray[np.int64] | None = None,
) -> NDArray[np.int32]:
    """(n,) the cluster of each row, numbered from 0 without gaps, at most `count` of them.

    rows: (n, d) float32 or float64; squared distances in that precision.  count: above n it is n.
    row_ids: (n,) what the draws of the first centres go by: the rows with the lowest draws.
    starts: (count,) the rows that are the first centres instead, as places in `rows`.
    iterations: at most; it stops when no row changes its cluster.
    One thread sums, so that the number of threads changes nothing; another processor may round
    differently, and then a row that is as near to one centre as to another may change sides.
    Raises InputError where a row is not finite, MissingPackageError without scikit-learn.
    """
    if not np.isfinite(rows).all():
        row = int(np.argmin(np.isfinite(rows).all(axis=1)))
        raise InputError(f"row {int(row_ids[row])} is not finite", place="clusters")
    count = min(count, len(rows))
    if count <= 1:
        return np.zeros(len(rows), dtype=np.int32)
    if starts is None:
        starts = np.argsort(draws_at(seed, CLUSTER_STARTS, row_ids), kind="stable")[:count]
    labels = _fitted(rows, rows[np.sort(starts)], iterations)
    return np.unique(labels, return_inverse=True)[1].astype(np.int32)


def spread_starts(rows: NDArray[np.floating[Any]], count: int, *, seed: int) -> NDArray[np.int64]:
    """(count,) places of rows that are far from each other, for first centres: k-means++ of the
    library, by its own draws. Small clusters far away are found, which random rows may miss.
    """
    try:
        from sklearn.cluster import kmeans_plusplus
    except ImportError:
        raise _missing() from None
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fewer different rows than are asked for
        _, places = kmeans_plusplus(rows, count, random_state=seed & 0xFFFFFFFF)
    return np.asarray(places, dtype=np.int64)


@contextmanager
def one_thread() -> Iterator[None]:
    """Libraries of linear algebra use one thread inside: sums then run in one order.

    Raises MissingPackageError without scikit-learn, which brings what does that.
    """
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        raise _missing() from None
    with threadpool_limits(1):
        yield


def _fitted(rows: NDArray[Any], starts: NDArray[Any], iterations: int) -> NDArray[np.int32]:
    try:
        from sklearn.cluster import KMeans
    except ImportError:
        raise _missing() from None
    fit = KMeans(len(starts), init=starts, n_init=1, max_iter=iterations, tol=0.0)
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fewer different rows than clusters: there are fewer then
        return np.asarray(fit.fit(rows).labels_, dtype=np.int32)


def _missing() -> MissingPackageError:
    return MissingPackageError("scikit-learn", needed_for="making clusters", extra="learn")
