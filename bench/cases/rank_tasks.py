"""One case: tasks of the shape of FLAN 2022, of one class of size, ranked in two ways: each
template by itself, and whole tasks with their templates balanced.

low, high: rows of a task, above `low`.  count: how many tasks of the class, spread over their
sizes, the largest among them.
"""

import numpy as np
from flan.shape import flan
from flan.vectors import Geometry
from measure import answer, arguments, measured
from objective import PENALTY, RIDGE

import smartx
from smartx.engine import quantize, rank_groups

FUNCTIONS = {
    "fl": smartx.FacilityLocation(),
    "gc": smartx.GraphCut(penalty=PENALTY),
    "ld": smartx.LogDet(ridge=RIDGE),
}


def main():
    asked = arguments()
    shape = flan(1.0, "groups", 0)
    sizes = np.bincount(shape.task_of, shape.sizes).astype(np.int64)
    of_class = np.flatnonzero((sizes > asked["low"]) & (sizes <= asked["high"]))
    of_class = of_class[np.argsort(sizes[of_class], kind="stable")]
    chosen = of_class[_spread(len(of_class), asked["count"])]
    groups = [np.flatnonzero(shape.task_of == task) for task in chosen.tolist()]
    rows = _rows(Geometry(shape, asked["d"], 0), groups)
    own = shape.sizes[np.concatenate(groups)]
    templates = np.concatenate([np.arange(len(g), dtype=np.int32) for g in groups]).repeat(own)
    function, threads = FUNCTIONS[asked["function"]], asked["threads"]

    def per_template(_):
        return rank_groups(rows, own, function, threads=threads)

    def balanced(_):
        return rank_groups(rows, sizes[chosen], function, templates=templates, threads=threads)

    runs = []
    for job in (per_template, balanced):
        (order, _), record = measured(job)
        runs.append(record)
    _check(order, sizes[chosen], templates)
    groups_of_class = shape.sizes[np.isin(shape.task_of, of_class)]
    answer(
        runs=runs,
        tasks=len(of_class),
        rows=int(sizes[of_class].sum()),
        pairs={"template": _pairs(groups_of_class), "task": _pairs(sizes[of_class])},
        sampled={
            "tasks": len(chosen),
            "rows": len(rows),
            "largest": int(sizes[chosen].max()),
            "pairs": {"template": _pairs(own), "task": _pairs(sizes[chosen])},
        },
    )


def _spread(count, wanted):
    """Rising places, evenly spread, the last among them."""
    places = np.linspace(0, count - 1, min(wanted, count) + 1)[1:]
    return np.unique(places.round().astype(np.int64))


def _rows(geometry, groups):
    """The rows of the groups as Q12, a group at a time: float32 takes twice as much."""
    starts = geometry.shape.starts
    return np.concatenate(
        [quantize(geometry.rows(np.arange(starts[own[0]], starts[own[-1] + 1]))) for own in groups]
    )


def _pairs(sizes):
    return int((sizes.astype(np.int64) ** 2).sum())


def _check(order, sizes, templates):
    """Every prefix of every task holds each template's share, rounded up or down."""
    for size, start in zip(sizes.tolist(), (np.cumsum(sizes) - sizes).tolist(), strict=True):
        own = templates[start : start + size][order[start : start + size]]
        shares = np.bincount(own) / size
        for template, share in enumerate(shares.tolist()):
            got = np.cumsum(own == template)
            assert (np.abs(got - share * np.arange(1, size + 1)) < 1.0 - 1e-9).all()


main()
