"""Runs inside submodlib's environment: what LazyGreedy chooses from a kernel, as one line of JSON.

    python submodlib_choice.py KERNEL.npy fl|gc|ld BUDGET

KERNEL.npy: (n, n) float32. Graph cut has lambda 0.4, log-determinant lambda 1.
"""

import json
import sys
import time
import warnings

import numpy as np

warnings.simplefilter("ignore")  # it reads scipy.sparse.csr, which is deprecated
from submodlib import (  # noqa: E402
    FacilityLocationFunction,
    GraphCutFunction,
    LogDeterminantFunction,
)


def main():
    path, function, budget = sys.argv[1:]
    kernel = np.load(path)
    common = {"n": len(kernel), "mode": "dense"}
    if function == "fl":
        chosen = FacilityLocationFunction(sijs=kernel, separate_rep=False, **common)
    elif function == "gc":
        chosen = GraphCutFunction(ggsijs=kernel, lambdaVal=0.4, separate_rep=False, **common)
    else:
        chosen = LogDeterminantFunction(sijs=kernel, lambdaVal=1.0, **common)
    clock = time.process_time()
    picks = chosen.maximize(budget=int(budget), optimizer="LazyGreedy", show_progress=False)
    print(
        json.dumps(
            {
                "items": [int(item) for item, _ in picks],
                "gains": [float(gain) for _, gain in picks],
                "cpu_seconds": time.process_time() - clock,
            }
        )
    )


if __name__ == "__main__":
    main()
