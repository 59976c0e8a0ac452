"""Embedding: every row its own vector, batches, parts, resume, reuse, what may not be stored."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import tree_digest
from embed_fakes import DIMENSIONS, FakeEncoder, corpus_of, some_prompts, vector_of
from smartx.corpus import Corpus
from smartx.embed import embed_corpus, open_embeddings
from smartx.embed.batches import batches
from smartx.engine.fixed_point import other_scale, quantize
from smartx.errors import EncoderError, InputError, StoreError

ROWS, PART = 50, 16


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return corpus_of(tmp_path, some_prompts(ROWS))


def expected_rows(corpus: Corpus) -> np.ndarray:
    return quantize(np.stack([vector_of(text) for text in corpus.prompts(0, corpus.num_rows)]))


def parts_in(run: Path) -> list[Path]:
    """The files of vectors in a run folder, by number."""
    return sorted(path for path in run.glob("vectors/*/part-*.npy") if "texts" not in path.name)


class Recorder:
    """A Progress that keeps what it hears."""

    def __init__(self) -> None:
        self.total: int | None = None
        self.amounts: list[int] = []
        self.notes: list[str] = []

    def start(self, step: str, total: int | None, unit: str) -> None:
        assert (step, unit) == ("embed", "rows")
        self.total = total

    def advance(self, amount: int) -> None:
        self.amounts.append(amount)

    def finish(self) -> None:
        pass

    def note(self, message: str) -> None:
        self.notes.append(message)


@pytest.mark.parametrize("part_rows", [1, 16, 25, ROWS, None])
def test_every_row_gets_the_vector_of_its_own_prompt(corpus, tmp_path, part_rows):
    made = embed_corpus(corpus, FakeEncoder(), tmp_path / "run", part_rows=part_rows)
    assert (made.num_rows, made.dimensions) == (ROWS, DIMENSIONS)
    assert not other_scale(made.rows(0, ROWS)).any()
    np.testing.assert_array_equal(made.rows(0, ROWS), expected_rows(corpus))


@pytest.mark.parametrize(("start", "stop"), [(0, 0), (0, 1), (15, 17), (16, 32), (3, 50), (50, 50)])
def test_a_range_of_rows_may_cross_parts(corpus, tmp_path, start, stop):
    made = embed_corpus(corpus, FakeEncoder(), tmp_path / "run", part_rows=PART)
    rows = open_embeddings(made.folder).rows(start, stop)
    assert rows.dtype == np.int16
    assert rows.flags.c_contiguous
    np.testing.assert_array_equal(rows, expected_rows(corpus)[start:stop])


@pytest.mark.parametrize(("start", "stop"), [(-1, 3), (2, 1), (0, ROWS + 1)])
def test_a_range_outside_the_rows_is_refused(corpus, tmp_path, start, stop):
    made = embed_corpus(corpus, FakeEncoder(), tmp_path / "run")
    with pytest.raises(InputError, match=f"{start}..{stop}"):
        made.rows(start, stop)


def test_parts_are_plain_npy_files_of_int16(corpus, tmp_path):
    embed_corpus(corpus, FakeEncoder(), tmp_path / "run", part_rows=PART)
    parts = [np.load(path, allow_pickle=False) for path in parts_in(tmp_path / "run")]
    assert [part.shape for part in parts] == [(16, DIMENSIONS)] * 3 + [(2, DIMENSIONS)]
    assert {part.dtype for part in parts} == {np.dtype(np.int16)}


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=60),
    st.integers(1, 100),
    st.integers(1, 9),
)
def test_batches_hold_every_row_once_are_of_one_length_and_keep_to_their_limits(
    lengths, max_tokens, max_rows
):
    lengths = np.array(lengths)
    made = list(batches(lengths, max_tokens, max_rows))
    flat = np.concatenate(made).tolist()
    assert flat == sorted(range(len(lengths)), key=lambda row: (-lengths[row], row))
    for batch in made:
        assert len(batch) <= max_rows
        assert len(set(lengths[batch])) == 1
        assert len(batch) == 1 or lengths[batch].sum() <= max_tokens


@pytest.mark.parametrize("workers", [2, 3])
def test_workers_change_nothing_in_the_folder(corpus, tmp_path, workers):
    embed_corpus(corpus, FakeEncoder(), tmp_path / "one", part_rows=PART)
    embed_corpus(corpus, FakeEncoder(workers=workers), tmp_path / "many", part_rows=PART)
    assert tree_digest(tmp_path / "one") == tree_digest(tmp_path / "many")


def test_progress_ends_at_the_number_of_texts_and_moves_with_every_batch(corpus, tmp_path):
    heard, encoder = Recorder(), FakeEncoder()
    embed_corpus(corpus, encoder, tmp_path / "run", part_rows=PART, progress=heard)
    assert heard.total == sum(heard.amounts) == ROWS
    assert min(heard.amounts) >= 0
    assert len(heard.amounts) == len(encoder.calls)


def test_an_interrupted_run_encodes_no_finished_part_again(corpus, tmp_path):
    first = FakeEncoder(stop_after=2 * PART + 3)
    with pytest.raises(KeyboardInterrupt):
        embed_corpus(corpus, first, tmp_path / "run", part_rows=PART)
    second = FakeEncoder()
    embed_corpus(corpus, second, tmp_path / "run", part_rows=PART)
    assert sorted(second.encoded) == sorted(corpus.prompts(2 * PART, ROWS))
    embed_corpus(corpus, FakeEncoder(), tmp_path / "whole", part_rows=PART)
    assert tree_digest(tmp_path / "run") == tree_digest(tmp_path / "whole")


@pytest.mark.parametrize("fault", ["bit", "short", "gone", "sidecar", "texts", "texts gone"])
@pytest.mark.parametrize("finished", [False, True])
def test_a_damaged_part_alone_is_made_again(corpus, tmp_path, fault, finished):
    run = tmp_path / "run"
    if finished:
        embed_corpus(corpus, FakeEncoder(), run, part_rows=PART)
    else:
        with pytest.raises(KeyboardInterrupt):
            embed_corpus(corpus, FakeEncoder(stop_after=40), run, part_rows=PART)
    part = parts_in(run)[0]
    texts = part.with_name("part-00000.texts.npy")
    harmed = texts if "texts" in fault else part
    content = bytearray(harmed.read_bytes())
    content[-1] ^= 1
    if fault == "sidecar":
        part.with_name(part.name + ".json").write_text('{"key": 1')
    elif "gone" in fault:
        harmed.unlink()
    else:
        harmed.write_bytes(content[:-2] if fault == "short" else content)
    again = FakeEncoder()
    made = embed_corpus(corpus, again, run, part_rows=PART)
    later = [] if finished else corpus.prompts(32, ROWS)
    assert sorted(again.encoded) == sorted(corpus.prompts(0, 16) + later)
    embed_corpus(corpus, FakeEncoder(), tmp_path / "whole", part_rows=PART)
    assert tree_digest(run) == tree_digest(tmp_path / "whole")
    np.testing.assert_array_equal(made.rows(0, ROWS), expected_rows(corpus))


@pytest.mark.parametrize("fault", ["bit", "gone", "places"])
def test_a_damaged_file_is_never_read_and_the_error_names_it_and_the_fix(corpus, tmp_path, fault):
    """A flipped bit in a finished part was used by rank and mix without a word."""
    made = embed_corpus(corpus, FakeEncoder(), tmp_path / "run", part_rows=PART)
    harmed = made.folder / "places.npy" if fault == "places" else parts_in(tmp_path / "run")[1]
    content = bytearray(harmed.read_bytes())
    content[-1] ^= 1
    harmed.unlink() if fault == "gone" else harmed.write_bytes(content)
    found = open_embeddings(made.folder, corpus)
    with pytest.raises(StoreError) as caught:
        found.rows(20, 40)
    assert caught.value.place == str(harmed)
    assert "smartx embed" in caught.value.fix
    assert fault == "places" or len(found.rows(0, 16)) == 16
    again = FakeEncoder()
    made = embed_corpus(corpus, again, tmp_path / "run", part_rows=PART)
    assert len(again.encoded) == (0 if fault == "places" else PART)
    np.testing.assert_array_equal(made.rows(0, ROWS), expected_rows(corpus))


def test_what_cannot_be_read_is_not_taken_for_damaged(corpus, tmp_path, monkeypatch):
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        embed_corpus(corpus, FakeEncoder(stop_after=40), run, part_rows=PART)
    before = tree_digest(run)

    def refuse(path):
        raise OSError(24, "Too many open files", str(path))

    monkeypatch.setattr("smartx.store.unchanged_digest", refuse)
    monkeypatch.setattr("smartx.embed.parts.file_digest", refuse)
    with pytest.raises(StoreError, match="Too many open files"):
        embed_corpus(corpus, FakeEncoder(), run, part_rows=PART)
    assert tree_digest(run) == before


def test_parts_of_other_versions_are_not_mixed_but_finished_embeddings_stay(corpus, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        embed_corpus(corpus, FakeEncoder(stop_after=40), tmp_path / "run", part_rows=PART)
    newer = FakeEncoder(version="2")
    embed_corpus(corpus, newer, tmp_path / "run", part_rows=PART)
    assert len(newer.encoded) == ROWS
    newest = FakeEncoder(version="3")
    embed_corpus(corpus, newest, tmp_path / "run", part_rows=PART)
    assert newest.encoded == []


def test_finished_embeddings_are_used_again_and_say_so(corpus, tmp_path):
    first = embed_corpus(corpus, FakeEncoder(), tmp_path / "run")
    again, heard = FakeEncoder(), Recorder()
    second = embed_corpus(corpus, again, tmp_path / "run", progress=heard)
    assert again.calls == []
    assert "used again" in heard.notes[0]
    assert first.digest == second.digest


def test_another_encoder_stands_beside_the_first(corpus, tmp_path):
    one = embed_corpus(corpus, FakeEncoder(), tmp_path / "run")
    before = tree_digest(tmp_path / "run")
    other = FakeEncoder(dtype="b")
    two = embed_corpus(corpus, other, tmp_path / "run")
    assert len(other.encoded) == ROWS
    assert one.folder != two.folder
    after = tree_digest(tmp_path / "run")
    assert {name: after[name] for name in before} == before
    again = FakeEncoder()
    embed_corpus(corpus, again, tmp_path / "run")
    assert again.calls == []


def test_an_encoder_that_fails_leaves_all_as_it_was(corpus, tmp_path):
    """`smartx embed --encoder nope/nope` left the run folder without embeddings."""

    class Broken(FakeEncoder):
        def encode(self, texts, length):
            raise EncoderError("it broke")

    embed_corpus(corpus, FakeEncoder(), tmp_path / "run")
    before = tree_digest(tmp_path / "run")
    with pytest.raises(EncoderError, match="it broke"):
        embed_corpus(corpus, Broken(dtype="b"), tmp_path / "run")
    after = tree_digest(tmp_path / "run")
    assert {name: after[name] for name in before} == before
    assert {Path(name).name for name in after.keys() - before.keys()} <= {".smartx"}


def test_the_digest_names_the_vectors_and_not_how_they_were_made(corpus, tmp_path):
    one = embed_corpus(corpus, FakeEncoder(), tmp_path / "one")
    two = embed_corpus(corpus, FakeEncoder(version="9"), tmp_path / "two", part_rows=7)
    assert one.digest == two.digest
    assert one.manifest["digest"] == one.digest


@pytest.mark.parametrize(
    ("value", "word"), [(np.nan, "not finite"), (np.inf, "not finite"), (0, "zero")]
)
def test_an_unusable_vector_of_an_encoder_names_the_row_and_its_line(corpus, tmp_path, value, word):
    class Broken(FakeEncoder):
        def encode(self, texts, length):
            vectors = super().encode(texts, length)
            for row, text in enumerate(texts):
                if text.startswith("7 "):
                    vectors[row] = value
            return vectors

    with pytest.raises(EncoderError, match=word) as caught:
        embed_corpus(corpus, Broken(), tmp_path / "run")
    assert caught.value.place == "rows.jsonl:8"
    assert not list((tmp_path / "run").rglob("manifest.json"))


def test_an_encoder_that_gives_too_few_vectors_is_refused(corpus, tmp_path):
    class Short(FakeEncoder):
        def encode(self, texts, length):
            return super().encode(texts, length)[1:]

    with pytest.raises(EncoderError, match="texts"):
        embed_corpus(corpus, Short(), tmp_path / "run")


def test_embeddings_that_are_missing_say_which_command_makes_them(tmp_path):
    with pytest.raises(StoreError, match="smartx embed"):
        open_embeddings(tmp_path)


def test_vectors_of_another_corpus_are_refused(corpus, tmp_path):
    """The vectors of a corpus were used for another one with as many rows."""
    made = embed_corpus(corpus, FakeEncoder(), tmp_path / "run")
    other = corpus_of(tmp_path / "other", some_prompts(ROWS)[::-1])
    with pytest.raises(StoreError, match="another corpus"):
        open_embeddings(made.folder, other)


def test_importing_embed_loads_neither_torch_nor_transformers():
    code = (
        "import sys, smartx.embed; "
        "print([name for name in ('torch', 'transformers', 'sentence_transformers') "
        "if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@settings(max_examples=6, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40))
def test_the_vectors_do_not_depend_on_the_size_of_the_parts(tmp_path_factory, rows, part_rows):
    folder = tmp_path_factory.mktemp("parts")
    corpus = corpus_of(folder, some_prompts(rows))
    made = embed_corpus(corpus, FakeEncoder(), folder / "run", part_rows=part_rows)
    np.testing.assert_array_equal(made.rows(0, rows), expected_rows(corpus))
