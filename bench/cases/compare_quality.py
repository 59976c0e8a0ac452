"""One case: what the engines' objectives are worth, in float64, against a dense float64 greedy.

data: "t0" (real sentence embeddings) or "synthetic".
"""

import heapq

import numpy as np
from measure import answer, arguments
from objective import PENALTY, RIDGE, prefix_values
from vectors import clustered, t0_rows

import smartx

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
    given = t0_rows(n) if asked["data"] == "t0" else clustered(n, 384)
    rows = given.astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    budgets = [max(1, round(share * n)) for share in SHARES]
    if name == "fl":
        function, truth = smartx.FacilityLocation(), facility_location(rows @ rows.T)
    elif name == "gc":
        function, truth = smartx.GraphCut(penalty=PENALTY), graph_cut(rows @ rows.T)
    else:
        function, truth = smartx.LogDet(ridge=RIDGE), log_det(rows)
    best = prefix_values(name, rows, truth, budgets)
    engines = {}
    for engine, memory in {"dense": 1 << 40, "sparse": 0}.items():
        if engine == "sparse" and name != "fl":
            continue  # the others have one engine
        values = []
        for budget in budgets:  # each on its own: an engine may spend its care on the budget
            chosen = smartx.maximize(
                function, given, budget=budget, threads=asked["threads"], memory_bytes=memory
            )
            values += prefix_values(name, rows, chosen.items, [budget])
        engines[engine] = [value / other for value, other in zip(values, best, strict=True)]
    answer(budgets=budgets, engines=engines)


main()
