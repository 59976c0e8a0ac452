"""Several OpenMP runtimes in one process: the core's beside those of torch and scikit-learn.

A repaired wheel holds a libgomp of its own, as those of torch and scikit-learn do. Run by `make
test` with the runtime of this machine, and against a wheel with the wheel's:

    pip install --no-deps --target FOLDER dist/*.whl && PYTHONPATH=FOLDER pytest tests/test_wheel_openmp.py
"""  # noqa: E501

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest

SECONDS = 300  # far more than is needed: a deadlock would take for ever

# Each library works on two threads in turn, then a forked child chooses on one; the answers are
# those of one thread, and of numpy in float64.
WORK = """
import os, sys, warnings
import numpy as np
for name in sys.argv[1:]:
    __import__(name)
import smartx
from smartx.doctor import openmp_runtimes

rows = np.random.default_rng(0).normal(size=(1500, 32)).astype(np.float32)

def chosen(threads):
    best = smartx.maximize(smartx.FacilityLocation(), rows, 60, threads=threads)
    return best.indices.tolist()

wanted = chosen(1)
for _ in range(3):
    assert chosen(2) == wanted
    if "torch" in sys.argv:
        import torch
        torch.set_num_threads(2)
        tensor = torch.from_numpy(rows)
        product = (tensor @ tensor.T).relu().sum(dim=1).numpy()
        exact = rows.astype(np.float64) @ rows.T.astype(np.float64)
        assert np.allclose(product, np.maximum(exact, 0).sum(axis=1), rtol=1e-4)
    if "sklearn.cluster" in sys.argv:
        from sklearn.cluster import KMeans
        found = KMeans(4, n_init=1, random_state=0).fit(rows)
        gaps = rows.astype(np.float64)[:, None] - found.cluster_centers_[None]
        assert np.mean(found.labels_ == (gaps**2).sum(axis=2).argmin(axis=1)) > 0.999
assert chosen(2) == wanted
child = os.fork()
if child == 0:
    warnings.simplefilter("ignore")  # that it has one thread
    os._exit(0 if chosen(2) == wanted else 1)
assert os.waitpid(child, 0)[1] == 0
assert chosen(2) == wanted  # and the parent has its threads still
print("runtimes:", *openmp_runtimes(), sep="\\n")
"""

ORDERS = [
    ("torch", "smartx"),
    ("smartx", "torch"),
    ("smartx", "sklearn.cluster"),
    ("sklearn.cluster", "torch", "smartx"),
    ("smartx", "torch", "sklearn.cluster"),
]


@pytest.mark.processes
@pytest.mark.skipif(not hasattr(sys, "getdlopenflags"), reason="needs fork")
@pytest.mark.parametrize("order", ORDERS, ids=" then ".join)
def test_every_library_works_on_its_threads_whatever_was_loaded_first(order):
    for name in order:
        if find_spec(name.split(".")[0]) is None:
            pytest.skip(f"{name} is not installed")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WORK, *order],
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr
    assert "runtimes:" in done.stdout
