"""Rows that say what an earlier row says: found, counted, and left out on request."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest_files import Notes, dropped, real_corpus, table_of, write_rows
from smartx.corpus import ingest, open_corpus
from smartx.corpus.duplicates import repeats
from smartx.errors import InputError

USER, BOT = {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}

row = st.one_of(
    st.fixed_dictionaries(
        {
            "prompt": st.sampled_from(["a", "ab", "b", "ü", " "]),
            "response": st.sampled_from(["a", "b", "bc"]),
            "task": st.sampled_from(["t", "u"]),
        }
    ),
    st.sampled_from(
        [
            {"messages": [USER, BOT], "task": "t"},
            {"messages": [USER, BOT, USER], "task": "t"},
            {"messages": [USER, {**BOT, "weight": 0}], "task": "u"},
        ]
    ),
)


def words(row):
    return repr(row["messages"]) if row.get("messages") else (row["prompt"], row["response"])


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(
    files=st.lists(st.lists(row, min_size=1, max_size=9), min_size=1, max_size=3),
    ending=st.sampled_from([".jsonl", ".json", ".parquet"]),
)
def test_of_rows_with_the_same_words_the_first_in_source_order_stays(
    files, ending, tmp_path_factory
):
    folder = tmp_path_factory.mktemp("corpus")
    good = {"prompt": "g", "response": "g", "task": "g"}
    files = [[good, *rows] for rows in files]
    paths = [write_rows(folder / f"{i}{ending}", rows) for i, rows in enumerate(files)]
    corpus = ingest(paths, folder / "out", duplicates="drop")
    seen: dict[object, str] = {}
    kept, repeated, position = [], [], 0
    for number, rows in enumerate(files):
        for line, own in enumerate(rows, 1):
            if own.get("messages") or own["prompt"].strip():
                place = f"{number}{ending}:{line}"
                if words(own) in seen:
                    repeated.append((position, line, f"of {seen[words(own)]}"))
                else:
                    seen[words(own)] = place
                    kept.append((("", own["task"]), position))
            position += 1
    found = [d for d in dropped(folder / "out") if d["reason"] == "duplicate"]
    assert [(d["source_position"], d["line"], d["detail"]) for d in found] == repeated
    positions = corpus.source_positions(0, corpus.num_rows).tolist()
    tasks = [r["name"][:2] for r in table_of(corpus)]
    assert list(zip(tasks, positions, strict=True)) == sorted(kept)
    assert corpus.manifest["rows"]["duplicates"] == len(repeated)
    assert corpus.num_source_rows == position == corpus.num_rows + len(dropped(folder / "out"))
    assert open_corpus(folder / "out").groups.rows.min() > 0


def test_duplicates_are_kept_unless_asked_and_said(tmp_path):
    rows = [{"prompt": "p", "response": "r"}] * 3
    progress = Notes()
    path = write_rows(tmp_path / "a.jsonl", rows)
    corpus = ingest([path], tmp_path / "out", progress=progress)
    assert (corpus.num_rows, corpus.manifest["rows"]["duplicates"]) == (3, 2)
    assert any("2 word-for-word copies of earlier rows" in note for note in progress.notes)
    progress = Notes()
    fewer = ingest([path], tmp_path / "out", duplicates="drop", progress=progress)
    assert fewer.num_rows == 1
    assert fewer.digest != corpus.digest
    assert any(f"duplicate: {path}:2 (of a.jsonl:1)" in note for note in progress.notes)


def test_another_word_for_duplicates_is_refused(tmp_path):
    path = write_rows(tmp_path / "a.jsonl", [{"prompt": "p", "response": "r"}])
    with pytest.raises(InputError, match="remove"):
        ingest([path], tmp_path / "out", duplicates="remove")


def test_prompt_and_response_are_told_apart(tmp_path):
    rows = [{"prompt": "ab", "response": "c"}, {"prompt": "a", "response": "bc"}]
    corpus = ingest([write_rows(tmp_path / "a.jsonl", rows)], tmp_path / "out", duplicates="drop")
    assert corpus.num_rows == 2


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=20))
def test_repeats_are_those_of_a_dictionary_even_where_half_a_digest_is_shared(pairs):
    digests = np.array(pairs, dtype=np.uint64).reshape(-1, 2)
    first: dict[tuple[int, int], int] = {}
    expected = []
    for place, pair in enumerate(pairs):
        if first.setdefault(pair, place) != place:
            expected.append((place, first[pair]))
    again, origin = repeats(digests)
    assert list(zip(again.tolist(), origin.tolist(), strict=True)) == expected


@pytest.mark.corpus
def test_the_duplicates_of_t0_are_those_that_a_counter_finds(tmp_path):
    import pyarrow.parquet as pq

    path = real_corpus("t0.parquet")
    table = pq.read_table(path, columns=["inputs", "targets"]).to_pylist()
    texts = [(r["inputs"], r["targets"]) for r in table if r["targets"].strip()]
    corpus = ingest([path], tmp_path / "out", duplicates="drop")
    expected = sum(count - 1 for count in Counter(texts).values())
    assert corpus.manifest["rows"]["dropped"]["duplicate"] == expected > 0
    assert corpus.num_rows == len(texts) - expected
