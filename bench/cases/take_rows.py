"""One case: the rows that a budget of a tenth takes of a corpus of the shape of FLAN 2022, made up
in memory: what there is, who gets how much, and which rows.

how: "rows", "tokens", or "demands": tokens, with floors, caps, a pin, exclusions, rows that must be
in and rows that may not be, rounded so that mixtures are nested.
"""

import numpy as np
from flan.shape import flan
from measure import answer, arguments, measured

from smartx.amounts import amount, demands
from smartx.budget import Demands, allot, chosen_rows, supply_of, total_of
from smartx.corpus import Groups
from smartx.weights import Power

WANTED = Demands(
    floors=demands(["niv2_task*=1000"]),
    caps=demands(["*=1%"]),
    pins=demands(["cot/=2%"]),
    excludes=("t0_task010*",),
)


def main():
    asked = arguments()
    shape = flan(1.0, "groups", 0)
    groups = Groups(
        shape.source, shape.task, shape.template, shape.starts[:-1].copy(), shape.sizes.copy()
    )
    rng = np.random.default_rng(0)
    tokens = rng.lognormal(3, 1.2, shape.rows).astype(np.int64)
    group = np.repeat(np.arange(len(groups)), shape.sizes)
    order = np.lexsort((rng.random(shape.rows), group))
    limits, wanted, rounding = {}, None, None
    if asked["how"] != "rows":
        limits["tokens"] = tokens
    if asked["how"] == "demands":
        wanted, rounding = WANTED, "monotone"
        limits["included"] = (rng.random(shape.rows) < 1e-4) & (group < len(groups) // 2)
        limits["takeable"] = limits["included"] | (rng.random(shape.rows) > 0.05)

    def job(watch):
        with watch.stage("supply"):
            supply = supply_of(groups, **limits)
        with watch.stage("allot"):
            total = total_of(amount("10%"), groups, supply, wanted)
            allotment = allot(
                groups, Power(), means=None, total=total, seed=0,
                demands=wanted, rounding=rounding, supply=supply,
            )  # fmt: skip
        with watch.stage("take"):
            return total, chosen_rows(order, groups, allotment, **limits)

    (total, taken), record = measured(job)
    answer(
        runs=[record],
        total=total,
        lacking=total - int(taken.amounts.sum()),
        rows=len(taken.places),
        of={"rows": shape.rows, "tasks": shape.tasks, "groups": len(groups)},
    )


main()
