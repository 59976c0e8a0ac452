"""Facility location above the memory of a dense kernel: graph, dense head, exact value, bound."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ground_sets import UNIT, clustered, same
from smartx import _core
from smartx.engine import FacilityLocation, knn_graph, maximize, quantize
from smartx.errors import InputError

LIMIT = 20_000  # bytes: a head of 5 rows from 25 candidates of 200
ROWS = quantize(clustered(200))


def kernel_of(rows: NDArray[np.int16]) -> NDArray[np.float64]:
    exact = rows.astype(np.int64) @ rows.T.astype(np.int64)
    return np.minimum((np.maximum(exact, 0) + 128) >> 8, 65535) * 256.0 / UNIT


def with_head(
    rows: NDArray[np.int16], candidates: int, head: int, budget: int, threads: int = 1
) -> tuple[list[int], list[float]]:
    graph = knn_graph(rows, 8, "exact")
    request = _core.Request(_core.FacilityLocation(), budget)
    items, gains, *_ = _core.maximize_with_head(
        rows, graph.indptr, graph.indices, graph.weights, candidates, head, request, threads
    )
    return items.tolist(), gains.tolist()


def test_a_head_of_all_rows_is_the_dense_order() -> None:
    dense = maximize(FacilityLocation(), ROWS, 200)
    assert with_head(ROWS, 200, 200, 200) == (dense.items.tolist(), dense.gains.tolist())


def test_no_head_is_the_order_of_the_graph() -> None:
    graph = maximize(FacilityLocation(), knn_graph(ROWS, 8, "exact"), 200)
    assert with_head(ROWS, 50, 0, 200) == (graph.items.tolist(), graph.gains.tolist())


def test_the_head_is_dense_greedy_among_the_first_of_the_graph() -> None:
    graph = maximize(FacilityLocation(), knn_graph(ROWS, 8, "exact"), 200).items
    candidates = sorted(graph[:40].tolist())
    kernel, covered, expected = kernel_of(ROWS), np.zeros(200), []
    for _ in range(9):
        gains = {v: np.maximum(kernel[v] - covered, 0).sum() for v in candidates}
        best = max((v for v in candidates if v not in expected), key=lambda v: (gains[v], -v))
        expected.append(best)
        covered = np.maximum(covered, kernel[best])
    items, gains_found = with_head(ROWS, 40, 9, 200)
    assert items[:9] == expected
    assert sum(gains_found[:9]) == pytest.approx(covered.sum())
    assert sorted(items) == list(range(200))


def test_budgets_threads_and_optimizers_do_not_change_the_ranking() -> None:
    whole = maximize(FacilityLocation(), ROWS, 200, memory_bytes=LIMIT)
    assert whole.engine == "graph+dense-head"
    assert sorted(whole.items.tolist()) == list(range(200))
    for budget in (0, 1, 4, 5, 6, 100):
        part = maximize(FacilityLocation(), ROWS, budget, memory_bytes=LIMIT)
        assert part.items.tolist() == whole.items[:budget].tolist()
        assert part.gains.tobytes() == whole.gains[:budget].tobytes()
    others: list[dict[str, Any]] = [{"threads": 1}, {"threads": 3}, {"optimizer": "naive"}]
    for options in others:
        assert same(whole, maximize(FacilityLocation(), ROWS, 200, memory_bytes=LIMIT, **options))


def test_samples_go_without_a_head() -> None:
    options: dict[str, Any] = {"optimizer": "stochastic", "memory_bytes": LIMIT}
    assert maximize(FacilityLocation(), ROWS, 9, **options).engine == "graph"
    assert maximize(FacilityLocation(), ROWS[:7], 3, memory_bytes=0).engine == "graph"


@pytest.mark.parametrize("n", [1, 2, 47, 49, 200])
@pytest.mark.parametrize("threads", [1, 3])
def test_the_exact_value_and_the_bound_are_those_of_the_dense_kernel(n: int, threads: int) -> None:
    rows = ROWS[:n]
    kernel = kernel_of(rows)
    for budget in {0, 1, n // 3, n}:
        selection = maximize(
            FacilityLocation(), rows, budget, memory_bytes=0, certificate=True, threads=threads
        )
        chosen = selection.items
        covered = kernel[:, chosen].max(axis=1, initial=0.0)
        gains = np.maximum(kernel - covered[:, None], 0).sum(axis=0)
        assert selection.exact_value == pytest.approx(covered.sum(), rel=1e-12)
        gap = np.sort(np.delete(gains, chosen))[::-1][:budget].sum()
        assert selection.bound == pytest.approx(covered.sum() + gap, rel=1e-12)


def test_no_set_is_better_than_the_bound_over_a_graph() -> None:
    rows = ROWS[:12]
    kernel = kernel_of(rows)
    for budget in (1, 3, 11):
        selection = maximize(FacilityLocation(), rows, budget, memory_bytes=0, certificate=True)
        best = max(kernel[:, list(s)].max(axis=1).sum() for s in combinations(range(12), budget))
        assert selection.bound is not None
        assert selection.exact_value is not None
        assert selection.exact_value <= best + 1e-9 <= selection.bound + 2e-9


def test_rows_and_items_that_do_not_fit_are_refused_by_the_core() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        with_head(ROWS, 201, 5, 10)
    with pytest.raises(ValueError, match="do not fit"):
        with_head(ROWS, 5, 6, 10)
    for wrong in ([0, 0], [200], [-1]):
        with pytest.raises(InputError, match="items"):
            _core.dense_worth(ROWS, np.array(wrong, np.int32), 1)


@pytest.mark.corpus
def test_no_budget_loses_more_than_a_hundredth_to_the_dense_engine(real_data: Path) -> None:
    rows = np.ascontiguousarray(np.load(real_data / "t0_minilm_q12.npy", mmap_mode="r")[::9])
    n = len(rows)
    dense = maximize(FacilityLocation(), rows, n)
    sparse = maximize(FacilityLocation(), rows, n, memory_bytes=2 * n * n // 8)
    assert sparse.engine == "graph+dense-head"
    worth = np.cumsum(dense.gains)
    for share in (0.0015, 0.01, 0.1, 0.5):
        budget = int(share * n)
        value, _ = _core.dense_worth(rows, sparse.items[:budget], 2)
        assert value >= 0.99 * worth[budget - 1]
