"""One case: many small groups ranked in one call. sizes: "mixed", 1..50 evenly, or one size."""

import numpy as np
from measure import alone, answer, arguments, measured
from objective import PENALTY, RIDGE
from vectors import clustered

import smartx
from smartx.engine import quantize, rank_groups

FUNCTIONS = {
    "fl": smartx.FacilityLocation(),
    "gc": smartx.GraphCut(penalty=PENALTY),
    "ld": smartx.LogDet(ridge=RIDGE),
}


def main():
    asked = arguments()
    groups = asked["groups"]
    if asked["sizes"] == "mixed":
        sizes = np.random.default_rng(0).permutation(np.arange(groups) % 50 + 1)
    else:
        sizes = np.full(groups, asked["sizes"])
    different = quantize(clustered(min(int(sizes.sum()), 65_536), asked["d"]))
    rows = np.resize(different, (int(sizes.sum()), asked["d"]))  # repeats them: time is the same
    function = FUNCTIONS[asked["function"]]

    def rank(_, threads=asked["threads"]):
        return rank_groups(rows, sizes, function, threads=threads)

    (order, _), record = measured(rank, alone(rank, asked))
    ends = np.cumsum(sizes)
    for place in range(0, groups, max(1, groups // 100)):
        part = order[ends[place] - sizes[place] : ends[place]]
        assert sorted(part.tolist()) == list(range(sizes[place]))
    answer(runs=[record | {"rows": len(rows)}])


main()
