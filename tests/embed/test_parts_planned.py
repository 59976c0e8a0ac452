"""Which texts are a part depends on them alone; who makes it, in how many goes, leaves no trace."""

from __future__ import annotations

import random
import threading
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import tree_digest
from embed_fakes import FakeEncoder, corpus_of, some_prompts, vector_of
from embed_tokenizers import model2vec_folder
from smartx.corpus import Corpus
from smartx.embed import EncoderSpec, HybridSpec, StudentSpec, embed_corpus, encoding, plan, work
from smartx.embed.encoders import CARD_ROWS, TABLE_ROWS, TEXT_ROWS
from smartx.embed.plan import part_sizes
from smartx.embed.work import Sizes
from smartx.engine import quantize
from smartx.errors import StoreError
from smartx.files import NotAlone, beside_others
from smartx.store import sealed
from smartx.units import Divided, Unit, share
from smartx.verify import verify_folder

ROWS = 60


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return corpus_of(tmp_path, some_prompts(ROWS))


@pytest.fixture
def kept(monkeypatch):
    """Every piece of 5 rows is kept."""
    keep_pieces(monkeypatch, 5)


def keep_pieces(patch: pytest.MonkeyPatch, rows: int) -> None:
    patch.setattr(work, "FIRST_ROWS", rows)
    patch.setattr(Sizes, "took", lambda *_: None)
    patch.setattr(encoding, "KEPT_SECONDS", 0.0)


def expected_rows(corpus: Corpus) -> np.ndarray:
    return quantize(np.stack([vector_of(text) for text in corpus.prompts(0, corpus.num_rows)]))


def names_in(run: Path) -> list[str]:
    """Of the files in the only folder of vectors, but for the mark."""
    (folder,) = (run / "vectors").iterdir()
    return sorted(path.name for path in folder.iterdir() if path.name != ".smartx")


def interrupted(corpus: Corpus, run: Path, after: int, **options) -> list[str]:
    """Embeds until so many texts are encoded. Returns them."""
    encoder = FakeEncoder(stop_after=after)
    with suppress(KeyboardInterrupt):
        embed_corpus(corpus, encoder, run, **options)
    return encoder.encoded


@given(st.integers(1, 10**8), st.sampled_from([1, TEXT_ROWS, CARD_ROWS, TABLE_ROWS]))
def test_parts_are_of_one_size_large_enough_and_not_more_than_it_takes(texts, least):
    sizes = part_sizes(texts, least)
    assert sum(sizes) == texts
    assert len(set(sizes[:-1])) <= 1
    assert sizes[-1] <= sizes[0] <= 65_536
    assert len(sizes) <= max(64, -(-texts // 65_536))
    assert len(sizes) == 1 or 2 * sizes[0] > least
    assert texts < 64 * least or len(sizes) > 32  # enough for many machines


@pytest.mark.parametrize("rate", [3, 40, 900, 100_000])
def test_a_piece_takes_about_20_seconds_from_the_third_on(rate):
    """A kill loses the piece that is being made, and what was too little to be kept."""
    sizes, taken = Sizes(), []
    for _ in range(6):
        rows = sizes.of(65_536)
        sizes.took(rows, rows / rate)
        taken.append(rows / rate)
    assert sizes.of(65_536) <= 65_536
    assert max(taken[1:]) <= 60
    assert taken[0] <= 60 or rate < 5
    assert 15 <= taken[-1] <= 25 or sizes.of(65_536) == 65_536


@given(st.integers(1, 65_536), st.integers(1, 5_000))
def test_pieces_of_a_part_are_about_as_large_and_not_too_large(rows, most):
    sizes, pieces = Sizes(), []
    sizes.most = most
    while rows:
        pieces.append(sizes.of(rows))
        rows -= pieces[-1]
    assert max(pieces) <= most
    assert max(pieces) - min(pieces) <= 1


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.integers(3, 40), st.integers(1, 12)), max_size=5), st.integers(20, 60))
def test_a_part_that_was_cut_off_again_and_again_has_the_same_bytes(
    tmp_path_factory, stops, part_rows
):
    folder = tmp_path_factory.mktemp("cut")
    corpus, texts = corpus_of(folder, some_prompts(ROWS)), 0
    with pytest.MonkeyPatch.context() as patch:
        for after, piece in stops:
            keep_pieces(patch, piece)
            texts += len(interrupted(corpus, folder / "run", after, part_rows=part_rows))
        last = FakeEncoder()
        embed_corpus(corpus, last, folder / "run", part_rows=part_rows)
    texts += len(last.encoded)
    embed_corpus(corpus, FakeEncoder(), folder / "whole", part_rows=part_rows)
    assert tree_digest(folder / "run") == tree_digest(folder / "whole")
    assert (
        texts < ROWS + sum(piece for _, piece in stops) + 1
    )  # less than a piece is lost each time


def test_what_is_there_of_a_part_is_not_encoded_again(corpus, tmp_path, kept):
    run = tmp_path / "run"
    done = interrupted(corpus, run, 37)
    assert [name for name in names_in(run) if name.endswith("[0-9].npy")] == []
    scraps = [name for name in names_in(run) if name.startswith("scrap-00000-")]
    assert len(scraps) == 4 * 7  # 7 pieces of 5, two files each with sidecars
    assert verify_folder(run / "vectors" / next((run / "vectors").iterdir()).name).faults == ()
    again = FakeEncoder()
    made = embed_corpus(corpus, again, run)
    assert sorted(again.encoded) == sorted(corpus.prompts(35, ROWS))
    assert len(done) < 40
    assert [name for name in names_in(run) if "scrap" in name or "plan" in name] == []
    np.testing.assert_array_equal(made.rows(0, ROWS), expected_rows(corpus))


@pytest.mark.parametrize("fault", ["bit", "gone", "sidecar", "texts", "other"])
def test_a_damaged_scrap_is_not_used(corpus, tmp_path, kept, fault):
    run = tmp_path / "run"
    interrupted(corpus, run, 37)
    (folder,) = (run / "vectors").iterdir()
    name = "scrap-00000-00010" + (".texts.npy" if fault == "texts" else ".npy")
    path = folder / (name + (".json" if fault == "sidecar" else ""))
    if fault == "gone":
        path.unlink()
    elif fault == "other":  # whole, but of other texts
        for other in folder.glob("scrap-00000-00015.*"):
            content = other.read_bytes().replace(b"00000-00015", b"00000-00010")
            other.with_name(other.name.replace("-00015", "-00010")).write_bytes(content)
    else:
        content = bytearray(path.read_bytes())
        content[-2] ^= 1
        path.write_bytes(content)
    again = FakeEncoder()
    embed_corpus(corpus, again, run)
    lost = corpus.prompts(10, 15) + corpus.prompts(35, ROWS)
    assert sorted(again.encoded) == sorted(lost)
    embed_corpus(corpus, FakeEncoder(), tmp_path / "whole")
    assert tree_digest(run) == tree_digest(tmp_path / "whole")


def test_where_other_rows_are_asked_for_what_is_there_becomes_a_part(corpus, tmp_path, kept):
    """A source was added after a kill: nothing that was embedded is lost with the old plan."""
    run, prompts = tmp_path / "run", some_prompts(ROWS + 20)
    interrupted(corpus, run, 37)
    more = corpus_of(tmp_path / "more", prompts)
    again = FakeEncoder()
    made = embed_corpus(more, again, run)
    assert len(again.encoded) == ROWS + 20 - 35
    assert not set(again.encoded) & set(corpus.prompts(0, 35))
    np.testing.assert_array_equal(made.rows(0, ROWS + 20), expected_rows(more))
    assert names_in(run) == sorted(
        f"part-0000{number}{kind}"
        for number in (0, 1)
        for kind in (".npy", ".npy.json", ".texts.npy", ".texts.npy.json")
    )
    first = FakeEncoder()
    embed_corpus(corpus, first, run)
    assert first.encoded == []


def test_a_plan_that_fits_no_more_gives_way_and_no_text_is_embedded_twice(corpus, tmp_path):
    run, prompts = tmp_path / "run", some_prompts(ROWS)
    done = interrupted(corpus, run, 25, part_rows=16)  # one part of four is whole
    (folder,) = (run / "vectors").iterdir()
    plan_file = next(folder.glob("plan-*.json"))
    old = plan_file.read_bytes()
    other, last = FakeEncoder(), FakeEncoder()
    embed_corpus(corpus_of(tmp_path / "other", prompts[20:40]), other, run, part_rows=16)
    plan_file.write_bytes(old)  # somebody put it back
    made = embed_corpus(corpus, last, run, part_rows=16)
    assert not {*other.encoded} & {*last.encoded}
    assert len({*done[:16], *other.encoded, *last.encoded}) == ROWS
    np.testing.assert_array_equal(made.rows(0, ROWS), expected_rows(corpus))


@pytest.mark.parametrize("fault", ["bit", "hostile", "gone"])
def test_a_damaged_plan_costs_no_text(corpus, tmp_path, fault):
    run = tmp_path / "run"
    interrupted(corpus, run, 40, part_rows=16)
    (folder,) = (run / "vectors").iterdir()
    path = next(folder.glob("plan-*.json"))
    content = bytearray(path.read_bytes())
    if fault == "gone":
        path.unlink()
    elif fault == "hostile":
        asked = {"asked": "0", "new": "0", "parts": [[0, 10**9]]}
        path.write_bytes(str(sealed(asked)).replace("'", '"').encode())
    else:
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        assert "damaged" in verify_folder(folder).faults[0].fault
    last = FakeEncoder()
    made = embed_corpus(corpus, last, run, part_rows=16)
    assert sorted(last.encoded) == sorted(corpus.prompts(32, ROWS))
    np.testing.assert_array_equal(made.rows(0, ROWS), expected_rows(corpus))


@pytest.mark.parametrize("lost", [[0], [1], [0, 1]])
def test_parts_that_were_lost_are_made_again_as_they_were(tmp_path, lost, monkeypatch):
    """Of many texts in two parts, each would be divided in two if it were planned by itself."""
    monkeypatch.setattr(plan, "MANY", 2)
    rows = 2 * TEXT_ROWS + 300
    corpus = corpus_of(tmp_path, [f"{row} text" for row in range(rows)])
    embed_corpus(corpus, FakeEncoder(), tmp_path / "run")
    whole = tree_digest(tmp_path / "run")
    assert len(names_in(tmp_path / "run")) == 8
    (folder,) = (tmp_path / "run" / "vectors").iterdir()
    for number in lost:
        path = folder / f"part-{number:05d}.npy"
        path.write_bytes(path.read_bytes()[:-1])
    again = FakeEncoder()
    embed_corpus(corpus, again, tmp_path / "run")
    assert tree_digest(tmp_path / "run") == whole
    assert len(again.encoded) == len(lost) * rows // 2


class Stop(Exception):  # noqa: N818, nothing is wrong
    """A shard is done: the stage goes no further."""


def made_by_shards(shard: int, of: int, seen: list[list[Unit]]):
    """What makes a share of the units, those that are not there, and ends there."""

    def divide(stage: Divided) -> None:
        units = list(stage.units())
        seen.append(units)
        for unit in share(units, shard, of):
            if not stage.done(unit):
                stage.make(unit, lambda _: None)
            assert stage.done(unit)
        raise Stop

    return divide


def stop(_: Divided) -> None:
    raise Stop


def planned(corpus: Corpus, run: Path, **options) -> None:
    """Whoever comes first makes the plan, alone."""
    with pytest.raises(Stop):
        embed_corpus(corpus, FakeEncoder(), run, divide=stop, **options)


@settings(max_examples=8, deadline=None)
@given(st.integers(1, 5), st.integers(4, 30), st.randoms(use_true_random=False))
def test_shards_in_any_order_and_the_command_that_finishes_leave_the_same_bytes(
    tmp_path_factory, of, part_rows, dice: random.Random
):
    folder, seen = tmp_path_factory.mktemp("shards"), list[list[Unit]]()
    corpus, run = corpus_of(folder, some_prompts(ROWS)), folder / "run"
    planned(corpus, run, part_rows=part_rows)
    encoders = []
    for shard in dice.sample(range(of), of):
        encoders.append(FakeEncoder())
        divide = made_by_shards(shard, of, seen)
        with beside_others(), pytest.raises(Stop):
            embed_corpus(corpus, encoders[-1], run, divide=divide)
    encoded = [text for encoder in encoders for text in encoder.encoded]
    assert sorted(encoded) == sorted(corpus.prompts(0, ROWS))
    assert all(units == seen[0] for units in seen)
    assert [unit.name for unit in seen[0]] == [f"embed-{n:05d}" for n in range(len(seen[0]))]
    last = FakeEncoder()
    made = embed_corpus(corpus, last, run)
    assert last.calls == []
    np.testing.assert_array_equal(made.rows(0, ROWS), expected_rows(corpus))
    embed_corpus(corpus, FakeEncoder(), folder / "whole", part_rows=part_rows)
    assert tree_digest(run) == tree_digest(folder / "whole")


def test_two_who_make_the_same_units_at_once_do_no_harm(corpus, tmp_path, kept):
    run, problems = tmp_path / "run", list[BaseException]()
    planned(corpus, run, part_rows=16)

    def shard() -> None:
        try:
            with beside_others(), pytest.raises(Stop):
                embed_corpus(corpus, FakeEncoder(), run, divide=everything)
        except BaseException as problem:
            problems.append(problem)

    def everything(stage: Divided) -> None:
        for unit in stage.units():
            stage.make(unit, lambda _: None)
        raise Stop

    threads = [threading.Thread(target=shard) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    embed_corpus(corpus, FakeEncoder(), run)
    embed_corpus(corpus, FakeEncoder(), tmp_path / "whole", part_rows=16)
    assert tree_digest(run) == tree_digest(tmp_path / "whole")


def test_beside_others_nothing_is_planned_and_nothing_is_taken_away(corpus, tmp_path):
    run = tmp_path / "run"
    with beside_others(), pytest.raises(NotAlone):
        embed_corpus(corpus, FakeEncoder(), run, divide=lambda _: None)
    assert not run.exists()
    planned(corpus, run, part_rows=16)
    (folder,) = (run / "vectors").iterdir()
    (folder / "part-00002.texts.npy").write_bytes(b"of a neighbour, who is not done")
    with beside_others(), pytest.raises(Stop):
        embed_corpus(corpus, FakeEncoder(), run, divide=made_by_shards(1, 4, []))
    assert (folder / "part-00002.texts.npy").read_bytes().startswith(b"of a neighbour")
    with beside_others(), pytest.raises(NotAlone):
        embed_corpus(corpus, FakeEncoder(), run, divide=lambda _: None)  # to finish is not for one


def test_units_cost_what_their_texts_do_whoever_looks(tmp_path):
    prompts = [f"{row} " + "word " * (2 if row % 3 else 40) for row in range(40)]
    corpus, seen = corpus_of(tmp_path, prompts), list[list[Unit]]()
    divide = made_by_shards(0, 2, seen)
    with pytest.raises(Stop):
        embed_corpus(corpus, FakeEncoder(), tmp_path / "run", divide=divide, part_rows=20)
    tokens = np.minimum(corpus.token_counts(0, 40)[:, 0] + 2, 512)
    one, two = seen[0]
    assert two.seconds / one.seconds == pytest.approx(tokens[20:].sum() / tokens[:20].sum())
    assert one.memory == two.memory > 1 << 20


def test_what_a_divide_leaves_is_made_here(corpus, tmp_path):
    seen: list[str] = []

    def some(stage: Divided) -> None:
        for unit in stage.units()[1::2]:
            stage.make(unit, lambda _: None)
            seen.append(unit.name)

    encoder = FakeEncoder()
    embed_corpus(corpus, encoder, tmp_path / "run", divide=some, part_rows=16)
    embed_corpus(corpus, FakeEncoder(), tmp_path / "whole", part_rows=16)
    assert seen == ["embed-00001", "embed-00003"]
    assert len(encoder.encoded) == ROWS
    assert tree_digest(tmp_path / "run") == tree_digest(tmp_path / "whole")


@pytest.mark.parametrize("hybrid", [False, True])
def test_shards_of_a_student_and_of_a_hybrid_leave_the_same_bytes(tmp_path, hybrid):
    """The student is fitted alone; then the parts of both encoders are shared among shards."""
    pytest.importorskip("tokenizers")
    corpus = corpus_of(tmp_path, some_prompts(400))
    teacher = EncoderSpec(str(model2vec_folder(tmp_path / "teacher")), threads=1)
    spec = StudentSpec(teacher, rows=100)
    encoder = HybridSpec(spec, 160) if hybrid else spec
    one, run, seen = tmp_path / "one", tmp_path / "run", list[list[Unit]]()
    embed_corpus(corpus, encoder, one)
    with beside_others(), pytest.raises(NotAlone):
        embed_corpus(corpus, encoder, run, divide=made_by_shards(0, 2, seen))
    assert not list(run.rglob("part-*"))  # nothing was embedded before somebody was alone
    with pytest.raises(Stop):
        embed_corpus(corpus, encoder, run, divide=stop)
    for shard in (1, 0):
        with beside_others(), pytest.raises(Stop):
            embed_corpus(corpus, encoder, run, divide=made_by_shards(shard, 2, seen))
    words = {unit.name.partition("-")[0] for unit in seen[0]}
    assert words == ({"embed", "teach"} if hybrid else {"embed"})
    embed_corpus(corpus, encoder, run)
    assert tree_digest(run) == tree_digest(one)
    again = embed_corpus(corpus, encoder, run, divide=stop)  # finished: nothing is divided
    assert again.num_rows == 400


def test_a_folder_that_cannot_be_read_is_not_taken_for_an_old_plan(corpus, tmp_path, monkeypatch):
    run = tmp_path / "run"
    interrupted(corpus, run, 25, part_rows=16)
    before = tree_digest(run)
    real = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path.name.startswith("plan-"):
            raise OSError(5, "Input/output error")
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(StoreError, match="nput/output error"):
        embed_corpus(corpus, FakeEncoder(), run, part_rows=16)
    monkeypatch.setattr(Path, "read_bytes", real)
    assert tree_digest(run) == before
