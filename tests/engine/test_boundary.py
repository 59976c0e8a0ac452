"""Between Python and the core: what is refused there, and that nothing there ends the process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ground_sets import same
from q12_reference import random_rows
from smartx import _core
from smartx.engine import FacilityLocation, GraphCut, LogDet, maximize, resolve_threads
from smartx.errors import InputError

ROWS = random_rows(40, 8, 1)
FUNCTIONS: list[Any] = [_core.FacilityLocation(), _core.GraphCut(0.4), _core.LogDet(1.0)]
COVER = _core.Request(_core.FacilityLocation(), 3)
PAID = _core.Request(_core.FacilityLocation(), 0, costs=np.ones(9), total=3.0)


def graph(*columns: int) -> Any:
    """One row for each column; row i lists columns[i]."""
    count = len(columns)
    return (
        np.arange(count + 1, dtype=np.int64),
        np.array(columns, dtype=np.int32),
        np.ones(count),
    )


@pytest.mark.parametrize(
    ("call", "place"),
    [
        (lambda: _core.GraphCut(-1.0), "penalty"),
        (lambda: _core.GraphCut(1e13), "penalty"),
        (lambda: _core.GraphCut(float("nan")), "penalty"),
        (lambda: _core.LogDet(1e-13), "ridge"),
        (lambda: _core.LogDet(float("inf")), "ridge"),
        (lambda: _core.Request(FUNCTIONS[0], -1), "budget"),
        (lambda: _core.Request(FUNCTIONS[0], 1 << 40), "budget"),
        (lambda: _core.Request(FUNCTIONS[0], 3, epsilon=1.0), "epsilon"),
        (lambda: _core.Request(FUNCTIONS[0], 3, epsilon=float("nan")), "epsilon"),
        (lambda: _core.Request(FUNCTIONS[0], 3, candidates=-1), "candidates"),
        (lambda: _core.Request(FUNCTIONS[0], 0, costs=np.zeros(40), total=1.0), "costs"),
        (lambda: _core.Request(FUNCTIONS[0], 0, costs=np.full(40, np.inf), total=1.0), "costs"),
        (lambda: _core.Request(FUNCTIONS[0], 0, costs=np.ones(40), total=-1.0), "total"),
        (lambda: _core.maximize_rows(ROWS, _core.Request(FUNCTIONS[0], 41)), "budget"),
        (lambda: _core.maximize_rows(ROWS, PAID), "costs"),
        (lambda: _core.maximize_rows(ROWS, COVER, 0), "threads"),
        (lambda: _core.maximize_rows(ROWS, COVER, 10**6), "threads"),
        (lambda: _core.maximize_kernel(np.ones((4, 3)), COVER), "kernel"),
        (lambda: _core.rank_groups(ROWS, np.array([39], np.int64), FUNCTIONS[0]), "sizes"),
        (lambda: _core.rank_groups(ROWS, np.array([-1, 41], np.int64), FUNCTIONS[0]), "sizes"),
        (lambda: _core.dense_worth(ROWS, np.array([3, 3], np.int32)), "items"),
    ],
)  # fmt: skip
def test_the_core_itself_refuses_what_is_out_of_range(
    call: Callable[[], object], place: str
) -> None:
    with pytest.raises(InputError) as caught:
        call()
    assert caught.value.place == place


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("column", [-1, 3, 2**31 - 1])
def test_a_wild_index_of_a_graph_is_an_error(function: _core.Objective, column: int) -> None:
    with pytest.raises(InputError, match=f"lists column {column} of 3"):
        _core.maximize_graph(*graph(0, column, 1), _core.Request(function, 2))
    falling = (np.array([0, 2, 1], np.int64), *graph(0, 1)[1:])
    with pytest.raises(InputError, match="indptr"):
        _core.maximize_graph(*falling, _core.Request(function, 2))


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("value", [1e308, -1e308, np.inf, np.nan])
@pytest.mark.parametrize("threads", [1, 2])
def test_similarities_whose_sums_overflow_are_refused(
    function: _core.Objective, value: float, threads: int
) -> None:
    kernel = np.full((70, 70), value)
    with pytest.raises(InputError, match=r"1e100|finite"):
        _core.maximize_kernel(kernel, _core.Request(function, 2), threads)
    indptr, indices, _ = graph(0, 1)
    with pytest.raises(InputError, match=r"1e100|finite"):
        _core.maximize_graph(
            indptr, indices, np.full(2, value), _core.Request(function, 2), threads
        )


def test_a_request_keeps_its_costs() -> None:
    """They were a view of an array that nobody held."""
    costs = np.random.default_rng(0).random(40) + 0.1
    request = _core.Request(_core.FacilityLocation(), 0, costs=costs.copy(), total=3.0)
    np.full((200, 40), -1.0)  # where the copy was
    items, *_ = _core.maximize_rows(ROWS, request)
    expected = maximize(FacilityLocation(), ROWS, 3.0, costs=costs)
    assert items.tolist() == expected.items.tolist()
    costs[:] = 100.0
    again, *_ = _core.maximize_rows(ROWS, request)
    assert again.tolist() == items.tolist()


# ---- the instruction set ----

ENTRY_POINTS = """
import numpy as np, smartx
from smartx import _core
from smartx.engine import *
x = np.random.default_rng(0).normal(size=(20, 4))
rows = np.rint(4087 * x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.int16)
kernel = (x @ x.T + x @ x.T) / 2
kernel = np.triu(kernel) + np.triu(kernel, 1).T
graph = lambda: SimilarityGraph(np.arange(3), np.arange(2), np.ones(2))
sizes, order = np.array([20]), np.arange(20, dtype=np.int32)
calls = [lambda: quantize(x), lambda: as_rows(rows), lambda: sum_rows(rows), lambda: graph(),
         lambda: knn_graph(rows, 3), lambda: near_duplicates(rows, sizes, order, 0.9),
         lambda: task_gains(x, GraphCut()), lambda: simd_level(), lambda: resolve_threads(None)]
for f in (FacilityLocation(), GraphCut(), LogDet()):
    calls += [lambda f=f: maximize(f, rows, 3), lambda f=f: maximize(f, DenseKernel(kernel), 3),
              lambda f=f: rank_groups(rows, sizes, f)]
calls += [lambda: _core.quantize(x, 1), lambda: _core.kernel16(rows),
          lambda: _core.neighbours(rows, 2),
          lambda: _core.cosine_kernel(x, 1), lambda: _core.check_q12(rows, 1),
          lambda: _core.maximize_rows(rows, _core.Request(_core.GraphCut(0.4), 3))]
for number, call in enumerate(calls):
    try:
        call()
    except smartx.SmartxError as fault:
        assert isinstance(fault, ValueError) and fault.place == "SMARTX_SIMD", (number, fault)
    else:
        raise SystemExit(f"call {number} went on")
print(len(calls))
"""


def test_an_unknown_instruction_set_is_one_error_from_every_entry_point() -> None:
    """It aborted the process in graph cut and log-det."""
    environment = {**os.environ, "SMARTX_SIMD": "bogus"}
    child = subprocess.run(
        [sys.executable, "-c", ENTRY_POINTS],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (child.returncode, child.stdout) == (0, "24\n"), child.stderr


# ---- threads ----


def test_no_more_threads_are_used_than_twice_the_processors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("smartx.engine.threads.thread_limits", lambda: {"affinity": 2})
    assert [resolve_threads(count) for count in (1, 8, 9, 1024)] == [1, 8, 8, 8]
    limits = {"affinity": 48, "OMP_NUM_THREADS": 1}
    monkeypatch.setattr("smartx.engine.threads.thread_limits", lambda: limits)
    assert [resolve_threads(count) for count in (None, 8, 96, 97)] == [1, 8, 96, 96]


@pytest.mark.parametrize("function", [FacilityLocation(), GraphCut(), LogDet()])
def test_as_many_threads_as_may_be_asked_for_change_nothing(function: Any) -> None:
    assert same(maximize(function, ROWS, 40, threads=1024), maximize(function, ROWS, 40))


# ---- the end of the interpreter ----

AT_THE_END = """
import sys, threading, time
import numpy as np
from smartx import _core
from smartx.engine import *
from smartx.errors import InputError
rows = quantize(np.random.default_rng(0).random((4_000, 32), dtype=np.float32) - 0.5)
kernel = np.array([[1.0, 2.0], [2.0, 1.0]])
def refused(threads):
    try:
        maximize(LogDet(0.5), DenseKernel(kernel), 2, threads=threads)
    except InputError:
        pass
works = {
    "long": lambda threads: maximize(LogDet(1e-3), rows, 4_000, threads=threads),
    "short": lambda threads: _core.similarities(rows[:40], rows[:40], "", threads),
    "refused": refused,
}
work, threads, wait = works[sys.argv[1]], int(sys.argv[2]), float(sys.argv[3])
def forever():
    while True:
        work(threads)
for _ in range(3):
    threading.Thread(target=forever, daemon=True).start()
end = time.perf_counter() + wait
while time.perf_counter() < end:
    sum(range(100))
"""


@pytest.mark.slow
@pytest.mark.parametrize("work", ["long", "short", "refused"])
@pytest.mark.parametrize("threads", [1, 2])
def test_the_interpreter_ends_well_while_daemon_threads_are_in_the_core(
    work: str, threads: int
) -> None:
    """It aborted: Python unwinds a thread that comes for the GIL then, and no frame survived it."""
    for wait in (0.0, 0.01, 0.1, 0.2):
        command = [sys.executable, "-c", AT_THE_END, work, str(threads), str(wait)]
        child = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert (child.returncode, child.stderr) == (0, "")
