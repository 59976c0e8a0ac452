"""Neighbours on a card, with torch's CPU device in the place of one: the bits of the core."""

from __future__ import annotations

import subprocess
import sys
import warnings
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import q12_reference as reference
from cards import (
    FAST,
    SLOW,
    STAND_IN,
    Heard,
    PiecesCard,
    RoundingCard,
    SumsCard,
    TightCard,
    put_card,
)
from smartx import _core
from smartx.engine import FacilityLocation, Speed, knn_graph, maximize, ranking_seconds
from smartx.engine import on_card as choice
from smartx.engine.card import Card, CardError, card_named
from smartx.engine.card_rows import probe_rows
from smartx.engine.cost import CardSpeed, card_neighbour_seconds, neighbour_seconds
from smartx.engine.gpu import Tiles, best_keys, card_neighbours, tiles_for
from smartx.errors import InputError

torch: Any = pytest.importorskip("torch", reason="torch is not installed")


def assert_as_the_core(
    rows: NDArray[np.int16], k: int, memory: int | None = None, card: Card = STAND_IN
) -> None:
    items, similarities = card_neighbours(card, rows, k, memory=memory)
    wanted_items, wanted = _core.neighbours(rows, k)
    assert items.dtype == similarities.dtype == np.int32
    assert np.array_equal(items, wanted_items)
    assert np.array_equal(similarities, wanted)


@pytest.mark.parametrize(
    ("n", "d", "k"),
    [
        (2, 1, 1),
        (3, 2, 2),
        (31, 8, 30),
        (33, 8, 5),
        (333, 33, 64),
        (1500, 8, 64),
        (3000, 384, 64),
        (3000, 8, 1),
        (700, 1024, 64),
        (900, 384, 899),
    ],
)
def test_neighbours_are_those_of_the_core_in_tiles_of_any_size(n: int, d: int, k: int) -> None:
    rows = reference.random_rows(n, d, seed=n)
    assert_as_the_core(rows, k)
    least = Tiles(32, 32).bytes(d, k)
    for memory in (2 * least, 20 * least) if n < 1000 else (40 * least, 100 * least):
        assert_as_the_core(rows, k, memory)


def test_among_equal_rows_the_lower_wins_within_and_across_tiles() -> None:
    rng = np.random.default_rng(0)
    for distinct, n, d, k in [(40, 1000, 24, 64), (1, 300, 5, 7), (9, 700, 384, 30)]:
        rows = reference.random_rows(distinct, d, seed=1)[rng.integers(0, distinct, n)]
        for memory in (None, 2 * Tiles(32, 32).bytes(d, k), 8 * Tiles(32, 64).bytes(d, k)):
            assert_as_the_core(rows, k, memory)


def test_extreme_rows_and_negative_similarities() -> None:
    for d in (1, 2, 30, 385):
        for k in (1, 20, 149):
            assert_as_the_core(reference.extreme_rows(150, d), k)


def test_every_later_row_being_nearer_changes_nothing() -> None:
    angle = np.linspace(0.0, 1.5, 1200)
    rows = np.trunc(4000 * np.stack([np.cos(angle), np.sin(angle)], axis=1)).astype(np.int16)
    for some in (rows, rows[::-1].copy()):
        assert_as_the_core(some, 16, 4 * Tiles(32, 32).bytes(2, 16))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_small_set_agrees_with_a_stable_sort(data: st.DataObject) -> None:
    n, d = data.draw(st.integers(2, 120)), data.draw(st.integers(1, 5))
    values = st.integers(-3, 3)  # many ties, both signs
    flat = data.draw(st.lists(values, min_size=n * d, max_size=n * d))
    rows = np.array(flat, dtype=np.int16).reshape(n, d) * np.int16(500)
    k = data.draw(st.integers(1, n - 1))
    items, similarities = card_neighbours(STAND_IN, rows, k)
    wanted_items, wanted = reference.nearest(rows, k)
    assert np.array_equal(items, wanted_items)
    assert np.array_equal(similarities, wanted)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 6), st.integers(1, 40), st.integers(1, 40), st.integers(0, 999))
def test_the_best_of_chunks_are_the_best_of_all(b: int, chunks: int, k: int, seed: int) -> None:
    """Also where many values are equal, and both ways of looking are taken."""
    values = np.random.default_rng(seed).integers(-3, 3, (b, 32 * chunks))
    keys = best_keys(torch, torch.from_numpy(values).float(), k).numpy()
    k = min(k, values.shape[1])
    order = np.argsort(-values, axis=1, kind="stable")[:, :k]
    assert np.array_equal((1 << 32) - 1 - (keys & ((1 << 32) - 1)), order)
    assert np.array_equal(keys >> 32, np.take_along_axis(values, order, axis=1))


def test_keys_tell_columns_apart_at_the_ends_of_their_ranges() -> None:
    values = torch.tensor([[-(2.0**24), 2.0**24, -(2.0**24), -(2.0**25)] + [0.0] * 28])
    keys = best_keys(torch, values, 32).numpy()[0]
    assert ((1 << 32) - 1 - (keys & ((1 << 32) - 1))).tolist() == [1, *range(4, 32), 0, 2, 3]
    assert (keys >> 32).tolist() == [2**24, *[0] * 28, -(2**24), -(2**24), -(2**25)]


@settings(max_examples=100, deadline=None)
@given(
    st.integers(2, 10**7), st.sampled_from([8, 384, 1024]), st.integers(1, 2000),
    st.integers(2 << 20, 4 << 30),
)  # fmt: skip
def test_tiles_keep_to_the_memory_and_cover_the_rows(n: int, d: int, k: int, memory: int) -> None:
    tiles = tiles_for(n, d, k, memory)
    if tiles is None:
        assert Tiles(32, 32).bytes(d, k) > memory
        return
    assert tiles.bytes(d, k) <= memory
    assert tiles.down % 32 == tiles.across % 32 == 0
    for size in (tiles.down, tiles.across):
        assert size * -(-n // size) < n + 32 * -(-n // size)  # hardly any row is padding


def test_the_memory_that_is_given_decides_the_tiles() -> None:
    rows = reference.random_rows(2000, 16, seed=2)
    wide, narrow = RoundingCard("cpu"), RoundingCard("cpu")
    assert_as_the_core(rows, 5, None, wide)
    assert_as_the_core(rows, 5, 1 << 20, narrow)
    assert set(wide.shapes) == {(2016, 2016)}
    assert len(set(narrow.shapes)) == 1
    assert max(np.prod(shape) for shape in narrow.shapes) * 4 <= 1 << 20


def test_rows_that_do_not_fit_are_sent_block_by_block() -> None:
    rows = reference.random_rows(1500, 384, seed=3)  # 1.1 MiB
    rows.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_as_the_core(rows, 9, 3 << 20)


def test_where_memory_runs_out_tiles_are_halved_until_they_fit() -> None:
    rows = reference.random_rows(1000, 16, seed=4)
    card = TightCard("cpu", most=256 * 256)
    assert_as_the_core(rows, 5, None, card)
    assert card.shapes
    assert max(np.prod(shape) for shape in card.shapes) <= 256 * 256
    with pytest.raises(CardError, match="no room"):
        card_neighbours(TightCard("cpu"), rows, 5)
    with pytest.raises(CardError, match="no room"):
        card_neighbours(STAND_IN, rows, 5, memory=1000)


@pytest.mark.parametrize("card", [
    RoundingCard("cpu", bits=8), RoundingCard("cpu", bits=11), PiecesCard("cpu"), SumsCard("cpu"),
], ids=["bfloat16", "TF32", "pieces", "sums"])  # fmt: skip
@pytest.mark.parametrize("d", [2, 8, 384, 1024])
def test_a_card_that_rounds_is_refused_before_it_works(card: Card, d: int) -> None:
    """Rows of 384 values show none of it themselves: their entries have 8 bits."""
    rows = reference.random_rows(100, d, seed=5)
    with pytest.raises(CardError, match="not exact"):
        card_neighbours(card, rows, 5)
    assert_as_the_core(rows, 5, None, RoundingCard("cpu", bits=12))  # Q12 needs no more


def test_a_card_that_begins_to_round_while_it_works_is_refused() -> None:
    rows = reference.random_rows(600, 8, seed=6)
    with pytest.raises(CardError, match="gives row"):
        card_neighbours(RoundingCard("cpu", bits=5, after=1), rows, 5)


def test_the_probe_has_large_entries_and_small_ones() -> None:
    for d in (1, 2, 8, 384, 1024):
        rows = probe_rows(d)
        assert rows.shape == (256, d)
        assert np.abs(rows).max() > 4000
        assert _core.check_q12(rows, 1)[0] == ""
    assert (np.abs(probe_rows(384)) % 2 == 1).any()


def old_and_new_settings() -> list[Any]:
    found = []
    for read in (
        torch.get_float32_matmul_precision,
        lambda: torch.backends.cuda.matmul.allow_tf32,
        lambda: torch.backends.cuda.matmul.fp32_precision,
        lambda: torch.backends.mkldnn.matmul.fp32_precision,
        lambda: torch.is_autocast_enabled("cpu"),
    ):
        try:
            found.append(read())
        except (RuntimeError, AttributeError) as fault:
            found.append(type(fault))
    return found


@pytest.fixture
def settings_of_torch() -> Any:
    yield
    torch.set_float32_matmul_precision("highest")
    for backend in (torch.backends.cuda, torch.backends.mkldnn):
        if hasattr(getattr(backend, "matmul", None), "fp32_precision"):
            backend.matmul.fp32_precision = "none"


def look_inside_and_fail() -> None:
    with STAND_IN.exact_products():
        assert torch.get_float32_matmul_precision() == "highest"
        assert not torch.backends.cuda.matmul.allow_tf32
        assert getattr(torch.backends.cuda.matmul, "fp32_precision", "ieee") == "ieee"
        assert torch.mm(torch.ones(2, 2), torch.ones(2, 2)).dtype == torch.float32
        raise KeyError("inside")


@pytest.mark.parametrize("asked", ["highest", "high", "medium", "legacy", "own"])
@pytest.mark.usefixtures("settings_of_torch")
def test_tf32_is_off_inside_and_the_callers_settings_stand_afterwards(asked: str) -> None:
    if asked == "legacy":
        torch.backends.cuda.matmul.allow_tf32 = True
    elif asked == "own":
        if not hasattr(torch.backends.cuda.matmul, "fp32_precision"):
            pytest.skip("torch is older than 2.9")
        torch.backends.cuda.matmul.fp32_precision = "tf32"
    else:
        torch.set_float32_matmul_precision(asked)
    before = old_and_new_settings()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        with pytest.raises(KeyError, match="inside"):
            look_inside_and_fail()
        assert torch.mm(torch.ones(2, 2), torch.ones(2, 2)).dtype == torch.bfloat16
    assert old_and_new_settings() == before


# ---- who finds neighbours ----


@pytest.fixture
def card_here(monkeypatch: pytest.MonkeyPatch) -> Any:
    return partial(put_card, monkeypatch)


def arrays(graph: Any) -> tuple[bytes, bytes, bytes]:
    return graph.indptr.tobytes(), graph.indices.tobytes(), graph.weights.tobytes()


@pytest.mark.parametrize("symmetric", [True, False])
def test_the_graph_of_a_card_is_that_of_the_core(card_here: Any, symmetric: bool) -> None:
    card = RoundingCard("cpu")
    card_here(card, FAST)
    rows = reference.random_rows(500, 24, seed=8)
    for k in (1, 9, 499, 600):
        card.shapes.clear()
        by_card = knn_graph(rows, k, symmetric=symmetric)
        assert card.shapes
        by_core = knn_graph(rows, k, symmetric=symmetric, device="cpu")
        assert arrays(by_card) == arrays(by_core)
    assert knn_graph(rows[:1], 5).nnz == 1


def test_ranking_a_large_group_uses_the_card_and_gives_the_same_order(card_here: Any) -> None:
    rows, limit = reference.random_rows(600, 16, seed=9), 2 * 600 * 100
    by_core = maximize(FacilityLocation(), rows, 600, memory_bytes=limit)
    card, heard = RoundingCard("cpu"), Heard()
    card_here(card, FAST)
    with choice.similarities_on("auto", heard):
        by_card = maximize(FacilityLocation(), rows, 600, memory_bytes=limit)
    assert card.shapes
    assert heard.notes[0] == "the 64 nearest of 600 rows: on torch on cpu"
    assert heard.notes[1].startswith("similarities of ")
    assert by_card.engine == by_core.engine == "graph+dense-head"
    assert by_card.evaluations == by_core.evaluations
    assert by_card.items.tobytes() == by_core.items.tobytes()
    assert by_card.gains.tobytes() == by_core.gains.tobytes()


def test_the_slower_one_is_left_alone(card_here: Any) -> None:
    card = RoundingCard("cpu")
    card_here(card, SLOW)
    knn_graph(reference.random_rows(300, 16, seed=10), 5)
    assert card.shapes == []
    assert choice.card_speed(300, 16, 5, 1) is None


@pytest.mark.parametrize("device", ["cpu", "mps", "cpu,cuda:0"])
def test_a_run_that_is_to_leave_cards_alone_does(card_here: Any, device: str) -> None:
    card = RoundingCard("cpu")
    card_here(card, FAST)
    with choice.similarities_on(device):
        knn_graph(reference.random_rows(300, 16, seed=10), 5)
    assert card.shapes == []
    knn_graph(reference.random_rows(300, 16, seed=10), 5)
    assert card.shapes


def test_a_refused_card_is_told_of_once_and_the_core_does_the_work(card_here: Any) -> None:
    rows, heard = reference.random_rows(300, 16, seed=11), Heard()
    wanted = arrays(knn_graph(rows, 5, device="cpu"))
    card = RoundingCard("cpu", bits=8)
    card_here(card, FAST)
    with choice.similarities_on("auto", heard):
        assert arrays(knn_graph(rows, 5)) == wanted
        assert arrays(knn_graph(rows, 5)) == wanted
    assert len(heard.notes) == len(card.shapes) == 1
    assert "not exact" in heard.notes[0]
    assert "the CPU does it instead" in heard.notes[0]


def test_without_a_progress_a_refused_card_is_a_warning(card_here: Any) -> None:
    card_here(RoundingCard("cpu", bits=8), FAST)
    with pytest.warns(RuntimeWarning, match="not exact"):
        knn_graph(reference.random_rows(300, 16, seed=11), 5)


def test_a_card_that_cannot_even_be_measured_is_refused(
    card_here: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> CardSpeed:
        raise RuntimeError("CUDA error: out of order\nmore of it")

    card_here(STAND_IN, FAST)
    monkeypatch.setattr(choice, "measured_card", fails)
    with pytest.warns(RuntimeWarning, match="out of order: the CPU"):
        knn_graph(reference.random_rows(300, 16, seed=11), 5)


def test_small_groups_and_machines_without_a_driver_do_not_load_torch() -> None:
    code = (
        "import sys, numpy as np; from smartx.engine import knn_graph; "
        "knn_graph(np.random.default_rng(0).normal(size=(500, 16)), 5); "
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_device_that_is_none_or_not_here_is_refused_by_name() -> None:
    rows = reference.random_rows(30, 4, seed=12)
    with pytest.raises(InputError, match='"tpu" is none'):
        knn_graph(rows, 3, device="tpu")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match=r"there is no cuda:3.*\n.*none"):
            knn_graph(rows, 3, device="cuda:3")
        assert card_named("auto") is None
    assert card_named("cpu") is None


def test_measuring_gives_speeds_above_zero() -> None:
    from smartx.engine.measure import measured_card

    speed = measured_card(STAND_IN, 16, 8, 512)
    assert min(speed.products, speed.sifted, speed.transfer) > 0
    assert speed.start == 0


def test_the_plan_takes_the_card_for_large_groups_where_it_saves_time() -> None:
    sizes = np.array([1_000, 40_000, 100_000])
    speed = Speed(200e9, 1.0)
    without = ranking_seconds(sizes, 384, FacilityLocation(), speed=speed)
    by_slow = ranking_seconds(sizes, 384, FacilityLocation(), speed=Speed(200e9, 1.0, SLOW))
    by_fast = ranking_seconds(sizes, 384, FacilityLocation(), speed=Speed(200e9, 1.0, FAST))
    assert np.array_equal(by_slow, without)
    assert np.array_equal(by_fast[:2], without[:2])
    saved = neighbour_seconds(np.asarray(1e5), 384, speed)
    assert by_fast[2] == pytest.approx(without[2] - saved, rel=1e-2)
    assert card_neighbour_seconds(np.asarray(1e5), 384, 64, FAST) < saved / 100


def test_a_card_starts_once_it_would_have_saved_its_start(
    card_here: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    card, rows = RoundingCard("cpu"), reference.random_rows(300, 16, seed=10)
    card_here(card, FAST)
    one = float(neighbour_seconds(np.asarray(300.0), 16, Speed(200e9, 1.0)))
    monkeypatch.setattr(choice, "card_is_started", lambda: bool(card.shapes))
    monkeypatch.setattr(choice, "NOMINAL_CARD", replace(FAST, start=2.5 * one))
    used = []
    for _ in range(4):
        before = len(card.shapes)
        knn_graph(rows, 5, threads=1)
        used.append(len(card.shapes) > before)
    assert used == [False, False, True, True]
