"""How many threads there are on a system that does not say which processors are ours."""

from __future__ import annotations

import os

import pytest

from smartx.engine import default_threads
from smartx.engine.threads import thread_limits


@pytest.mark.parametrize(("processors", "threads"), [(3, 3), (None, 1)])
def test_without_affinity_the_processors_are_counted(
    processors: int | None, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: processors)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert thread_limits()["processors"] == threads
    assert "affinity" not in thread_limits()
    assert 1 <= default_threads() <= threads
