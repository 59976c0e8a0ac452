"""Rows that were cut and rows that share one vector are counted, by group, and told."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embed_fakes import WINDOW, FakeEncoder, corpus_of, some_prompts
from smartx.corpus import Corpus, ingest
from smartx.embed import VectorsSpec, counts, embed_corpus, warnings_of


def corpus_by_task(folder: Path, rows: list[tuple[int, str]]) -> Corpus:
    """rows: (task, prompt)."""
    lines = [{"prompt": p, "response": "r", "task": f"task-{task}"} for task, p in rows]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rows.jsonl").write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    return ingest([folder / "rows.jsonl"], folder / "corpus")


def counted_plainly(corpus: Corpus, rows: list[bytes]) -> list[int]:
    groups = corpus.groups
    found = []
    for start, size in zip(groups.start.tolist(), groups.rows.tolist(), strict=True):
        count = Counter(rows[start : start + size])
        found.append(sum(number for number in count.values() if number > 1))
    return found


@settings(max_examples=8, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), min_size=1, max_size=40),
    st.sampled_from([1, 7, 1 << 18]),
)
def test_shared_vectors_are_counted_inside_each_group_and_the_digest_knows_no_blocks(
    tmp_path_factory, rows, block
):
    folder = tmp_path_factory.mktemp("counts")
    corpus = corpus_by_task(folder, [(task, f"text {text}") for task, text in rows])
    whole = embed_corpus(corpus, FakeEncoder(), folder / "whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counts, "_BLOCK", block)
        made = embed_corpus(corpus, FakeEncoder(), folder / "run")
    found = [row.tobytes() for row in made.rows(0, corpus.num_rows)]
    wanted = counted_plainly(corpus, found)
    assert made.manifest["shared"] == {"rows": sum(wanted), "by_group": wanted}
    assert made.digest == whole.digest
    assert made.manifest == whole.manifest


def test_texts_that_go_on_behind_the_window_are_counted(tmp_path):
    long = "word " * (WINDOW + 1)
    rows = [(0, "a"), (0, long + "x"), (0, long + "x"), (1, long + "y"), (1, "b")]
    made = embed_corpus(corpus := corpus_by_task(tmp_path, rows), FakeEncoder(), tmp_path / "run")
    assert made.manifest["cut"] == {"rows": 3, "by_group": [2, 1]}
    (line,) = [line for line in warnings_of(made, corpus) if "cut" in line]
    assert "3 rows of 5" in line


def test_shared_rows_of_ready_vectors_are_counted_too(tmp_path):
    corpus = corpus_of(tmp_path, some_prompts(30))
    vectors = np.random.default_rng(0).normal(size=(30, 8))
    vectors[[0, 3, 6]] = vectors[0]
    np.save(tmp_path / "v.npy", vectors)
    spec = VectorsSpec(tmp_path / "v.npy")
    made = embed_corpus(corpus, spec, tmp_path / "run", part_rows=7)
    assert made.manifest["shared"] == {"rows": 3, "by_group": [3, 0, 0]}
    assert "cut" not in made.manifest


def test_the_same_vectors_have_the_same_digest_from_an_encoder_and_from_a_file(tmp_path):
    corpus = corpus_of(tmp_path, some_prompts(30))
    made = embed_corpus(corpus, FakeEncoder(), tmp_path / "run")
    order = corpus.source_positions(0, 30)
    vectors = np.empty_like(made.rows(0, 30))
    vectors[order] = made.rows(0, 30)
    np.save(tmp_path / "v.npy", vectors)
    ready = embed_corpus(corpus, VectorsSpec(tmp_path / "v.npy"), tmp_path / "run")
    assert ready.folder != made.folder
    assert ready.digest == made.digest


def test_a_group_in_which_most_rows_share_one_vector_is_a_warning_nobody_overlooks(tmp_path):
    rows = [(0, f"text {row}") for row in range(30)] + [(1, "one") for _ in range(25)]
    corpus = corpus_by_task(tmp_path, rows)
    lines = warnings_of(embed_corpus(corpus, FakeEncoder(), tmp_path / "run"), corpus)
    assert lines[0].startswith("WARNING: in 1 group most rows have one and the same vector")
    assert "task-1: 25 of 25 rows" in lines[0]
    assert "25 rows of 55" in lines[1]


def test_prompts_with_several_answers_each_are_counted_and_alarm_nobody(tmp_path):
    rows = [(0, f"text {row // 3}") for row in range(60)]
    corpus = corpus_by_task(tmp_path, rows)
    made = embed_corpus(corpus, FakeEncoder(), tmp_path / "run")
    assert made.manifest["shared"]["rows"] == 60
    assert made.manifest["one_vector"]["rows"] == 0
    (line,) = warnings_of(made, corpus)
    assert line.startswith("60 rows of 60")


def test_vectors_that_are_all_distinct_and_whole_warn_of_nothing(tmp_path):
    corpus = corpus_of(tmp_path, [f"text {row}" for row in range(40)])
    assert warnings_of(embed_corpus(corpus, FakeEncoder(), tmp_path / "run"), corpus) == []
