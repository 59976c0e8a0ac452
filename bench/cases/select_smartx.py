"""One case: smartx orders clustered vectors, for each budget in turn."""

from measure import answer, arguments, measured
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
        chosen, record = measured(
            lambda _, budget=budget: smartx.maximize(
                function, vectors, budget=budget, threads=asked["threads"], **limit
            )
        )
        assert len(set(chosen.items.tolist())) == budget
        runs.append(
            record
            | {"budget": budget, "engine": chosen.engine, "evaluations": chosen.evaluations}
            | judged(asked["function"], vectors, chosen.items)
        )
    answer(runs=runs)


main()
