"""One case: what this core can do at most, and how near the similarities of smartx come to it.

An operation is one multiplication or one addition. The peaks need g++ on x86; they are left out
where it is missing.
"""

import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
from measure import answer, arguments
from vectors import clustered

from smartx import _core  # noqa: TID251  the levels are no part of the package's interface
from smartx.engine import quantize


def peaks():
    compiler = shutil.which("g++")
    if compiler is None:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder, "limits")
        source = Path(__file__).with_name("limits.cpp")
        built = subprocess.run(
            [compiler, "-O3", "-std=c++17", source, "-o", program], capture_output=True, check=False
        )
        if built.returncode:
            return {}
        done = subprocess.run([program], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def best_rate(operations, work):
    """Operations a second, in thousands of millions: the best of three."""
    seconds = []
    for _ in range(3):
        started = time.process_time()
        work()
        seconds.append(time.process_time() - started)
    return operations / min(seconds) / 1e9


def main():
    asked = arguments()
    n = asked["n"]
    similarities, gemm = {}, {}
    for d in (384, 1024):
        vectors = clustered(n, d)
        some = vectors[: n // 2]
        gemm[d] = best_rate(2 * len(some) * n * d, lambda a=some, b=vectors: a @ b.T)
        rows = quantize(vectors)
        expected = None
        for level in _core.simd_levels():
            products = n * (n - 1) * d  # a multiplication and an addition for each pair
            fewer = rows if level != "generic" else np.ascontiguousarray(rows[: n // 4])
            share = (len(fewer) * (len(fewer) - 1)) / (n * (n - 1))
            similarities[f"{level} {d}"] = best_rate(
                products * share, lambda r=fewer, at=level: _core.min_similarity(r, at)
            )
            found = _core.similarities(rows[:300], rows[:300], level)
            expected = found if expected is None else expected
            assert (found == expected).all()
    answer(peaks=peaks(), gemm=gemm, similarities=similarities)


main()
