"""Neighbours on a card, with torch's CPU device in the place of one: the bits of the core."""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import q12_reference as reference
from cards import (
    STAND_IN,
    PiecesCard,
    RoundingCard,
    SumsCard,
    TightCard,
)
from smartx import _core
from smartx.engine.card import Card, CardError, full_precision
from smartx.engine.card_rows import probe_rows
from smartx.engine.gpu import Tiles, best_keys, card_neighbours, tiles_for

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


class OldTorch:
    """The settings of a torch before 2.9: one for all devices, with TF32 as another name for it."""

    def __init__(self, precision: str) -> None:
        self.precision = precision
        self.backends = SimpleNamespace(cuda=SimpleNamespace(matmul=object()), mkldnn=object())

    def get_float32_matmul_precision(self) -> str:
        return self.precision

    def set_float32_matmul_precision(self, precision: str) -> None:
        self.precision = precision


@pytest.mark.parametrize("asked", ["highest", "high", "medium"])
def test_an_older_torch_is_set_and_left_as_it_was_too(asked: str) -> None:
    old = OldTorch(asked)
    with full_precision(old):
        assert old.precision == "highest"
    assert old.precision == asked
