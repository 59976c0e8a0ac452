"""One case: `smartx.select` on made-up rows, beside quantising and ranking the same rows alone.

weights: the law.  Both in turns; the least processor time of each counts.
"""

import time

import numpy as np
from measure import answer, arguments

import smartx
from smartx.engine import FacilityLocation, quantize, rank_groups
from smartx.strategies import LAWS

REPEATS = 5


def main():
    asked = arguments()
    rows, tasks = asked["rows"], asked["tasks"]
    rng = np.random.default_rng(0)
    X = rng.normal(size=(rows, 384)).astype(np.float32)
    task = rng.permutation(np.repeat(np.arange(tasks), rows // tasks))
    sizes = np.full(tasks, rows // tasks)
    law = LAWS.made(asked["weights"])
    means = rng.normal(size=(tasks, 384))

    def alone():
        rank_groups(quantize(X, threads=1), sizes, FacilityLocation(), threads=1)
        if law.needs_means:  # the law ranks the tasks
            smartx.task_gains(means, law.function, threads=1)

    def select():
        smartx.select(
            X, tasks=task, budget="5%", weights=law, ranker="facility-location", threads=1
        )

    seconds = {"alone": [], "select": []}
    for _ in range(REPEATS):
        for name, job in (("alone", alone), ("select", select)):
            began = time.process_time()
            job()
            seconds[name].append(time.process_time() - began)
    answer(seconds={name: min(taken) for name, taken in seconds.items()})


main()
