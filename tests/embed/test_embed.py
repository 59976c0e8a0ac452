"""Embedding: order, batches, shards, resume, reuse, and what may not be stored."""

from __future__ import annotations

import shutil
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
from smartx.embed import EncoderSpec, default_encoder, embed_corpus, open_embeddings
from smartx.embed.batches import batches
from smartx.embed.encoders import PACKAGED, PUBLISHED, EncoderSource, folder_digest
from smartx.engine.fixed_point import as_rows, quantize
from smartx.errors import EncoderError, InputError, StoreError

ROWS, SHARD = 50, 16


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return corpus_of(tmp_path, some_prompts(ROWS))


def expected_rows(corpus: Corpus) -> np.ndarray:
    return quantize(np.stack([vector_of(text) for text in corpus.prompts(0, corpus.num_rows)]))


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


@pytest.mark.parametrize("shard_rows", [1, 16, 25, ROWS, 65_536])
def test_every_row_gets_the_vector_of_its_own_prompt(corpus, tmp_path, shard_rows):
    made = embed_corpus(corpus, FakeEncoder(), tmp_path / "e", shard_rows=shard_rows)
    assert (made.num_rows, made.dimensions) == (ROWS, DIMENSIONS)
    assert len(as_rows(made.rows(0, ROWS))) == ROWS
    np.testing.assert_array_equal(made.rows(0, ROWS), expected_rows(corpus))


@pytest.mark.parametrize(("start", "stop"), [(0, 0), (0, 1), (15, 17), (16, 32), (3, 50), (50, 50)])
def test_a_range_of_rows_may_cross_shards(corpus, tmp_path, start, stop):
    made = embed_corpus(corpus, FakeEncoder(), tmp_path / "e", shard_rows=SHARD)
    rows = open_embeddings(made.folder).rows(start, stop)
    assert rows.dtype == np.int16
    assert rows.flags.c_contiguous
    np.testing.assert_array_equal(rows, expected_rows(corpus)[start:stop])


@pytest.mark.parametrize(("start", "stop"), [(-1, 3), (2, 1), (0, ROWS + 1)])
def test_a_range_outside_the_rows_is_refused(corpus, tmp_path, start, stop):
    made = embed_corpus(corpus, FakeEncoder(), tmp_path / "e")
    with pytest.raises(InputError, match=f"{start}..{stop}"):
        made.rows(start, stop)


def test_shards_are_plain_npy_files_of_int16(corpus, tmp_path):
    made = embed_corpus(corpus, FakeEncoder(), tmp_path / "e", shard_rows=SHARD)
    names = sorted(path.name for path in made.folder.iterdir())
    assert names == ["manifest.json", *(f"q12-0000{number}.npy" for number in range(4))]
    parts = [np.load(made.folder / name, allow_pickle=False) for name in names[1:]]
    assert [part.shape for part in parts] == [(16, DIMENSIONS)] * 3 + [(2, DIMENSIONS)]
    assert {part.dtype for part in parts} == {np.dtype(np.int16)}


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=60),
    st.integers(1, 100),
    st.integers(1, 9),
)
def test_batches_hold_every_row_once_and_keep_to_their_limits(lengths, max_tokens, max_rows):
    lengths = np.array(lengths)
    made = list(batches(lengths, max_tokens, max_rows))
    flat = np.concatenate(made).tolist()
    assert flat == sorted(range(len(lengths)), key=lambda row: (-lengths[row], row))
    for batch in made:
        assert len(batch) <= max_rows
        assert len(batch) == 1 or lengths[batch].max() * len(batch) <= max_tokens


@pytest.mark.parametrize("workers", [2, 3])
def test_workers_change_nothing_in_the_folder(corpus, tmp_path, workers):
    embed_corpus(corpus, FakeEncoder(), tmp_path / "one", shard_rows=SHARD)
    embed_corpus(corpus, FakeEncoder(workers=workers), tmp_path / "many", shard_rows=SHARD)
    assert tree_digest(tmp_path / "one") == tree_digest(tmp_path / "many")


def test_progress_ends_at_the_number_of_rows_and_moves_with_every_batch(corpus, tmp_path):
    heard, encoder = Recorder(), FakeEncoder()
    embed_corpus(corpus, encoder, tmp_path / "e", shard_rows=SHARD, progress=heard)
    assert heard.total == sum(heard.amounts) == ROWS
    assert min(heard.amounts) >= 0
    assert len(heard.amounts) == len(encoder.calls)


def test_an_interrupted_run_encodes_no_finished_shard_again(corpus, tmp_path):
    first = FakeEncoder(stop_after=2 * SHARD + 3)
    with pytest.raises(KeyboardInterrupt):
        embed_corpus(corpus, first, tmp_path / "e", shard_rows=SHARD)
    second = FakeEncoder()
    embed_corpus(corpus, second, tmp_path / "e", shard_rows=SHARD)
    assert sorted(second.encoded) == sorted(corpus.prompts(2 * SHARD, ROWS))
    embed_corpus(corpus, FakeEncoder(), tmp_path / "whole", shard_rows=SHARD)
    assert tree_digest(tmp_path / "e") == tree_digest(tmp_path / "whole")


@pytest.mark.parametrize("fault", ["bit", "short", "gone", "sidecar"])
def test_a_damaged_shard_of_an_interrupted_run_is_made_again(corpus, tmp_path, fault):
    with pytest.raises(KeyboardInterrupt):
        embed_corpus(corpus, FakeEncoder(stop_after=40), tmp_path / "e", shard_rows=SHARD)
    shard = tmp_path / "e" / "q12-00000.npy"
    content = bytearray(shard.read_bytes())
    if fault == "bit":
        content[-1] ^= 1
        shard.write_bytes(content)
    elif fault == "short":
        shard.write_bytes(content[:-2])
    elif fault == "gone":
        shard.unlink()
    else:
        shard.with_name(shard.name + ".json").write_text('{"key": 1')
    again = FakeEncoder()
    made = embed_corpus(corpus, again, tmp_path / "e", shard_rows=SHARD)
    assert sorted(again.encoded) == sorted(corpus.prompts(0, 16) + corpus.prompts(32, ROWS))
    np.testing.assert_array_equal(made.rows(0, ROWS), expected_rows(corpus))


def test_a_finished_stage_that_lost_a_shard_makes_only_that_shard_again(corpus, tmp_path):
    made = embed_corpus(corpus, FakeEncoder(), tmp_path / "e", shard_rows=SHARD)
    before = tree_digest(made.folder)
    (made.folder / "q12-00001.npy").unlink()
    with pytest.raises(StoreError, match="q12-00001"):
        open_embeddings(made.folder)
    again = FakeEncoder()
    embed_corpus(corpus, again, made.folder, shard_rows=SHARD)
    assert sorted(again.encoded) == sorted(corpus.prompts(16, 32))
    assert tree_digest(made.folder) == before


def test_shards_of_other_versions_are_not_mixed_but_a_finished_stage_stays(corpus, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        embed_corpus(corpus, FakeEncoder(stop_after=40), tmp_path / "e", shard_rows=SHARD)
    newer = FakeEncoder(version="2")
    embed_corpus(corpus, newer, tmp_path / "e", shard_rows=SHARD)
    assert len(newer.encoded) == ROWS
    newest = FakeEncoder(version="3")
    embed_corpus(corpus, newest, tmp_path / "e", shard_rows=SHARD)
    assert newest.encoded == []


def test_finished_embeddings_are_used_again_and_say_so(corpus, tmp_path):
    first = embed_corpus(corpus, FakeEncoder(), tmp_path / "e")
    again, heard = FakeEncoder(), Recorder()
    second = embed_corpus(corpus, again, tmp_path / "e", progress=heard)
    assert again.calls == []
    assert "used again" in heard.notes[0]
    assert first.digest == second.digest


def test_a_sidecar_left_by_a_kill_at_the_very_end_goes_at_the_next_run(corpus, tmp_path):
    made = embed_corpus(corpus, FakeEncoder(), tmp_path / "e")
    before = tree_digest(made.folder)
    (made.folder / "q12-00000.npy.json").write_text("{}")
    embed_corpus(corpus, FakeEncoder(), tmp_path / "e")
    assert tree_digest(made.folder) == before


def test_another_dtype_or_another_text_makes_all_again(corpus, tmp_path):
    embed_corpus(corpus, FakeEncoder(), tmp_path / "e")
    other = FakeEncoder(dtype="b")
    embed_corpus(corpus, other, tmp_path / "e")
    assert len(other.encoded) == ROWS
    changed = corpus_of(tmp_path / "changed", [*some_prompts(ROWS)[:-1], "another text"])
    encoder = FakeEncoder(dtype="b")
    embed_corpus(changed, encoder, tmp_path / "e")
    assert len(encoder.encoded) == ROWS


def test_the_digest_names_the_vectors_and_not_how_they_were_made(corpus, tmp_path):
    one = embed_corpus(corpus, FakeEncoder(), tmp_path / "one")
    two = embed_corpus(corpus, FakeEncoder(version="9"), tmp_path / "two")
    assert one.digest == two.digest
    assert one.manifest["digest"] == one.digest


@pytest.mark.parametrize(
    ("value", "word"), [(np.nan, "not finite"), (np.inf, "not finite"), (0, "zero")]
)
def test_an_unusable_vector_of_an_encoder_names_the_row_and_its_line(corpus, tmp_path, value, word):
    class Broken(FakeEncoder):
        def encode(self, texts):
            vectors = super().encode(texts)
            for row, text in enumerate(texts):
                if text.startswith("7 "):
                    vectors[row] = value
            return vectors

    with pytest.raises(EncoderError, match=word) as caught:
        embed_corpus(corpus, Broken(), tmp_path / "e")
    assert caught.value.place == "rows.jsonl:8"
    assert not (tmp_path / "e" / "manifest.json").exists()


def test_an_encoder_that_gives_too_few_vectors_is_refused(corpus, tmp_path):
    class Short(FakeEncoder):
        def encode(self, texts):
            return super().encode(texts)[1:]

    with pytest.raises(EncoderError, match="texts"):
        embed_corpus(corpus, Short(), tmp_path / "e")


def test_embeddings_that_are_missing_say_which_command_makes_them(tmp_path):
    with pytest.raises(StoreError, match="smartx embed"):
        open_embeddings(tmp_path)


@pytest.mark.parametrize(("value", "name"), [("", PUBLISHED), ("0", PUBLISHED), ("1", PACKAGED)])
def test_the_default_encoder_is_the_packaged_one_only_when_the_hub_is_off(monkeypatch, value, name):
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    assert default_encoder() == name


def test_an_encoder_folder_is_named_by_its_files_wherever_it_lies(tmp_path):
    here, there = tmp_path / "a" / "model", tmp_path / "b" / "model"
    here.mkdir(parents=True)
    (here / "config.json").write_text("{}")
    (here / "model.safetensors").write_bytes(b"weights")
    shutil.copytree(here, there)
    sources = [EncoderSource(EncoderSpec(str(folder))) for folder in (here, there)]
    assert sources[0].parameters() == sources[1].parameters()
    assert sources[0].inputs() == sources[1].inputs()
    (there / "model.safetensors").write_bytes(b"other weights")
    assert sources[0].inputs() != sources[1].inputs()
    with pytest.raises(EncoderError, match="holds no encoder"):
        folder_digest(tmp_path / "b" / "nothing")


def test_device_batch_and_threads_do_not_change_what_is_asked_for():
    plain = EncoderSource(EncoderSpec("some/encoder")).parameters()
    run = EncoderSpec("some/encoder", batch_size=3, device="cpu", threads=2)
    assert EncoderSource(run).parameters() == plain
    for other in (
        {"dtype": "float32"},
        {"max_length": 9},
        {"prompt_prefix": "q: "},
        {"revision": "x"},
    ):
        assert EncoderSource(EncoderSpec("some/encoder", **other)).parameters() != plain


def test_importing_embed_loads_neither_torch_nor_transformers():
    code = (
        "import sys, smartx.embed; "
        "print([name for name in ('torch', 'transformers', 'sentence_transformers') "
        "if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40))
def test_the_vectors_do_not_depend_on_the_size_of_the_shards(tmp_path_factory, rows, shard_rows):
    folder = tmp_path_factory.mktemp("shards")
    corpus = corpus_of(folder, some_prompts(rows))
    made = embed_corpus(corpus, FakeEncoder(), folder / "e", shard_rows=shard_rows)
    np.testing.assert_array_equal(made.rows(0, rows), expected_rows(corpus))
