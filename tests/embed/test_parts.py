"""Vectors found again by their text: only new texts are embedded, each once, in any history."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embed_fakes import FakeEncoder, corpus_of, some_prompts, vector_of
from smartx.corpus import ingest
from smartx.embed import embed_corpus, open_embeddings
from smartx.embed import parts as parts_file
from smartx.embed.parts import places_among, vector_digests
from smartx.embed.run import new_texts
from smartx.engine import quantize
from smartx.errors import StoreError

few = st.integers(0, 3)
digests = st.lists(st.tuples(few, few), max_size=30)


def words(pairs: list[tuple[int, int]]) -> np.ndarray:
    return np.array(pairs, dtype=np.uint64).reshape(-1, 2)


@settings(max_examples=200)
@given(digests, st.sets(st.tuples(few, few), max_size=10), st.sampled_from([1, 3, 1 << 21]))
def test_places_are_those_of_a_dictionary_also_where_half_a_digest_is_alike(texts, known, piece):
    places = np.arange(len(known), dtype=np.int64) * 100 + 7
    known_list = sorted(known, key=hash)
    by_text = dict(zip(known_list, places.tolist(), strict=True))
    first: dict[tuple[int, int], int] = {}
    expected = [
        by_text[t] if t in by_text else ~first.setdefault(t, r) for r, t in enumerate(texts)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts_file, "_PIECE", piece)
        found = places_among(words(texts), words(known_list), places)
    assert found.tolist() == expected


@given(st.integers(1, 9), st.integers(0, 2**32))
def test_a_digest_of_a_vector_tells_any_two_rows_apart_and_is_the_same_for_equal_ones(width, seed):
    rng = np.random.default_rng(seed)
    rows = rng.integers(-4_096, 4_097, (40, width)).astype(np.int16)
    changed = rows.copy()
    changed[np.arange(40), rng.integers(0, width, 40)] += rng.choice([-1, 1, 64], 40).astype(
        np.int16
    )
    one, other = vector_digests(rows), vector_digests(changed)
    assert (one == vector_digests(np.asfortranarray(rows))).all()
    assert (one != other).any(axis=1).all()
    assert (one == vector_digests(np.concatenate([changed, rows]))[40:]).all()


def test_digests_of_many_vectors_that_differ_little_are_distinct():
    """Rows that differ in one or two values only, in any of the four of a 64-bit word."""
    rows = np.zeros((20_000, 64), dtype=np.int16)
    at = np.arange(20_000)
    rows[at, at % 64] += (at // 64).astype(np.int16) - 150
    rows[at, (at * 7 + 13) % 64] += (at // 64).astype(np.int16) * 3 + 1
    rows = np.unique(rows, axis=0)
    for word in vector_digests(rows).T:
        assert len(np.unique(word)) == len(rows)


def expected_rows(corpus) -> np.ndarray:
    return quantize(np.stack([vector_of(text) for text in corpus.prompts(0, corpus.num_rows)]))


@settings(max_examples=8, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 25), min_size=1, max_size=30), min_size=1, max_size=5),
    st.integers(1, 9),
)
def test_only_new_texts_are_embedded_each_once_and_history_leaves_no_trace(
    tmp_path_factory, histories, part_rows
):
    folder, run = tmp_path_factory.mktemp("parts"), tmp_path_factory.mktemp("runs") / "run"
    prompts, seen = some_prompts(26), set()
    for number, rows in enumerate(histories):
        corpus = corpus_of(folder / str(number), [prompts[row] for row in rows])
        encoder, texts = FakeEncoder(), {prompts[row] for row in rows}
        made = embed_corpus(corpus, encoder, run, part_rows=part_rows)
        assert sorted(encoder.encoded) == sorted(texts - seen)
        seen |= texts
        fresh = embed_corpus(corpus, FakeEncoder(), folder / str(number) / "fresh")
        assert made.digest == fresh.digest
        history = ("files", "vectors", "seal")  # where they lie, and nothing else
        same = made.manifest.keys() - history
        assert {n: made.manifest[n] for n in same} == {n: fresh.manifest[n] for n in same}
        np.testing.assert_array_equal(made.rows(0, len(rows)), expected_rows(corpus))
        half = made.rows(len(rows) // 2, len(rows))
        np.testing.assert_array_equal(half, expected_rows(corpus)[len(rows) // 2 :])


def test_the_order_of_sources_embeds_nothing_again(tmp_path):
    files = []
    for name in "ab":
        corpus_of(tmp_path / name, [f"{name} {row}" for row in range(9)])
        files.append(tmp_path / name / "rows.jsonl")
    one = ingest(files, tmp_path / "one")
    two = ingest(files[::-1], tmp_path / "two")
    embed_corpus(one, FakeEncoder(), tmp_path / "run")
    again = FakeEncoder()
    embed_corpus(two, again, tmp_path / "run")
    assert again.encoded == []


def test_how_many_texts_are_new_is_known_before_they_are_embedded(tmp_path):
    one = corpus_of(tmp_path / "one", some_prompts(20))
    two = corpus_of(tmp_path / "two", some_prompts(23)[15:] * 2)
    assert new_texts(two, FakeEncoder(), tmp_path / "run") is None
    embed_corpus(one, FakeEncoder(), tmp_path / "run")
    assert new_texts(two, FakeEncoder(), tmp_path / "run") == 3
    assert new_texts(one, FakeEncoder(), tmp_path / "run") == 0
    assert new_texts(one, FakeEncoder(version="2"), tmp_path / "run") is None


def test_a_part_that_another_corpus_lost_is_named_and_made_again(tmp_path):
    run, prompts = tmp_path / "run", some_prompts(30)
    one = corpus_of(tmp_path / "one", prompts[:20])
    two = corpus_of(tmp_path / "two", prompts[10:])
    first = embed_corpus(one, FakeEncoder(), run, part_rows=10)
    second = embed_corpus(two, FakeEncoder(), run, part_rows=10)
    (part,) = run.glob("vectors/*/part-00001.npy")
    part.write_bytes(part.read_bytes()[:-1] + b"\x07")
    embed_corpus(two, FakeEncoder(), run, part_rows=10)
    with pytest.raises(StoreError, match="part-00001"):
        open_embeddings(first.folder).rows(0, 20)
    again = FakeEncoder()
    mended = embed_corpus(one, again, run, part_rows=10)
    assert 0 < len(again.encoded) <= 10
    assert mended.digest == first.digest
    assert open_embeddings(second.folder, two).rows(0, 20).shape == (20, 24)


def test_a_folder_with_things_of_somebody_else_is_refused(tmp_path):
    corpus = corpus_of(tmp_path, some_prompts(5))
    made = embed_corpus(corpus, FakeEncoder(), tmp_path / "run")
    folder = tmp_path / "run" / "vectors" / made.manifest["vectors"]["key"][:16]
    for path in folder.iterdir():
        path.unlink()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match=r"notes\.txt"):
        embed_corpus(corpus, FakeEncoder(), tmp_path / "run")
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


def test_the_whole_of_a_part_is_in_its_two_files(tmp_path: Path):
    corpus = corpus_of(tmp_path, ["a", "b", "a b c"])
    embed_corpus(corpus, FakeEncoder(), tmp_path / "run")
    (told,) = tmp_path.glob("run/vectors/*/part-00000.texts.npy")
    content = np.load(told, allow_pickle=False)
    assert content.shape == (3, 5)
    assert len(np.unique(content[:, 0])) == len(np.unique(content[:, 2])) == 3
    assert content[:, 4].tolist() == [0, 0, 0]
