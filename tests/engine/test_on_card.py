"""Who finds neighbours, a card or the core; the result is the same."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import q12_reference as reference
import smartx
from cards import (
    FAST,
    SLOW,
    STAND_IN,
    Heard,
    RoundingCard,
    put_card,
)
from conftest import tree_digest
from smartx.engine import FacilityLocation, Speed, knn_graph, maximize, ranking_seconds
from smartx.engine import on_card as choice
from smartx.engine.card import card_named
from smartx.engine.cost import CardSpeed, card_neighbour_seconds, neighbour_seconds
from smartx.engine.memory import dense_head
from smartx.errors import InputError

torch: Any = pytest.importorskip("torch", reason="torch is not installed")


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
    candidates, _ = dense_head(600, limit)
    assert heard.notes[1] == f"similarities of {candidates} with 600 rows: on torch on cpu"
    assert by_card.engine == by_core.engine == "graph+dense-head"
    assert by_card.evaluations == by_core.evaluations
    assert by_card.items.tobytes() == by_core.items.tobytes()
    assert by_card.gains.tobytes() == by_core.gains.tobytes()


def test_the_slower_one_is_left_alone(card_here: Any) -> None:
    card = RoundingCard("cpu")
    card_here(card, SLOW)
    rows = reference.random_rows(300, 16, seed=10)
    knn_graph(rows, 5)
    assert card.shapes == []
    assert choice.card_speed(300, 16, 5, 1) is None
    with choice.similarities_on("auto", Heard(), always=True):
        knn_graph(rows, 5)
    assert card.shapes


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
    assert min(speed.products, speed.sifted, speed.narrowed, speed.transfer) > 0
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


def test_the_doctor_says_where_similarities_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    for card, words in [
        (None, "on the CPU (no CUDA card)"),
        (STAND_IN, "on torch on cpu where that is faster: its products are exact"),
        (RoundingCard("cpu", bits=8), "on the CPU: products on torch on cpu are not exact"),
    ]:
        monkeypatch.setattr(choice, "card_named", lambda _, card=card: card)
        assert choice.card_line() == words


def test_a_run_with_a_card_writes_the_bytes_of_one_without(
    small_corpus: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Graphs of neighbours with a dense head, and dense kernels; `--device cpu` keeps it out."""
    folders, heard, card = [], Heard(), RoundingCard("cpu")
    for name, device, limit in [
        ("core", "auto", 10_000), ("card", "auto", 10_000), ("kept out", "cpu", 10_000),
        ("dense core", "cpu", 4 << 30), ("dense", "auto", 4 << 30),
    ]:  # fmt: skip
        if name == "card":
            put_card(monkeypatch, card, FAST)
        card.shapes.clear()
        config = smartx.RunConfig(
            sources=[str(small_corpus.file)],
            vectors=small_corpus.vectors,
            run_dir=tmp_path / name,
            out=tmp_path / name / "mix",
            rows=120,
            ranker=f"facility-location:dense_limit={limit}",
            device=device,
            threads=1,
        )
        smartx.run(config, progress=heard)
        assert bool(card.shapes) == (name in ("card", "dense"))
        folders.append(tree_digest(tmp_path / name / "rankings"))
    assert folders[0] == folders[1] == folders[2]
    assert folders[3] == folders[4]
    assert any("nearest of" in note for note in heard.notes)
    assert any("similarities of" in note for note in heard.notes)
