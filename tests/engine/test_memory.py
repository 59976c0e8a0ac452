"""What ranking and searching really take, in a process of their own, against what was said."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from smartx.engine import knn_graph
from smartx.engine.memory import neighbour_bytes
from smartx.errors import InputError

TOOK = """
import ctypes, sys
import numpy as np
from smartx.engine import *
from smartx.engine.memory import neighbour_bytes
def status(name):
    lines = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return int(lines[name].split()[0]) << 10
what, n, d, threads = sys.argv[1], *map(int, sys.argv[2:5])
rng = np.random.default_rng(0)
rows = np.concatenate([quantize(rng.random((n // 4, d), dtype=np.float32) - 0.5) for _ in "abcd"])
maximize(FacilityLocation(), rows[:50], 5, threads=threads)
try:
    ctypes.CDLL(None).malloc_trim(0)
    open("/proc/self/clear_refs", "w").write("5")
except (AttributeError, OSError):
    raise SystemExit("cannot be measured here")
before = status("VmRSS")
if what.isdigit():
    k = int(what)
    knn_graph(rows, k, threads=threads)
    said = neighbour_bytes(n, d, k, threads)
else:
    function = eval(what)
    limit = 2 * n * n // 8 if "sparse" in sys.argv else 4 << 30
    known = {}
    if "balanced" in sys.argv:
        known["templates"] = rng.integers(0, 40, n).astype(np.int32)
        known["first"] = rng.random(n) < 0.3
    rank_groups(rows, np.array([n]), function, threads=threads, memory_bytes=limit, **known)
    said = ranking_bytes(n, d, function, limit, threads)
print(status("VmHWM") - before, said)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="read from /proc")
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(
    "arguments",
    [
        ["FacilityLocation()", "8000", "64"],
        ["FacilityLocation()", "8000", "64", "sparse"],
        ["FacilityLocation()", "8000", "64", "balanced"],
        ["FacilityLocation()", "8000", "64", "balanced", "sparse"],
        ["GraphCut()", "20000", "64"],
        ["GraphCut()", "20000", "64", "balanced"],
        ["LogDet()", "8000", "256"],
        ["LogDet()", "8000", "256", "balanced"],
        ["LogDet()", "1500", "1024"],
        ["LogDet()", "1000", "1024"],
        ["LogDet(0.01)", "500", "2048"],
        ["64", "20000", "128"],
        ["1000", "4000", "32"],
        ["1500", "1500", "32"],
    ],
    ids=" ".join,
)
def test_what_is_held_is_within_what_was_said(arguments: list[str], threads: int) -> None:
    command = [sys.executable, "-c", TOOK, *arguments[:3], str(threads), *arguments[3:]]
    child = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if child.stderr.strip() == "cannot be measured here":
        pytest.skip(child.stderr)
    took, said = map(int, child.stdout.split())
    assert 0.25 * said < took <= said + (4 << 20)


def test_a_graph_that_does_not_fit_is_refused_with_both_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = np.random.default_rng(0).normal(size=(3_000, 8))
    needed = neighbour_bytes(3_000, 8, 2_999, 1) >> 20
    monkeypatch.setattr("smartx.engine.memory.available_bytes", lambda: 100 << 20)
    with pytest.raises(InputError) as caught:
        knn_graph(rows, 5_000, threads=1)
    words = [caught.value.place, "2,999", "3,000", f"{needed:,} MiB", "100 MiB", "smaller k"]
    assert all(word in str(caught.value) for word in words), caught.value
    assert knn_graph(rows, 10, threads=1).n == 3_000
