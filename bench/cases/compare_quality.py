"""One case: what the engines' objectives are worth, in float64, against a dense float64 greedy.

data: "t0" (real sentence embeddings) or "synthetic". Greedy's own noise stands beside: the same
float64 greedy on rows that were moved by no more than half a unit of Q12 (2^-13 a value), valued on
the rows as they are. One pick that falls otherwise changes all picks after it.
"""

import heapq

import numpy as np
from measure import answer, arguments
from objective import PENALTY, RIDGE, prefix_values
from vectors import clustered, t0_rows

import smartx

FUNCTIONS = {
    "fl": smartx.FacilityLocation(),
    "gc": smartx.GraphCut(penalty=PENALTY),
    "ld": smartx.LogDet(ridge=RIDGE),
}
UNIT = 0.998 * 4096  # length of a Q12 row
SHARES = (0.0015, 0.01, 0.1, 0.5, 1.0)


def facility_location(kernel):
    """Lazy greedy by the formula; ties to the lower row."""
    best = np.zeros(len(kernel))
    heap = [(-float(np.maximum(row, 0.0).sum()), item, 0) for item, row in enumerate(kernel)]
    heapq.heapify(heap)
    order = []
    while heap:
        _, item, at = heapq.heappop(heap)
        if at < len(order):
            gain = float(np.maximum(kernel[item] - best, 0.0).sum())
            heapq.heappush(heap, (-gain, item, len(order)))
            continue
        order.append(item)
        np.maximum(best, kernel[item], out=best)
    return order


def graph_cut(kernel):
    gains = kernel.sum(axis=1) - PENALTY * np.diag(kernel)
    return _greedy(gains, lambda item: gains.__isub__(2 * PENALTY * kernel[item]))


def log_det(rows):
    """Gains log(r + x' (I + X_S' X_S / r)^-1 x) by rank-one updates of the inverse."""
    inverse = np.eye(rows.shape[1])
    variances = np.einsum("ij,ij->i", rows, rows)
    gains = np.log(RIDGE + variances)

    def add(item):
        along = inverse @ rows[item]
        scale = RIDGE + rows[item] @ along
        variances.__isub__((rows @ along) ** 2 / scale)
        inverse.__isub__(np.outer(along, along) / scale)
        gains[:] = np.log(RIDGE + variances)

    return _greedy(gains, add)


def greedy(name, rows):
    if name == "ld":
        return log_det(rows)
    kernel = rows @ rows.T
    return facility_location(kernel) if name == "fl" else graph_cut(kernel)


def ratios(values, others):
    return [value / other for value, other in zip(values, others, strict=True)]


def _greedy(gains, add):
    left, order = np.ones(len(gains), dtype=bool), []
    for _ in range(len(gains)):
        item = int(np.argmax(np.where(left, gains, -np.inf)))
        left[item] = False
        order.append(item)
        add(item)
    return order


def main():
    asked = arguments()
    n, name = asked["n"], asked["function"]
    function = FUNCTIONS[name]
    given = t0_rows(n) if asked["data"] == "t0" else clustered(n, 384)
    rows = given.astype(np.float64)
    # Q12 rows are taken as they are: their lengths differ by some 1e-4, and to level them out would
    # make another kernel.
    rows /= UNIT if given.dtype == np.int16 else np.linalg.norm(rows, axis=1, keepdims=True)
    budgets = [max(1, round(share * n)) for share in SHARES]
    best = prefix_values(name, rows, greedy(name, rows), budgets)
    nudged = rows + np.random.default_rng(0).uniform(-0.5, 0.5, rows.shape) / 4096
    noise = prefix_values(name, rows, greedy(name, nudged), budgets)
    engines = {"noise": ratios(noise, best)}
    kernel = 2 * n * n
    for engine, memory in {"dense": 2 * kernel, "sparse": kernel // 20, "graph": 0}.items():
        if engine != "dense" and name != "fl":
            continue  # the others have one engine
        values = []
        for budget in budgets:  # each on its own: an engine may spend its care on the budget
            chosen = smartx.maximize(
                function, given, budget=budget, threads=asked["threads"], memory_bytes=memory
            )
            values += prefix_values(name, rows, chosen.items, [budget])
        engines[engine] = ratios(values, best)
    answer(budgets=budgets, engines=engines)


main()
