"""One case, in apricot's environment: its lazy optimizer over clustered vectors, by budget.

It compiles its loops again in every fit. numba tells when it compiles, so that those seconds are
subtracted exactly; `compile_check` is the other way to know them, a fit of 64 rows.
"""

import time

import numpy as np
from apricot import FacilityLocationSelection, GraphCutSelection
from measure import Watch, answer, arguments, measured
from numba.core import event
from objective import PENALTY, judged
from vectors import clustered


class CompileClock(event.Listener):
    """CPU and wall seconds that numba spent compiling; nested compilations count once."""

    def __init__(self):
        self.cpu = self.wall = 0.0
        self.depth = 0

    def on_start(self, _):
        self.depth += 1
        if self.depth == 1:
            self.started = time.process_time(), time.perf_counter()

    def on_end(self, _):
        self.depth -= 1
        if self.depth == 0:
            self.cpu += time.process_time() - self.started[0]
            self.wall += time.perf_counter() - self.started[1]


def kernel_of(vectors):
    """float64, negatives set to 0: it converts other types and refuses negatives."""
    kernel = (vectors @ vectors.T).astype(np.float64)
    return np.maximum(kernel, 0.0, out=kernel)


def fitted(function, kernel, budget):
    common = {"metric": "precomputed", "optimizer": "lazy", "random_state": 0}
    if function == "gc":
        # alpha * coverage - redundancy with alpha = 1 / penalty is f / penalty: the same picks.
        return GraphCutSelection(budget, alpha=1 / PENALTY, **common).fit(kernel)
    return FacilityLocationSelection(budget, **common).fit(kernel)


def job(function, vectors, budget, watch):
    with watch.stage("kernel"):
        kernel = kernel_of(vectors)
    clock = CompileClock()
    with watch.stage("fit"), event.install_listener("numba:compile", clock):
        selector = fitted(function, kernel, budget)
    watch.cpu["compile"], watch.wall["compile"] = clock.cpu, clock.wall
    return np.asarray(selector.ranking)


def net(record):
    """The record with the seconds of its stages, compilation taken out."""
    for unit, stages in (("cpu", "stages"), ("wall", "stages_wall")):
        spent = record[stages]
        record[unit] = spent["kernel"] + spent["fit"] - spent["compile"]
    return record


def main():
    asked = arguments()
    vectors = clustered(asked["n"], asked["d"])
    function = asked["function"]
    few = kernel_of(vectors[:64])
    fitted(function, few, 5)
    watch = Watch()
    with watch.stage("fit"):
        fitted(function, few, 5)
    runs = []
    for budget in asked["budgets"]:
        items, record = measured(lambda watch, budget=budget: job(function, vectors, budget, watch))
        judgement = judged(function, vectors, items)
        distinct = len(set(items.tolist()))
        runs.append(net(record) | {"budget": budget, "distinct": distinct} | judgement)
    answer(runs=runs, compile_check=watch.cpu["fit"])


main()
