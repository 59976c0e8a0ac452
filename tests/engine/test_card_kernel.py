"""The 16-bit kernel made on a card, and greedy over a ready kernel: the bits of the core."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import q12_reference as reference
from cards import FAST, SLOW, STAND_IN, Heard, RoundingCard, TightCard, put_card
from ground_sets import same
from smartx import _core
from smartx.engine import FacilityLocation, GraphCut, knn_graph, maximize, rank_groups
from smartx.engine import on_card as choice
from smartx.engine.card import Card, CardError
from smartx.engine.card_kernel import card_kernel
from smartx.engine.cost import card_kernel_seconds, kernel_seconds


@pytest.fixture
def card_here(monkeypatch: pytest.MonkeyPatch) -> Any:
    return partial(put_card, monkeypatch)


def assert_as_the_core(
    rows: NDArray[np.int16],
    items: NDArray[np.int32] | None = None,
    memory: int | None = None,
    card: Card = STAND_IN,
) -> None:
    kernel = card_kernel(card, rows, items, memory=memory)
    wanted = _core.kernel16(rows) if items is None else _core.kernel16(rows)[items]
    assert kernel.dtype == np.uint16
    assert kernel.ctypes.data % 64 == 0
    assert kernel.shape == (len(wanted), -(-len(rows) // 32) * 32)
    assert np.array_equal(kernel[:, : len(rows)], wanted)
    assert not kernel[:, len(rows) :].any()


@pytest.mark.parametrize(
    ("n", "d"), [(1, 3), (2, 1), (31, 8), (33, 8), (700, 33), (1500, 384), (500, 1024)]
)
def test_a_kernel_is_that_of_the_core_in_blocks_of_any_size(n: int, d: int) -> None:
    rows = reference.random_rows(n, d, seed=n)
    assert_as_the_core(rows)
    for memory in (4 << 20, 16 << 20):
        if 24 * d * n < memory:
            assert_as_the_core(rows, None, memory)
    some = np.arange(0, n, 3, dtype=np.int32)
    assert_as_the_core(rows, some)


def test_the_largest_and_the_negative_similarities_are_clipped() -> None:
    for d in (1, 2, 30, 385):
        rows = reference.extreme_rows(150, d)
        assert_as_the_core(rows)
        kernel = card_kernel(STAND_IN, rows)[:, :150]
        assert np.array_equal(kernel, reference.kernel16(rows))
        assert (kernel == 0).any()
    assert (card_kernel(STAND_IN, reference.extreme_rows(150, 30)) == 65535).any()


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 90), st.integers(1, 5), st.integers(0, 999))
def test_any_small_kernel_agrees_with_the_reference(n: int, d: int, seed: int) -> None:
    rows = np.random.default_rng(seed).integers(-3, 4, (n, d)).astype(np.int16) * np.int16(500)
    found = card_kernel(STAND_IN, rows)[:, :n]
    assert np.array_equal(found, reference.kernel16(rows))


def test_where_memory_runs_out_blocks_are_halved() -> None:
    rows = reference.random_rows(900, 16, seed=4)
    card = TightCard("cpu", most=300 * 928)
    assert_as_the_core(rows, None, None, card)
    assert {shape[0] for shape in card.shapes} == {224}
    for hopeless in (partial(card_kernel, TightCard("cpu")), partial(card_kernel, STAND_IN)):
        with pytest.raises(CardError, match="no room"):
            hopeless(rows, memory=4000)


@pytest.mark.parametrize("after", [0, 1])
def test_a_card_that_rounds_is_refused(after: int) -> None:
    rows = reference.random_rows(200, 8, seed=6)
    with pytest.raises(CardError, match=r"not exact|other similarities"):
        card_kernel(RoundingCard("cpu", bits=5, after=after), rows)


# ---- greedy over it ----


def head_of(rows: NDArray[np.int16], **request: Any) -> list[Any]:
    """What the core does in one call, and in two with a kernel that is ready in between."""
    graph = knn_graph(rows, 8, device="cpu")
    arrays = graph.indptr, graph.indices, graph.weights.astype(np.int32)
    first = request.get("first")
    left = len(rows) - (0 if first is None else len(first))
    budget = request.pop("budget", left)
    asked = _core.Request(_core.FacilityLocation(), budget, **request)
    whole = _core.maximize_with_head(rows, *arrays, 60, 20, asked, 2)
    proposing = _core.Request(_core.FacilityLocation(), min(60, left), **request)
    items = np.sort(_core.maximize_graph(*arrays, proposing, 2)[0])
    kernel = card_kernel(STAND_IN, rows, items)
    parts = _core.maximize_with_ready_head(rows, *arrays, items, kernel, 20, asked, 2)
    return [whole, parts]


@pytest.mark.parametrize("budget", [0, 1, 19, 20, 21, None])
def test_the_head_over_a_ready_kernel_is_that_of_the_core(budget: int | None) -> None:
    rows = reference.random_rows(300, 12, seed=7)
    rows[150:160] = rows[0]
    asked = {} if budget is None else {"budget": budget}
    first = np.array([3, 77, 150], dtype=np.int32)
    templates = np.random.default_rng(0).integers(0, 4, 300).astype(np.int32)
    for request in ({}, {"first": first}, {"templates": templates},
                    {"first": first, "templates": templates}):  # fmt: skip
        whole, parts = head_of(rows, **asked, **request)
        assert whole[0].tobytes() == parts[0].tobytes()
        assert whole[1].tobytes() == parts[1].tobytes()


@pytest.mark.parametrize("optimizer", ["lazy", "naive"])
def test_a_dense_group_is_ordered_alike_over_a_kernel_of_the_card(
    card_here: Any, optimizer: Any
) -> None:
    rows = reference.random_rows(400, 12, seed=8)
    by_core = maximize(FacilityLocation(), rows, 400, optimizer=optimizer)
    card, heard = RoundingCard("cpu"), Heard()
    card_here(card, FAST)
    with choice.similarities_on("auto", heard):
        by_card = maximize(FacilityLocation(), rows, 400, optimizer=optimizer)
    assert heard.notes == ["similarities of 400 with 400 rows: on torch on cpu"]
    assert same(by_card, by_core)
    assert by_card.evaluations == by_core.evaluations


def test_some_equal_rows_change_nothing_and_many_are_left_to_the_core(card_here: Any) -> None:
    card = RoundingCard("cpu")
    for equal, used in [(20, True), (200, False)]:
        rows = reference.random_rows(400, 12, seed=9)
        rows[400 - equal :] = rows[:equal]
        by_core = maximize(FacilityLocation(), rows, 400)
        with pytest.MonkeyPatch.context() as patch:
            put_card(patch, card, FAST)
            card.shapes.clear()
            by_card = maximize(FacilityLocation(), rows, 400)
        assert bool(card.shapes) == used
        assert by_card.items.tobytes() == by_core.items.tobytes()
        assert by_card.gains.tobytes() == by_core.gains.tobytes()


def test_samples_costs_and_certificates_are_left_to_the_core(card_here: Any) -> None:
    rows, card = reference.random_rows(200, 12, seed=10), RoundingCard("cpu")
    card_here(card, FAST)
    maximize(FacilityLocation(), rows, 20, optimizer="stochastic")
    maximize(FacilityLocation(), rows, 20, certificate=True)
    maximize(FacilityLocation(), rows, 20, costs=np.ones(200))
    maximize(GraphCut(), rows, 20)
    assert card.shapes == []


@pytest.mark.parametrize("limit", [1 << 30, 2 * 100 * 128])
def test_groups_are_ranked_alike_with_templates_and_rows_that_come_first(
    card_here: Any, limit: int
) -> None:
    sizes = np.array([300, 0, 90, 1, 260])
    rows = reference.random_rows(int(sizes.sum()), 16, seed=11)
    templates = np.concatenate([np.arange(n) % max(1, min(n, 3)) for n in sizes]).astype(np.int32)
    first = np.random.default_rng(1).random(len(rows)) < 0.05
    asked: dict[str, Any] = {"templates": templates, "first": first, "memory_bytes": limit}
    by_core = rank_groups(rows, sizes, FacilityLocation(), **asked)
    card = RoundingCard("cpu")
    card_here(card, FAST)
    by_card = rank_groups(rows, sizes, FacilityLocation(), **asked)
    assert card.shapes
    for one, other in zip(by_core, by_card, strict=True):
        assert one.tobytes() == other.tobytes()


def test_a_card_at_fault_or_too_slow_leaves_the_order_as_it_is(card_here: Any) -> None:
    rows, heard = reference.random_rows(300, 16, seed=12), Heard()
    by_core = maximize(FacilityLocation(), rows, 300)
    for card, speed, notes in [
        (RoundingCard("cpu", bits=8), FAST, 1), (RoundingCard("cpu"), SLOW, 0),
    ]:  # fmt: skip
        card_here(card, speed)
        heard.notes.clear()
        with choice.similarities_on("auto", heard):
            assert same(maximize(FacilityLocation(), rows, 300), by_core)
        assert len(heard.notes) == notes


def test_kernels_that_do_not_fit_are_refused_by_the_core() -> None:
    request = _core.Request(_core.FacilityLocation(), 3)
    kernel = card_kernel(STAND_IN, reference.random_rows(40, 4, seed=1))
    graph = knn_graph(reference.random_rows(40, 4, seed=1), 5)
    arrays = graph.indptr, graph.indices, graph.weights.astype(np.int32)
    rows, items = reference.random_rows(40, 4, seed=1), np.arange(40, dtype=np.int32)
    frozen = kernel.copy()
    frozen.flags.writeable = False
    for wrong in (kernel[:, :32].copy(), kernel[:, :39].copy(), frozen):
        with pytest.raises(ValueError, match="kernel"):
            _core.maximize_kernel16(wrong, request)
        with pytest.raises(ValueError, match="kernel"):
            _core.maximize_with_ready_head(rows, *arrays, items, wrong, 3, request)
    with pytest.raises(TypeError):
        _core.maximize_kernel16(kernel.astype(np.int32), request)
    with pytest.raises(ValueError, match="ascending"):
        _core.maximize_with_ready_head(rows, *arrays, items[::-1].copy(), kernel, 3, request)
    with pytest.raises(ValueError, match="head"):
        _core.maximize_with_ready_head(rows, *arrays, items, kernel, 41, request)
    for other in (_core.Request(_core.GraphCut(0.4), 3),
                  _core.Request(_core.FacilityLocation(), 3, certificate=True)):  # fmt: skip
        with pytest.raises(ValueError, match="request"):
            _core.maximize_kernel16(kernel, other)


def test_the_model_says_that_a_card_pays_for_long_rows_on_few_threads() -> None:
    from smartx.engine import Speed

    def saved(d: int, threads: int) -> float:
        core = kernel_seconds(40_000, 40_000, d, Speed(200e9 * threads, threads))
        return core - card_kernel_seconds(40_000, 40_000, d, speed)

    speed = replace(choice.NOMINAL_CARD, start=0.0)
    assert saved(1024, 1) > 0 > saved(384, 16)
