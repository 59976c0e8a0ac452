"""A cluster of Ray on this machine: a head without processors, and nodes beside it."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from conftest import REPOSITORY

NO_RAY = "Ray is not installed (pip install smartx-mix[ray])"
_STARTING_SECONDS, _TRIES = 180, 4  # for nodes; machines of tests are shared and slow


@contextmanager
def cluster_of(nodes: int = 2, *, processors: int = 1, joined: bool = True) -> Iterator[Any]:
    """A ray.cluster_utils.Cluster, whose workers find what is in tests/.

    joined: this process is in it; others join by its address, as RAY_ADDRESS.
    """
    seen = os.pathsep.join([str(REPOSITORY / "tests"), os.environ.get("PYTHONPATH", "")])
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")  # Ray's own
        patch.setenv("PYTHONPATH", seen)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")  # not behind all else that a machine does
        patch.setenv("RAY_memory_monitor_refresh_ms", "0")  # what others hold ends no worker
        import ray
        from ray.cluster_utils import Cluster

        made = patiently(Cluster, initialize_head=True, head_node_args={"num_cpus": 0})
        try:
            for _ in range(nodes):
                patiently(made.add_node, num_cpus=processors)
            made.wait_for_nodes(timeout=_STARTING_SECONDS)
            if joined:
                ray.init(made.address, log_to_driver=False)
            yield made
        finally:
            if joined:
                ray.shutdown()
            made.shutdown()


def patiently(start: Callable[..., Any], **options: Any) -> Any:
    """Ray gives a node 30 seconds to start, which a machine with other work may not keep to."""
    for _ in range(_TRIES - 1):
        try:
            return start(**options)
        except Exception as problem:
            if "timed out during startup" not in str(problem):
                raise
    return start(**options)
