"""One case: a hash of rankings and neighbours of the T0 vectors; it must not depend on the
instruction set, the number of threads, or how groups are cut into calls.

calls: "one" call for all groups, or "each" group in a call of its own.
"""

import hashlib
import time

import numpy as np
from measure import answer, arguments
from objective import PENALTY, RIDGE
from vectors import t0_groups

import smartx
from smartx import _core  # noqa: TID251  the levels are no part of the package's interface
from smartx.engine import knn_graph, rank_groups

FUNCTIONS = (
    smartx.FacilityLocation(),
    smartx.GraphCut(penalty=PENALTY),
    smartx.LogDet(ridge=RIDGE),
)


def orders(rows, sizes, function, threads, calls):
    if calls == "one":
        return [rank_groups(rows, sizes, function, threads=threads)]
    ends = np.cumsum(sizes)
    return [
        rank_groups(rows[end - size : end], np.array([size]), function, threads=threads)
        for end, size in zip(ends.tolist(), sizes.tolist(), strict=True)
    ]


def main():
    asked = arguments()
    if asked["level"] not in _core.simd_levels():
        answer(absent=f"this processor does not run {asked['level']}")
        return
    assert _core.simd_level() == asked["level"]
    rows, sizes = t0_groups()
    rows, sizes = rows[: sizes[: asked["groups"]].sum()], sizes[: asked["groups"]]
    hashes, started = {}, time.perf_counter()
    for function in FUNCTIONS:
        parts = orders(rows, sizes, function, asked["threads"], asked["calls"])
        digest = hashlib.sha256()
        for arrays in zip(*parts, strict=True):
            digest.update(np.concatenate(arrays).tobytes())
        hashes[type(function).__name__] = digest.hexdigest()[:16]
    graph = knn_graph(rows[: asked["rows"]], 64, "exact", threads=asked["threads"])
    digest = hashlib.sha256(graph.indices.tobytes() + graph.weights.tobytes())
    hashes["neighbours"] = digest.hexdigest()[:16]
    answer(hashes=hashes, rows=len(rows), groups=len(sizes), seconds=time.perf_counter() - started)


main()
