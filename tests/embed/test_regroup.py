"""Vectors of rows that are grouped again are those that embedding them would give."""

from __future__ import annotations

import numpy as np
import pytest

from conftest import tree_digest
from embed_fakes import FakeEncoder, corpus_of, some_prompts
from smartx.corpus.regroup import new_groups, regrouped
from smartx.embed import VectorsSpec, embed_corpus, regrouped_embeddings
from smartx.errors import InputError, StoreError
from smartx.verify import verify_folder

NAMES = ["a", "b", "c"]


def made(folder, kind):
    """A corpus, its embeddings, the same rows under other tasks, and their order."""
    prompts = [*some_prompts(40), *some_prompts(7)]
    corpus = corpus_of(folder / "corpus", prompts)  # folder/corpus/corpus
    run = folder / "run"
    encoder = FakeEncoder()
    if kind == "file":
        rng = np.random.default_rng(2)
        np.save(folder / "v.npy", rng.normal(size=(corpus.num_source_rows, 6)).astype(np.float32))
        encoder = VectorsSpec(folder / "v.npy")
    embeddings = embed_corpus(corpus, encoder, run)
    labels = (np.arange(corpus.num_rows) * 5 % 3).astype(np.int32)
    other = regrouped(corpus, labels, NAMES, "digest", folder / "corpora")
    order = new_groups(corpus.groups, labels, NAMES)[2]
    return encoder, embeddings, other, order, run


@pytest.mark.parametrize("kind", ["encoder", "file"])
def test_they_are_what_embedding_makes_to_the_byte(tmp_path, kind):
    encoder, embeddings, other, order, run = made(tmp_path, kind)
    found = regrouped_embeddings(embeddings, other, order, run)
    rows = embeddings.rows(0, embeddings.num_rows)
    assert found.rows(0, found.num_rows).tolist() == rows[order].tolist()
    by_hand = tree_digest(found.folder)
    for path in found.folder.iterdir():
        path.unlink()
    found.folder.rmdir()
    if kind == "encoder":
        encoder.calls.clear()
    again = embed_corpus(other, encoder, run)
    assert again.folder == found.folder
    assert tree_digest(again.folder) == by_hand
    if kind == "encoder":
        assert encoder.encoded == []


@pytest.mark.parametrize("kind", ["encoder", "file"])
def test_they_are_made_once(tmp_path, kind):
    _, embeddings, other, order, run = made(tmp_path, kind)
    found = regrouped_embeddings(embeddings, other, order, run)
    stamps = {path.name: path.stat().st_mtime_ns for path in found.folder.iterdir()}
    assert regrouped_embeddings(embeddings, other, order, run).digest == found.digest
    assert stamps == {path.name: path.stat().st_mtime_ns for path in found.folder.iterdir()}


@pytest.mark.parametrize("kind", ["encoder", "file"])
def test_damaged_vectors_are_an_error_and_nothing_is_finished(tmp_path, kind):
    _, embeddings, other, order, run = made(tmp_path, kind)
    folder = run / ("vectors" if kind == "encoder" else "embeddings")
    (path,) = (p for p in folder.glob("*/*.npy") if "texts" not in p.name)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(StoreError):
        regrouped_embeddings(embeddings, other, order, run)
    assert len(list(run.glob("embeddings/*/manifest.json"))) == 1


@pytest.mark.parametrize("kind", ["encoder", "file"])
def test_rows_are_taken_in_any_order(tmp_path, kind):
    embeddings = made(tmp_path, kind)[1]
    rows = embeddings.rows(0, embeddings.num_rows)
    ids = np.array([5, 5, 0, 46, 17])
    assert embeddings.take(ids).tolist() == rows[ids].tolist()
    assert embeddings.take(ids[:0]).shape == (0, embeddings.dimensions)
    with pytest.raises(InputError, match=r"0\.\.46"):
        embeddings.take(np.array([47]))
    assert verify_folder(embeddings.folder).faults == ()
