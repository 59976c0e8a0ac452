"""The package hnswlib, which has no wheels: it is compiled where it is installed."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from typing import Any

from smartx.errors import MissingPackageError, SmartxError

# Its setup.py passes -march=native unless this variable is set, so that what one machine made, or
# a cache of wheels that machines share, may hold instructions that another has not.
_INSTALL = 'HNSWLIB_NO_NATIVE=1 pip install --force-reinstall --no-cache-dir "hnswlib>=0.8"'
_SECONDS = 60.0
_PROBE = """
import hnswlib, numpy as np
for space in ("ip", "l2"):
    for d in (4, 16, 19):
        index = hnswlib.Index(space=space, dim=d)
        index.init_index(max_elements=40, random_seed=0)
        index.add_items(np.eye(40, d, dtype=np.float32), num_threads=1)
        index.knn_query(np.eye(3, d, dtype=np.float32), k=3, num_threads=1)
"""


def load_hnswlib() -> Any:
    """The module, once it has made a small index in another process: a processor without an
    instruction of it ends the process at once.

    Raises MissingPackageError where it is not installed, SmartxError where it cannot run here.
    """
    try:
        import hnswlib
    except ImportError:
        raise MissingPackageError(
            "hnswlib",
            needed_for='knn_graph with method="hnsw"',
            extra="hnsw",
            note="it is compiled then; with HNSWLIB_NO_NATIVE=1 set, for other processors too",
        ) from None
    fault = hnswlib_fault()
    if fault is not None:
        raise SmartxError(fault, fix=f'{_INSTALL}, or method="exact", which needs no package')
    return hnswlib


@functools.cache
def hnswlib_fault() -> str | None:
    """Why the installed hnswlib does not run on this processor; None if it does, or is absent."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROBE],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            timeout=_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None  # nothing is known
    if done.returncode >= 0:  # also where that process does not find what this one has
        return None
    return f"hnswlib was compiled for another processor: it ends by signal {-done.returncode}"
