"""Greedy graph cut over rows by epochs: always what asking for every gain every round chooses."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ground_sets import clustered
from smartx import _core
from smartx.engine import SCALE, GraphCut, maximize, quantize

PENALTIES = [0.0, 0.25, 0.4, 0.5, 1.0, 5.0, 1e-9, 1e9]
CANDIDATES = [1, 2, 7, 64, 0]


def order(
    rows: NDArray[np.int16], penalty: float, budget: int, candidates: int, threads: int = 1
) -> tuple[bytes, bytes]:
    optimizer = _core.Optimizer.lazy if candidates >= 0 else _core.Optimizer.naive
    request = _core.Request(
        _core.GraphCut(penalty), budget, optimizer, candidates=max(candidates, 0)
    )
    items, gains, *_ = _core.maximize_rows(rows, request, threads)
    return items.tobytes(), gains.tobytes()


def opposed(n: int, d: int = 6) -> NDArray[np.float32]:
    """Rows and their negatives: half of the similarities are below zero, row sums near it."""
    rows = np.random.default_rng(n).normal(size=(n // 2 + 1, d))
    return np.concatenate([rows, -rows])[:n].astype(np.float32)


def lines(n: int) -> NDArray[np.float32]:
    """All on one line through the origin, so nothing stands at right angles to the mean."""
    signs = np.where(np.random.default_rng(1).random(n) < 0.3, -1.0, 1.0)
    return (signs[:, None] * np.array([[3.0, 4.0, 0.0]])).astype(np.float32)


def far_from_the_mean(n: int) -> NDArray[np.float32]:
    """A large bundle and a few rows against it, which rise while the bundle is chosen."""
    rows = clustered(n, d=8) * 0.2 + np.eye(8, dtype=np.float32)[0]
    rows[:: max(2, n // 7)] *= -1
    return rows


GROUND_SETS = {
    "clustered": clustered(300),
    "opposed": opposed(240),
    "lines": lines(90),
    "copies": np.repeat(clustered(40), 5, axis=0),
    "one": np.repeat(clustered(1), 130, axis=0),
    "against": far_from_the_mean(260),
    "axes": np.tile(np.concatenate([np.eye(5), -np.eye(5)]), (12, 1)),
    "wide": np.random.default_rng(2).normal(size=(60, 1100)),
}


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("name", GROUND_SETS)
def test_any_number_of_candidates_gives_what_naive_greedy_gives(name: str, penalty: float) -> None:
    rows = quantize(GROUND_SETS[name])
    naive = order(rows, penalty, len(rows), -1)
    for candidates in CANDIDATES:
        assert order(rows, penalty, len(rows), candidates) == naive


@settings(max_examples=150, deadline=None)
@given(
    values=st.lists(st.tuples(*[st.integers(-2, 2)] * 3).filter(any), min_size=1, max_size=24),
    penalty=st.sampled_from(PENALTIES),
    candidates=st.sampled_from(CANDIDATES),
)
def test_small_sets_of_few_directions_are_ordered_as_naive_greedy_orders_them(
    values: list[tuple[int, ...]], penalty: float, candidates: int
) -> None:
    rows = quantize(np.array(values, dtype=np.float64))
    assert order(rows, penalty, len(rows), candidates) == order(rows, penalty, len(rows), -1)


@pytest.mark.parametrize("candidates", [3, 40, 0])
def test_a_smaller_budget_is_a_prefix_for_any_candidates(candidates: int) -> None:
    rows = quantize(far_from_the_mean(200))
    whole = np.frombuffer(order(rows, 0.4, 200, candidates)[0], np.int32)
    for budget in (0, 1, 5, 77, 199):
        part = np.frombuffer(order(rows, 0.4, budget, candidates)[0], np.int32)
        assert part.tolist() == whole[:budget].tolist()


def test_threads_change_no_byte_of_large_epochs() -> None:
    rows = quantize(clustered(6000, d=20))
    one = order(rows, 0.4, 900, 0, threads=1)
    assert order(rows, 0.4, 900, 0, threads=2) == one
    assert order(rows, 0.4, 900, 700, threads=3) == one


SCRIPT = """
import hashlib, sys
import numpy as np
from smartx.engine import FacilityLocation, GraphCut, LogDet, maximize
digest = hashlib.sha256()
for d in (1, 7, 32, 33, 384, 1030, 2100):
    rng = np.random.default_rng(d)
    rows = rng.normal(size=(120, d)) + rng.normal(size=d) * 0.5
    rows[40:60] = rows[0]
    for function in (FacilityLocation(), GraphCut(0.4), GraphCut(2.0), LogDet(1.0), LogDet(0.01)):
        chosen = maximize(function, rows, 120)
        digest.update(chosen.items.tobytes() + chosen.gains.tobytes())
print(digest.hexdigest())
"""


def test_every_instruction_set_selects_the_same_bytes() -> None:
    digests = {
        level: subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, "SMARTX_SIMD": level},
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        ).stdout
        for level in _core.simd_levels()
    }
    assert len(digests["generic"]) == 65
    assert set(digests.values()) == {digests["generic"]}


@pytest.mark.parametrize("penalty", [0.0, 0.4, 0.5, 2.0])
@pytest.mark.parametrize("name", ["clustered", "opposed", "against", "axes"])
def test_no_set_of_rows_is_better_than_the_bound(name: str, penalty: float) -> None:
    q = quantize(GROUND_SETS[name])[:13]
    kernel = q.astype(np.float64) @ q.T.astype(np.float64) / SCALE**2
    for budget in (1, 2, 5, 12, 13):
        selection = maximize(GraphCut(penalty), q, budget, certificate=True)
        best = max(
            kernel[:, list(s)].sum() - penalty * kernel[np.ix_(s, s)].sum()
            for s in combinations(range(13), budget)
        )
        assert selection.bound is not None
        assert best <= selection.bound + 1e-9
        assert selection.value <= selection.bound


def test_the_bound_of_graph_cut_is_near() -> None:
    """Also where similarities are negative."""
    selection = maximize(GraphCut(0.4), clustered(400), 80, certificate=True)
    assert selection.bound is not None
    assert selection.bound <= 1.1 * selection.value


@pytest.mark.corpus
def test_real_rows_are_ordered_as_naive_greedy_orders_them(real_data: Path) -> None:
    rows = np.ascontiguousarray(np.load(real_data / "t0_minilm_q12.npy", mmap_mode="r")[::23])
    naive = order(rows, 0.4, len(rows), -1, threads=2)
    for candidates in (0, 100):
        assert order(rows, 0.4, len(rows), candidates) == naive
