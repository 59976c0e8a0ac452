"""One case, in submodlib's environment: LazyGreedy over clustered vectors, for each budget in turn.

kernel "own": its C++ computes the similarities; "given": its create_kernel, by BLAS, is passed in.
"""

import warnings

import numpy as np
from measure import answer, arguments, measured
from objective import PENALTY, RIDGE, judged
from vectors import clustered

warnings.simplefilter("ignore")  # it reads scipy.sparse.csr, which is deprecated
from submodlib import (  # noqa: E402
    FacilityLocationFunction,
    GraphCutFunction,
    LogDeterminantFunction,
)
from submodlib.helper import create_kernel  # noqa: E402


def function_of(name, n, kernel):
    """The function over a kernel that was given."""
    if name == "fl":
        return FacilityLocationFunction(n=n, mode="dense", separate_rep=False, sijs=kernel)
    if name == "gc":
        return GraphCutFunction(
            n=n, mode="dense", separate_rep=False, lambdaVal=PENALTY, ggsijs=kernel
        )
    return LogDeterminantFunction(n=n, mode="dense", lambdaVal=RIDGE, sijs=kernel)


def job(asked, vectors, budget, watch):
    if asked["kernel"] == "own":
        with watch.stage("kernel"):
            function = FacilityLocationFunction(
                n=len(vectors), mode="dense", separate_rep=False, data=vectors,
                create_dense_cpp_kernel_in_python=False,
            )  # fmt: skip
    else:
        with watch.stage("kernel"):
            kernel = create_kernel(X=vectors, metric="cosine", method="sklearn")
        with watch.stage("construct"):
            function = function_of(asked["function"], len(vectors), kernel)
    with watch.stage("maximize"):
        picks = function.maximize(budget=budget, optimizer="LazyGreedy", show_progress=False)
    return np.array([item for item, _ in picks])


def main():
    asked = arguments()
    vectors = clustered(asked["n"], asked["d"])
    create_kernel(X=vectors[:32], metric="cosine", method="sklearn")  # lazy imports: unmeasured
    runs = []
    for budget in asked["budgets"]:
        items, record = measured(lambda watch, budget=budget: job(asked, vectors, budget, watch))
        runs.append(record | {"budget": budget} | judged(asked["function"], vectors, items))
    answer(runs=runs)


main()
