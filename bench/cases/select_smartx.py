"""One case: smartx orders clustered vectors, for each budget in turn."""

from measure import alone, answer, arguments, measured
from objective import PENALTY, RIDGE, judged
from vectors import clustered

import smartx

FUNCTIONS = {
    "fl": smartx.FacilityLocation(),
    "gc": smartx.GraphCut(penalty=PENALTY),
    "ld": smartx.LogDet(ridge=RIDGE),
}


def main():
    asked = arguments()
    vectors = clustered(asked["n"], asked["d"])
    function = FUNCTIONS[asked["function"]]
    smartx.maximize(function, vectors[:64], budget=5, threads=asked["threads"])
    limit = {"memory_bytes": asked["memory_bytes"]} if "memory_bytes" in asked else {}
    runs = []
    for budget in asked["budgets"]:

        def order(_, threads=asked["threads"], budget=budget):
            return smartx.maximize(function, vectors, budget=budget, threads=threads, **limit)

        chosen, record = measured(order, alone(order, asked))
        assert len(set(chosen.items.tolist())) == budget
        runs.append(
            record
            | {"budget": budget, "engine": chosen.engine, "evaluations": chosen.evaluations}
            | judged(asked["function"], vectors, chosen.items)
        )
    answer(runs=runs)


main()
