"""Ctrl-C is answered at once, threads are what the system allows, and a fork does not hang."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from smartx.engine import FacilityLocation, default_threads, maximize
from smartx.errors import InputError

LONG_RUNS = {
    "naive": "maximize(GraphCut(), rows(60_000, 256), 60_000, optimizer='naive', threads=THREADS)",
    "lazy": "maximize(LogDet(1e-3), rows(40_000, 384), 40_000, threads=THREADS)",
    "kernel": "maximize(LogDet(), DenseKernel(np.eye(6000) + 1), 6000, optimizer='naive')",
    "groups": "rank_groups(rows(240_000, 256), np.full(60, 4000), LogDet(1e-3), threads=THREADS)",
}


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("run", LONG_RUNS)
def test_ctrl_c_is_answered_within_half_a_second(run: str, threads: int) -> None:
    program = f"""
import signal, sys, time
import numpy as np
from smartx.engine import *
THREADS = {threads}
rows = lambda n, d: quantize(np.random.default_rng(0).random((n, d), dtype=np.float32) - 0.5)
signal.signal(signal.SIGINT, signal.default_int_handler)
work = compile({LONG_RUNS[run]!r}, "work", "eval")
ground = rows(100, 8); maximize(FacilityLocation(), ground, 5)
print("started", flush=True)
try:
    eval(work)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        time.sleep(1.5)
        process.send_signal(signal.SIGINT)
        sent = time.monotonic()
        try:
            assert process.stdout.readline() == "interrupted\n"
            waited = time.monotonic() - sent
        finally:
            process.kill()
    # Half a second is promised; the rest is for a machine that is busy with other tests.
    assert waited < 1.0


def _select(threads: int) -> list[int]:
    rows = np.random.default_rng(0).normal(size=(300, 8))
    return maximize(FacilityLocation(), rows, 20, threads=threads).items.tolist()


def _warned_in_child(queue: multiprocessing.Queue[object]) -> None:
    with pytest.warns(RuntimeWarning, match="forked"):
        queue.put(_select(2))


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_works_on_one_thread_and_says_so() -> None:
    expected = _select(2)  # starts the threads of the parent, which the child will not have
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_warned_in_child, args=(queue,))
    child.start()
    try:
        assert queue.get(timeout=30) == expected
        child.join(timeout=30)
        assert child.exitcode == 0
    finally:
        child.kill()


@pytest.mark.parametrize(("setting", "most"), [("1", 1), ("3,2", 3), ("", None), ("many", None)])
def test_default_threads_keep_to_what_the_system_allows(
    setting: str, most: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", setting)
    allowed = len(os.sched_getaffinity(0))
    assert 1 <= default_threads() <= min(allowed, most or allowed)


@pytest.mark.parametrize("threads", [0, -1, 2000, 1.0, "2", True])
def test_unusable_thread_counts_are_refused(threads: object) -> None:
    with pytest.raises(InputError, match="threads"):
        maximize(FacilityLocation(), np.eye(3), 1, threads=threads)  # type: ignore[arg-type]
