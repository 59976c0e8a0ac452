"""How long Ctrl-C would wait: every entry point of the core, each in its worst shape.

    python tests/interrupts.py                     all cases, a table; fails above 0.5 s of CPU
    python tests/interrupts.py "k-NN" --seconds 5  those with k-NN in their name, 5 s of CPU each

Each case is a process of its own. A timer of CPU time rings every 20 ms and its handler runs where
a signal is answered, so the longest silence between two rings is the longest that Ctrl-C would have
waited at any moment of the run. At the end of its time a case is interrupted as by Ctrl-C, and it
is told how long that took. A case takes up to 8 GB and, with its data, up to a minute.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from smartx import _core
from smartx.engine import (
    DenseKernel,
    FacilityLocation,
    GraphCut,
    LogDet,
    SimilarityGraph,
    as_rows,
    knn_graph,
    maximize,
    near_duplicates,
    quantize,
    rank_groups,
    sum_rows,
    task_gains,
)

BAR = 0.5  # seconds of CPU
TICK = 0.02
Work = Callable[[], object]


# ---- ground sets, made quickly ----


def floats(n: int, d: int) -> np.ndarray:
    """Any two rows differ; a million values come again and again."""
    values = np.random.default_rng(0).standard_normal(1_000_003, dtype=np.float32)
    return np.resize(values, (n, d))


def rows(n: int, d: int) -> np.ndarray:
    return quantize(floats(n, d))


def equal(n: int, d: int) -> np.ndarray:
    return np.repeat(rows(1, d), n, axis=0)


def random_items(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(100_000, size=10**7, dtype=np.int32)


def neighbours(n: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Lists that scatter over the rows, as if found by a search."""
    items = (np.arange(n)[:, None] + 1 + np.arange(k) * 7919) % n
    return items.astype(np.int32), np.ones((n, k), np.int32)


def band(n: int, width: int, dtype: Any = np.int32) -> SimilarityGraph:
    """A symmetric graph: every row knows itself and `width` rows on either side."""
    places = np.arange(-width, width + 1) + np.arange(n)[:, None]
    inside = (places >= 0) & (places < n)
    starts = np.concatenate([[0], np.cumsum(inside.sum(axis=1))])
    return SimilarityGraph(starts, places[inside].astype(np.int32), np.ones(inside.sum(), dtype))


def spread_kernel(n: int, wide: int) -> DenseKernel:
    """Positive definite; the first `wide` rows vary more, so all others are asked after them."""
    x = floats(n, 24) / np.float32(10)
    values = x @ x.T
    values[np.arange(n), np.arange(n)] = np.where(np.arange(n) < wide, 50, 8)
    return DenseKernel(np.maximum(values, values.T))


# ---- the cases ----


def select(function: Any, ground: Callable[[], Any], **options: Any) -> Callable[[], Work]:
    def prepared() -> Work:
        made = ground()
        n = made.n if isinstance(made, SimilarityGraph) else len(made)
        budget = options.pop("budget", n)
        return lambda: maximize(function, made, budget, threads=THREADS, **options)

    return prepared


def call(function: Callable[..., object], *arguments: Callable[[], Any], **options: Any) -> Any:
    """Calls it with the arguments, made beforehand."""

    def prepared() -> Work:
        made = [argument() for argument in arguments]
        return lambda: function(*made, **options)

    return prepared


def groups(function: Any, sizes: list[int], d: int) -> Callable[[], Work]:
    def prepared() -> Work:
        made = rows(sum(sizes), d)
        return lambda: rank_groups(made, np.array(sizes), function, threads=THREADS)

    return prepared


def repeats(n: int, d: int, sizes: list[int], threshold: float = 0.95) -> Callable[[], Work]:
    def prepared() -> Work:
        made = rows(n, d)
        order = np.concatenate([np.arange(size) for size in sizes]).astype(np.int32)
        sizes_ = np.array(sizes)
        return lambda: near_duplicates(made, sizes_, order, threshold, threads=THREADS)

    return prepared


def lists_to_graph(n: int, k: int, symmetric: bool) -> Callable[[], Work]:
    def prepared() -> Work:
        made, (items, weights) = rows(n, 4), neighbours(n, k)
        return lambda: _core.graph_of_neighbours(made, items, weights, symmetric, True)

    return prepared


THREADS = 1
CASES: dict[str, Callable[[], Work]] = {
    # fixed point, similarities
    "quantize": lambda: (lambda x: lambda: quantize(x))(floats(1_500_000, 256)),
    "check of Q12 rows": call(as_rows, lambda: rows(1_000_000, 512)),
    "sum of rows": call(sum_rows, lambda: rows(1_000_000, 512)),
    "all similarities": call(lambda x: _core.similarities(x, x), lambda: rows(8_000, 512)),
    "pairs": call(
        _core.pair_similarities,
        lambda: rows(100_000, 1024),
        lambda: random_items(0),
        lambda: random_items(1),
    ),
    "smallest similarity": call(_core.min_similarity, lambda: rows(60_000, 384)),
    # neighbours and graphs
    "k-NN": call(lambda x: knn_graph(x, 64, "exact", threads=THREADS), lambda: rows(60_000, 64)),
    "k-NN of long rows": call(lambda x: knn_graph(x, 64, "exact"), lambda: rows(12_000, 8192)),
    "k-NN of all": call(_core.neighbours, lambda: rows(9_000, 32), lambda: 8_999),
    "k-NN of equal rows": call(_core.neighbours, lambda: equal(60_000, 64), lambda: 64),
    "graph of neighbours, symmetric": lists_to_graph(400_000, 64, True),
    "graph of neighbours, directed": lists_to_graph(400_000, 64, False),
    "check of a graph": call(
        lambda g: SimilarityGraph(g.indptr, g.indices, g.weights), lambda: band(300_000, 128)
    ),
    "transposed graph": call(lambda g: g.transposed(), lambda: band(300_000, 128)),
    # facility location
    "facility location": select(FacilityLocation(), lambda: rows(30_000, 384)),
    "facility location of equal rows": select(FacilityLocation(), lambda: equal(30_000, 384)),
    "facility location, naive": select(
        FacilityLocation(), lambda: rows(20_000, 64), optimizer="naive"
    ),
    "facility location over a graph": select(FacilityLocation(), lambda: band(400_000, 32)),
    "facility location over reals": select(FacilityLocation(), lambda: band(200_000, 32, float)),
    "facility location with a head": select(
        FacilityLocation(), lambda: rows(60_000, 128), memory_bytes=1 << 28, certificate=True
    ),
    "facility location over a kernel": select(
        FacilityLocation(), lambda: DenseKernel(np.ones((14_000, 14_000), np.float64))
    ),
    "facility location with costs": select(
        FacilityLocation(), lambda: rows(20_000, 64), costs=np.arange(1.0, 20_001.0), budget=1e8
    ),
    # graph cut
    "graph cut": select(GraphCut(), lambda: rows(200_000, 256)),
    "graph cut of equal rows": select(GraphCut(), lambda: equal(100_000, 8)),
    "graph cut of long rows": select(GraphCut(), lambda: rows(20_000, 8192)),
    "graph cut, naive": select(GraphCut(), lambda: rows(60_000, 256), optimizer="naive"),
    "graph cut, by samples": select(GraphCut(), lambda: rows(200_000, 64), optimizer="stochastic"),
    "graph cut, lazier": select(
        GraphCut(), lambda: rows(200_000, 64), optimizer="lazier-than-lazy", epsilon=0.5
    ),
    "graph cut with a bound": select(
        GraphCut(), lambda: rows(50_000, 256), certificate=True, budget=10
    ),
    "graph cut over a graph": select(GraphCut(), lambda: band(400_000, 64)),
    "graph cut over a kernel": select(
        GraphCut(), lambda: DenseKernel(np.ones((18_000, 18_000), np.float64)), budget=3
    ),
    # log-det
    "log-det": select(LogDet(1e-3), lambda: rows(40_000, 384)),
    "log-det of equal rows": select(LogDet(), lambda: equal(100_000, 8)),
    "log-det of 2,048 columns": select(LogDet(), lambda: rows(2_300, 2_048)),
    "log-det of 3,072 columns": select(LogDet(), lambda: rows(3_300, 3_072), budget=3_100),
    "log-det of few long rows": select(LogDet(), lambda: rows(3_000, 8_192)),
    "log-det, naive": select(LogDet(), lambda: rows(20_000, 384), optimizer="naive"),
    "log-det, by samples": select(LogDet(), lambda: rows(40_000, 384), optimizer="stochastic"),
    "log-det with costs": select(
        LogDet(), lambda: rows(20_000, 384), costs=np.arange(1.0, 20_001.0), budget=1e8
    ),
    "log-det with a bound": select(
        LogDet(), lambda: rows(200_000, 384), certificate=True, budget=400
    ),
    "log-det over a kernel": select(LogDet(), lambda: spread_kernel(6_000, 100)),
    "log-det over a kernel, naive": select(
        LogDet(), lambda: spread_kernel(6_000, 100), optimizer="naive"
    ),
    # groups, tasks, near duplicates
    "groups of log-det": groups(LogDet(1e-3), [4_000] * 40, 256),
    "one large group": groups(FacilityLocation(), [25_000, 10, 10], 256),
    "very many groups": groups(GraphCut(), [3] * 300_000, 64),
    "tasks": call(lambda m: task_gains(m, GraphCut()), lambda: floats(8_192, 384).astype(float)),
    "near duplicates of one group": repeats(60_000, 256, [60_000]),
    "near duplicates of long rows": repeats(4_096, 4_096, [4_096]),
    "near duplicates of groups": repeats(200_000, 384, [4_000] * 50),
    "near duplicates of equal rows": call(
        lambda x: near_duplicates(x, np.array([len(x)]), np.arange(len(x), dtype=np.int32), 1.0),
        lambda: equal(200_000, 256),
    ),
}


# ---- watching one ----


@dataclass
class Watch:
    """The rings of the timer that were answered, until `seconds` of CPU are over."""

    seconds: float
    start: float = 0.0
    last: float = 0.0
    longest: float = 0.0
    longest_at: float = 0.0
    asked: float = 0.0

    def ring(self, *_: object) -> None:
        now = time.process_time()
        if now - self.last > self.longest:
            self.longest, self.longest_at = now - self.last, self.last - self.start
        self.last = now
        if now - self.start > self.seconds and not self.asked:
            self.asked = now
            raise KeyboardInterrupt

    def over(self, work: Work) -> dict[str, float]:
        """Runs it; says how long it ran, its longest silence and when, and how long it stopped."""
        signal.signal(signal.SIGPROF, self.ring)
        self.start = self.last = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, TICK, TICK)
        with contextlib.suppress(KeyboardInterrupt):
            work()
            self.seconds = math.inf  # it is over: nothing is to be stopped any more
        end = time.process_time()
        signal.signal(signal.SIGPROF, signal.SIG_IGN)
        return {
            "ran": end - self.start,
            "silence": max(self.longest, end - self.last),
            "at": self.longest_at if self.longest > end - self.last else self.last - self.start,
            "stop": end - self.asked if self.asked else 0.0,
        }


def watched(case: str, seconds: float, threads: int = 1) -> dict[str, float]:
    """What Watch.over says of a case, in a process of its own."""
    arguments = [case, "--seconds", str(seconds), "--threads", str(threads), "--here"]
    done = subprocess.run([sys.executable, __file__, *arguments], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{case}: ended with {done.returncode}\n{done.stderr}")
    return dict(json.loads(done.stdout))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="parts of names of cases; all where none is given")
    parser.add_argument("--seconds", type=float, default=20.0, help="of CPU, for each case")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--here", action="store_true", help="the one case, in this process")
    options = parser.parse_args()
    if options.here:
        global THREADS
        THREADS = options.threads
        print(json.dumps(Watch(options.seconds).over(CASES[options.names[0]]())))
        return 0
    late = 0
    print(f"{'seconds of CPU':34} {'ran':>6} {'silence':>8} {'at':>6} {'stop':>6}")
    for case in CASES:
        if not options.names or any(name in case for name in options.names):
            found = watched(case, options.seconds, options.threads)
            worst = max(found["silence"], found["stop"])
            late += worst > BAR
            print(
                f"{case:34} {found['ran']:6.2f} {found['silence']:8.2f} {found['at']:6.2f}"
                f" {found['stop']:6.2f}{'  LATE' if worst > BAR else ''}",
                flush=True,
            )
    return min(late, 1)


if __name__ == "__main__":
    sys.exit(main())
