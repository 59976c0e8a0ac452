"""Student encoders: the sample, the fit against plain algebra, what is lost, and the stage."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embed_fakes import write_rows
from embed_tokenizers import WORDS, model2vec_folder
from smartx.corpus import Corpus, ingest
from smartx.embed import (
    EncoderSpec,
    HybridSpec,
    StudentSpec,
    embed_corpus,
    embeddings_there,
    open_student,
)
from smartx.embed.encoders import identity_of
from smartx.embed.plan import part_sizes
from smartx.embed.run import encoder_of
from smartx.embed.student import kept_student, student_there, token_vectors
from smartx.embed.student.exact import least_squares, mapped
from smartx.embed.student.fit import _RIDGE, _ridge
from smartx.embed.student.loss import gain_kept, measured_loss, pair_correlation, random_pairs
from smartx.embed.student.sample import held_rows, training_rows
from smartx.embed.texts import Texts
from smartx.engine import quantize
from smartx.engine.token_table import Bags
from smartx.errors import EncoderError, InputError, StoreError
from smartx.progress import Silent

sizes_of_groups = st.lists(st.integers(1, 60), min_size=1, max_size=12)


def digests(rows: int, seed: int = 0, distinct: int | None = None) -> np.ndarray:
    """Digests of so many texts, some of them equal where fewer are distinct."""
    rng = np.random.default_rng(seed)
    own = rng.integers(0, 2**63, size=(rows, 2), dtype=np.uint64)
    return own if distinct is None else own[rng.integers(0, distinct, rows)]


@given(sizes_of_groups, st.integers(1, 400), st.integers(0, 3), st.booleans())
def test_rows_to_learn_from_and_rows_to_be_judged_by_have_no_text_in_common(
    sizes, wanted, seed, repeated
):
    sizes = np.array(sizes, dtype=np.int64)
    n = int(sizes.sum())
    texts = digests(n, seed, distinct=max(1, n // 3) if repeated else None)
    held = held_rows(sizes, texts, seed, 8)
    drawn = [training_rows(sizes, texts, held.rows, seed, k) for k in (wanted, 2 * wanted)]
    for rows in (held.spread, held.deep, *drawn):
        assert (np.diff(rows) > 0).all()
        assert len(np.unique(texts[rows, 0])) == len(rows)
    assert len(drawn[0]) <= wanted + 1 + 3 * len(sizes) ** 0.5
    assert not np.isin(texts[drawn[1], 0], texts[held.rows, 0]).any()
    assert np.isin(texts[drawn[0], 0], texts[drawn[1], 0]).all()  # fewer rows are among more


def test_large_groups_give_more_rows_but_not_in_proportion():
    sizes = np.array([10_000, 100, 100, 1])
    rows = training_rows(sizes, digests(10_201), np.empty(0, np.int64), 0, 241)
    group = np.searchsorted(np.cumsum(sizes), rows, side="right")
    assert np.bincount(group, minlength=4).tolist() == pytest.approx([200, 20, 20, 1], abs=2)


def test_another_group_leaves_the_rest_of_the_sample_where_it_is():
    sizes, texts = np.array([400, 300, 200]), digests(900)
    none = np.empty(0, np.int64)
    before = training_rows(sizes, texts, none, 0, 200)
    more = np.concatenate([texts, digests(50, seed=9)])
    after = training_rows(np.append(sizes, 50), more, none, 0, 220)
    assert len(np.intersect1d(before, after)) >= 0.9 * len(before)


@pytest.mark.parametrize(("n", "k", "d"), [(30, 4, 3), (200, 24, 24), (50, 60, 7)])
def test_least_squares_are_those_of_plain_algebra(n, k, d):
    rng = np.random.default_rng(0)
    rows, targets = (rng.uniform(-1, 1, size=(n, w)).astype(np.float32) for w in (k, d))
    found = least_squares(rows, targets, 0.3)
    wanted = np.linalg.solve(rows.T @ rows + 0.3 * np.eye(k), rows.T @ targets)
    assert np.abs(found - wanted).max() < 2e-3
    tokens = quantize(rng.normal(size=(9, k)).astype(np.float32))
    assert np.allclose(mapped(tokens, found), tokens / 4096 @ found, atol=1e-6)


def test_conjugate_gradients_end_at_the_ridge_regression():
    rng = np.random.default_rng(1)
    dense = rng.uniform(size=(40, 15)) * (rng.uniform(size=(40, 15)) < 0.3)
    dense[0] = 1.0  # no empty column
    targets = rng.normal(size=(40, 6)).astype(np.float32)
    starts = np.concatenate([[0], np.cumsum((dense > 0).sum(axis=1))])
    bags = Bags(starts, np.nonzero(dense)[1].astype(np.int32), dense[dense > 0].astype(np.float32))
    wanted = np.linalg.solve(dense.T @ dense + _RIDGE * np.eye(15), dense.T @ targets)
    found = {t: _ridge(bags, targets, 15, t, Silent()) for t in (1, 3)}
    assert np.abs(found[1] - wanted).max() < 1e-3
    assert (found[1] == found[3]).all()


def some_rows(n: int, seed: int) -> np.ndarray:
    return quantize(np.random.default_rng(seed).normal(size=(n, 16)).astype(np.float32))


def test_nothing_is_lost_by_the_teachers_own_vectors_and_all_by_others():
    teacher, tasks = some_rows(300, 0), np.repeat(np.arange(10), 30)
    own = measured_loss(teacher, teacher, tasks, tasks, seed=0, threads=1)
    assert (own.in_groups, own.over_tasks) == (1.0, 1.0)
    assert (own.cosine, own.pairs) == (pytest.approx(1.0), pytest.approx(1.0))
    other = measured_loss(teacher, some_rows(300, 1), tasks, tasks, seed=0, threads=1)
    assert abs(other.cosine) < 0.1
    assert abs(other.pairs) < 0.1
    assert other.in_groups < 0.4
    none = measured_loss(teacher, teacher, np.zeros(300, int), np.full(300, -1), seed=0, threads=1)
    assert (none.in_groups, none.over_tasks) == (None, None)


@pytest.mark.parametrize("rows", [1, 30])
@pytest.mark.filterwarnings("error")
def test_vectors_that_are_all_equal_have_a_loss_that_a_manifest_can_hold(rows):
    equal, none = quantize(np.ones((rows, 16), np.float32)), np.zeros(rows, dtype=np.int64)
    for student in (equal, some_rows(rows, 1)):
        loss = measured_loss(equal, student, none, none, seed=0, threads=1)
        assert loss.pairs == 0
        assert json.dumps(loss.facts(), allow_nan=False)


def test_the_gain_that_is_kept_is_that_of_its_definition():
    teacher, student = some_rows(20, 2), some_rows(20, 3)
    kernel = np.maximum(teacher.astype(float) @ teacher.T.astype(float), 0)

    def value(chosen):
        return kernel[list(chosen)].max(axis=0).sum()

    def greedy(rows):
        own, chosen = np.maximum(rows.astype(float) @ rows.T.astype(float), 0), []
        for _ in range(4):
            best = max(range(20), key=lambda v: (own[[*chosen, v]].max(axis=0).sum(), -v))
            chosen.append(best)
        return chosen

    kept = gain_kept(teacher, student, [20], 0.2)
    chance = (value(greedy(student)) - kept * value(greedy(teacher))) / (1 - kept)
    drawn = [value(np.random.default_rng(s).permutation(20)[:4]) for s in range(400)]
    assert abs(chance - np.mean(drawn)) < 4 * np.std(drawn) / 4  # of 16 draws


def test_pairs_are_of_two_rows_and_equal_similarities_share_a_rank():
    pairs = random_pairs(3, seed=5, count=500)
    assert (pairs[:, 0] != pairs[:, 1]).all()
    assert set(pairs.ravel().tolist()) == {0, 1, 2}
    rows = quantize(np.eye(4, dtype=np.float32)[[0, 0, 1, 1]])
    every = np.array([(a, b) for a in range(4) for b in range(4) if a != b])
    assert pair_correlation(rows, rows, every) == pytest.approx(1.0)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory) -> EncoderSpec:
    """A static encoder: its vectors are means of token vectors, which a student can learn."""
    folder = model2vec_folder(tmp_path_factory.mktemp("teacher") / "static")
    return EncoderSpec(str(folder), threads=2)


def sentences(count: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(4, 30))) for _ in range(count)]


def corpus_in(folder: Path, prompts: list[str], *more: list[str]) -> Corpus:
    files = [write_rows(folder / f"rows-{n}.jsonl", own) for n, own in enumerate((prompts, *more))]
    return ingest(files, folder / f"corpus-{len(more)}")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Corpus:
    return corpus_in(tmp_path_factory.mktemp("rows"), sentences(900, 1))


def test_a_student_gives_nearly_what_its_teacher_would(corpus, teacher, tmp_path):
    spec = StudentSpec(teacher, rows=400)
    made = embed_corpus(corpus, spec, tmp_path)
    theirs = embed_corpus(corpus, teacher, tmp_path)
    ours, theirs = (x.rows(0, corpus.num_rows).astype(float) for x in (made, theirs))
    cosines = (ours * theirs).sum(axis=1) / 4088**2
    told = made.manifest["student"]
    assert cosines.mean() > 0.95
    assert told["loss"]["cosine"] == pytest.approx(cosines.mean(), abs=0.01)
    assert told["curve"][-1]["rows"] <= 403
    assert made.manifest["parameters"]["encoder"] == f"student:{Path(teacher.name).name}"
    assert embeddings_there(corpus, spec, tmp_path).digest == made.digest


def test_the_bytes_are_the_same_on_any_threads_and_after_any_history(corpus, teacher, tmp_path):
    spec = StudentSpec(teacher, rows=300)
    one = embed_corpus(corpus, StudentSpec(replace(teacher, threads=1), rows=300), tmp_path / "1")
    embed_corpus(corpus, teacher, tmp_path / "4")  # the teacher's vectors are all there
    four = embed_corpus(corpus, StudentSpec(replace(teacher, threads=4), rows=300), tmp_path / "4")
    assert one.digest == four.digest
    again = embed_corpus(corpus, spec, tmp_path / "1")
    assert again.folder == one.folder
    other = embed_corpus(corpus, replace(spec, seed=1), tmp_path / "1")
    assert other.digest != one.digest


def test_rows_are_doubled_until_that_gains_little(corpus, teacher, tmp_path, monkeypatch):
    from smartx.embed.student import stage

    monkeypatch.setattr(stage, "FIRST_ROWS", 70)
    student = kept_student(corpus, StudentSpec(teacher), tmp_path, Texts(corpus, "user"), Silent())
    curve = student.facts["curve"]
    rows = [step["rows"] for step in curve]
    gains = [b["loss"]["cosine"] - a["loss"]["cosine"] for a, b in pairwise(curve)]
    assert len(rows) > 1
    assert all(gain >= 0.01 for gain in gains[:-1])
    assert gains[-1] < 0.01 or rows[-1] * 2 > corpus.num_rows // 4


def test_a_student_that_is_kept_encodes_texts_like_the_rows(corpus, teacher, tmp_path):
    spec = StudentSpec(teacher, rows=300)
    assert student_there(corpus, spec, tmp_path) is None
    made = embed_corpus(corpus, spec, tmp_path)
    folder = next(p for p in (tmp_path / "students").iterdir() if (p / "rows.npy").exists())
    prompts = next(corpus.rising(np.arange(50), ("prompt",))).column("prompt").to_pylist()
    assert (open_student(folder).encode(prompts) == made.rows(0, 50)).all()
    for wrong in (prompts[0], [prompts[0], None]):
        with pytest.raises(InputError, match="text"):
            open_student(folder).encode(wrong)
    other = encoder_of(corpus, spec, tmp_path)  # what embeds evaluation rows
    assert (other.encode(prompts) == made.rows(0, 50)).all()
    (folder / "rows.npy").write_bytes(b"damaged")
    with pytest.raises(StoreError, match="cannot be read"):
        open_student(folder)
    assert embed_corpus(corpus, spec, tmp_path).digest == made.digest  # it is fitted again


def test_new_rows_are_learnt_from_without_embedding_the_old_ones_again(
    corpus, teacher, tmp_path, monkeypatch
):
    from smartx.embed.student import stage

    embedded = []
    real = stage.encoded

    def counted(*args, **kwargs):
        before = sum(1 for _ in (tmp_path / "run" / "vectors").glob("*/part-*.texts.npy"))
        parts, places = real(*args, **kwargs)
        new = sorted(parts.whole)[before:]
        embedded.append(sum(parts.whole[number].vectors.rows for number in new))
        return parts, places

    monkeypatch.setattr(stage, "encoded", counted)
    first = sentences(900, 1)
    spec = StudentSpec(teacher, rows=300)
    embed_corpus(corpus_in(tmp_path, first), spec, tmp_path / "run")
    once = sum(embedded)
    embedded.clear()
    embed_corpus(corpus_in(tmp_path, first, sentences(60, 2)), spec, tmp_path / "run")
    assert sum(embedded) < 0.5 * once


def test_a_kill_while_the_teacher_embeds_tokens_loses_a_part_of_them(
    teacher, tmp_path, monkeypatch
):
    tokenizer = Path(teacher.name) / "tokenizer.json"
    asked = (teacher, identity_of(teacher), tokenizer)
    monkeypatch.setattr(token_vectors, "part_sizes", lambda texts, _: part_sizes(texts, 100))
    whole = token_vectors.token_vectors(*asked, tmp_path / "whole", Silent())
    real, calls = token_vectors._encoded, []

    def encoded(encoder, texts, lengths, advance):
        calls.append(len(texts))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(encoder, texts, lengths, advance)

    monkeypatch.setattr(token_vectors, "_encoded", encoded)
    with pytest.raises(KeyboardInterrupt):
        token_vectors.token_vectors(*asked, tmp_path / "killed", Silent())
    assert token_vectors.tokens_to_embed(*asked[1:], tmp_path / "killed") == len(whole)
    made = token_vectors.token_vectors(*asked, tmp_path / "killed", Silent())
    sizes = part_sizes(len(whole), 100)
    assert len(sizes) == 3
    assert calls[3:] == sizes[2:]
    assert (made == whole).all()
    (folder,) = (tmp_path / "killed").iterdir()
    (folder / "tokens-00001.npy").write_bytes(b"damaged")
    again = token_vectors.token_vectors(*asked, tmp_path / "killed", Silent())
    assert calls[4:] == sizes[1:2]
    assert (again == whole).all()


def test_what_a_student_cannot_learn_from_is_said(teacher, tmp_path):
    few = corpus_in(tmp_path / "few", sentences(35, 3))
    with pytest.raises(EncoderError, match="too few") as caught:
        embed_corpus(few, StudentSpec(teacher), tmp_path / "run")
    assert teacher.name in caught.value.fix
    assert not (tmp_path / "run" / "vectors").exists()  # before any work


def test_a_student_that_saves_nothing_is_warned_of(teacher, tmp_path):
    told = []
    progress = Silent()
    progress.warn = told.append
    rows = corpus_in(tmp_path, sentences(300, 3))
    embed_corpus(rows, StudentSpec(teacher), tmp_path / "run", progress=progress)
    assert "loses nothing" in told[0]
    embed_corpus(rows, StudentSpec(teacher, rows=100), tmp_path / "few", progress=progress)
    assert len(told) == 1
    embed_corpus(rows, StudentSpec(teacher, rows=64), tmp_path / "least")  # that can be asked for
    tiny = corpus_in(tmp_path / "tiny", sentences(35, 4))
    with pytest.raises(EncoderError, match="too few") as caught:
        embed_corpus(tiny, StudentSpec(teacher, rows=64), tmp_path / "fewer")
    assert "`student_rows`" in caught.value.fix


def test_a_hybrid_has_the_teachers_vectors_for_some_tasks_and_the_students_for_others(
    corpus, teacher, tmp_path
):
    student = StudentSpec(teacher, rows=300)
    spec = HybridSpec(student, 400)
    assert embeddings_there(corpus, spec, tmp_path) is None
    mixed = embed_corpus(corpus, spec, tmp_path)
    by = [embed_corpus(corpus, one, tmp_path) for one in (teacher, student)]
    rows = [x.rows(0, corpus.num_rows) for x in (mixed, *by)]
    made = np.repeat(np.array(mixed.manifest["made"]["by_group"]), corpus.groups.rows)
    assert set(made.tolist()) == {0, 1}
    assert (rows[0] == np.where(made[:, None] == 0, rows[1], rows[2])).all()
    assert embeddings_there(corpus, spec, tmp_path).digest == mixed.digest
    assert embed_corpus(corpus, spec, tmp_path).folder == mixed.folder
    assert json.dumps(mixed.manifest["student"])
