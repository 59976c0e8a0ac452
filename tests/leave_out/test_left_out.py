"""Contamination planted into a small corpus: found by the right reason, set and line."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from conftest import tree_digest
from small import Vectors, corpus_of, row
from smartx.engine import quantize
from smartx.errors import ConfigError, CorpusError, InputError, StoreError
from smartx.leave_out import (
    Detection,
    evaluation_sets,
    leave_out,
    left_out_line,
    open_left_out,
)
from smartx.leave_out import Vectors as NearVectors
from smartx.leave_out.texts import Found, Places

WORDS = [f"{a}{b}" for a in "bcdfghjklmnpqrstvwxz" for b in ("alo", "emi", "iru", "oda", "upe")]


def sentence(seed: int, length: int = 30) -> str:
    return " ".join(np.random.default_rng(seed).choice(WORDS, length))


def lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def planted(tmp_path):
    """Rows 0..39 of one task, of which some say what two evaluation sets say."""
    rows = [row(sentence(i), "task") for i in range(40)]
    math = [{"question": sentence(100 + i), "answer": f"<{i}>"} for i in range(12)]
    facts = [{"question": sentence(200 + i), "answer": i} for i in range(12)]
    rows[3]["inputs"] = math[4]["question"].upper() + "?"
    edited = math[5]["question"].split()
    edited[10] = "other"
    rows[7]["inputs"] = f"Read this. {' '.join(edited)} Now answer."
    rows[9]["targets"] = facts[6]["question"]
    rows[11]["inputs"] = f"{facts[7]['question']} {math[8]['question']}"
    half = math[9]["question"].split()
    rows[13]["inputs"] = " ".join(half[:12]) + " " + sentence(999, 20)
    corpus = corpus_of(list(rows), tmp_path)
    places = {text: i for i, text in enumerate(corpus.prompts(0, corpus.num_rows))}
    ids = {i: places[rows[i]["inputs"]] for i in range(40)}
    lines(tmp_path / "math.jsonl", math)
    lines(tmp_path / "facts.jsonl", facts)
    return corpus, ids, tmp_path


def found_in(planted, detection, **more):
    corpus, _, folder = planted
    sources = [folder / "math.jsonl", f"world={folder / 'facts.jsonl'}"]
    sets = evaluation_sets(sources, folder / "run")
    return leave_out(corpus, sets, folder / "leave_out", detection, **more)


def as_lines(found):
    names = ("row_id", "reason", "set", "set_row")
    return {tuple(line[name] for name in names) for line in found.table.to_pylist()}


def test_each_reason_finds_what_was_planted_and_nothing_else(planted):
    _, ids, _ = planted
    found = found_in(planted, Detection(("ngrams", "exact")))
    assert as_lines(found) == {
        (ids[3], "exact", "math", 5),
        (ids[3], "ngrams", "math", 5),
        (ids[7], "ngrams", "math", 6),
        (ids[9], "ngrams", "world", 7),
        (ids[11], "ngrams", "math", 9),
        (ids[11], "ngrams", "world", 8),
    }
    assert found.contaminated.tolist() == sorted(ids[i] for i in (3, 7, 9, 11))
    assert found.trained.tolist() == []
    assert [one["rows"] for one in found.counts] == [1, 3, 2]
    assert [(one["reason"], one["set"]) for one in found.counts] == [
        ("exact", "math"),
        ("ngrams", "math"),
        ("ngrams", "world"),
    ]
    assert left_out_line(40, found.facts()).startswith("of 40 rows 4 stand in evaluation sets")
    table = found.table.to_pylist()
    assert [(r["row_id"], r["reason"]) for r in table] == sorted(
        (r["row_id"], r["reason"]) for r in table
    )
    assert {r["set_file"] for r in table} == {"math.jsonl", "facts.jsonl"}
    scores = {(r["row_id"], r["set"]): r["score"] for r in table if r["reason"] == "ngrams"}
    assert scores[ids[3], "math"] == 1.0
    assert scores[ids[7], "math"] == 29 / 30  # all words but the one in whose place stands another
    whole = found_in(planted, Detection(("ngrams",), share=0.4))
    assert (ids[13], "ngrams", "math", 10) in as_lines(whole)  # 12 of 30 words


def test_the_same_table_comes_from_any_number_of_threads_and_is_used_again(planted, monkeypatch):
    monkeypatch.setattr("smartx.leave_out.texts.BLOCK_ROWS", 7)
    first = found_in(planted, Detection(), threads=1)
    before = tree_digest(first.folder)
    monkeypatch.setattr("smartx.leave_out.texts.BLOCK_ROWS", 8192)
    (first.folder / "manifest.json").unlink()
    again = found_in(planted, Detection(), threads=8)
    assert tree_digest(again.folder) == before
    kept = (again.folder / "left-out.parquet").stat().st_mtime_ns
    assert found_in(planted, Detection()).folder == again.folder
    assert (again.folder / "left-out.parquet").stat().st_mtime_ns == kept
    other = found_in(planted, Detection(words=6))
    assert other.folder != again.folder
    assert open_left_out(again.folder).digest == again.digest
    assert found_in(planted, Detection(cosine=0.7)).folder == again.folder  # nobody looks at it


def test_a_damaged_table_is_refused_and_made_again(planted):
    found = found_in(planted, Detection())
    path = found.folder / "left-out.parquet"
    whole, other = path.read_bytes(), other_table(found)
    path.write_bytes(whole[:50] + bytes([whole[50] ^ 1]) + whole[51:])
    with pytest.raises(StoreError, match="left-out"):
        _ = open_left_out(found.folder).table
    path.write_bytes(other.read_bytes())
    with pytest.raises(StoreError, match="not those that were written"):
        _ = open_left_out(found.folder).table
    assert found_in(planted, Detection()).table.num_rows == found.table.num_rows
    assert path.read_bytes() == whole


def other_table(found):
    """A file of the same columns, and fewer rows."""
    path = found.folder.parent / "other.parquet"
    pq.write_table(found.table.slice(1), path)
    return path


def test_near_rows_are_found_by_their_vectors(planted):
    rng = np.random.default_rng(2)
    own, math, facts = (rng.normal(size=(n, 16)) for n in (40, 12, 12))
    own[5] = math[3] + 0.05 * rng.normal(size=16)
    own[6], own[8] = facts[2], facts[2] * 3
    rows, *sets = (Vectors(quantize(x)) for x in (own, math, facts))
    found = found_in(planted, Detection(("near",)), vectors=NearVectors(rows, sets))
    assert as_lines(found) == {
        (5, "near", "math", 4),
        (6, "near", "world", 3),
        (8, "near", "world", 3),
    }
    assert found.table["score"].to_pylist()[1:] == [1.0, 1.0]
    with pytest.raises(InputError, match="need vectors"):
        found_in(planted, Detection(("near",)))
    short = NearVectors(rows, [Vectors(quantize(math[:, :8]), digest="short"), sets[1]])
    with pytest.raises(InputError, match="one encoder"):
        found_in(planted, Detection(("near",)), vectors=short)


def test_sets_without_answers_or_of_odd_columns_are_read(tmp_path):
    corpus = corpus_of([row(sentence(i), "t") for i in range(5)], tmp_path)
    same = [{"text": sentence(2)}, {"text": ""}]
    odd = [{"stem": sentence(3), "key": 1, "choices": ["a", "b"]}]
    sources = [lines(tmp_path / "same.jsonl", same), lines(tmp_path / "odd.jsonl", odd)]
    with pytest.raises(CorpusError, match="leave_out_column"):
        evaluation_sets(sources, tmp_path / "run")
    sets = evaluation_sets(sources, tmp_path / "run", prompt_column="stem")
    assert [(one.name, one.corpus.num_rows, one.answered) for one in sets] == [
        ("same", 1, False),
        ("odd", 1, False),
    ]
    found = leave_out(corpus, sets, tmp_path / "leave_out", Detection(("exact",)))
    assert [r["set"] for r in found.table.to_pylist()] == ["same", "odd"]


def test_a_prompt_alone_is_not_taken_for_prompt_and_response(tmp_path):
    """One row has the evaluation row's prompt and answer in one text, one other answer."""
    rows = [row("Say one. two", "t", response="three"), row("say ONE", "t", response="two")]
    corpus = corpus_of([*rows, row("one", "t", response="two three")], tmp_path)
    asked = lines(tmp_path / "asked.jsonl", [{"prompt": "say", "response": "one two three"}])
    found = leave_out(
        corpus, evaluation_sets([asked], tmp_path), tmp_path / "out", Detection(("exact",))
    )
    texts = corpus.prompts(0, 3)
    assert found.contaminated.tolist() == [texts.index("Say one. two")]


def test_texts_of_signs_alone_are_equal_where_they_are_the_same(tmp_path):
    rows = [row(sign, "t", response="-") for sign in ("+ (", "+ )", "🙂🙃", "🙃 🙂")]
    corpus = corpus_of(list(rows), tmp_path)
    asked = lines(tmp_path / "signs.jsonl", [{"prompt": "+  (", "response": "="}])
    found = leave_out(
        corpus, evaluation_sets([asked], tmp_path), tmp_path / "out", Detection(("exact",))
    )
    texts = corpus.prompts(0, 4)
    assert found.contaminated.tolist() == [texts.index("+ (")]


def test_two_sets_of_one_name_are_refused(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        lines(tmp_path / folder / "test.jsonl", [{"prompt": "x", "response": "y"}])
    with pytest.raises(ConfigError, match='2 sets are called "test"'):
        evaluation_sets([tmp_path / "a/test.jsonl", tmp_path / "b/test.jsonl"], tmp_path / "run")


@pytest.mark.parametrize(
    "wrong", [{"by": ("exactly",)}, {"by": ()}, {"words": 1}, {"share": 0}, {"cosine": 2}]
)
def test_what_makes_no_sense_is_refused(wrong):
    with pytest.raises(InputError):
        Detection(**wrong)


def test_of_each_row_and_set_the_best_score_stays_and_ties_go_to_the_lower_evaluation_row():
    found = Found(
        np.array([1, 0, 1, 1, 1, 0]),
        np.array([3, 9, 2, 1, 8, 7]),
        np.array([0.5, 0.6, 0.9, 0.9, 0.1, 0.6]),
    )
    best = found.best(np.array([0, 5, 10]))
    assert best.rows.tolist() == [0, 1, 1]
    assert best.evaluations.tolist() == [7, 1, 8]
    assert best.scores.tolist() == [0.6, 0.9, 0.1]


def test_a_text_stands_at_its_first_row_in_each_set():
    hashes = np.array([7, 0, 7, 5, 7, 5, 0], np.uint64)
    places = Places.of(hashes, np.array([0, 3, 7]))
    found = places.found(np.array([5, 6, 7, 0], np.uint64))
    assert found.rows.tolist() == [0, 2, 2]
    assert found.evaluations.tolist() == [3, 0, 4]
    none = Places.of(np.zeros(2, np.uint64), np.array([0, 2]))
    assert len(none.found(hashes).rows) == 0


def test_the_table_reads_as_plain_parquet(planted):
    found = found_in(planted, Detection())
    names = pq.read_table(found.folder / "left-out.parquet").column_names
    assert names == ["row_id", "reason", "set", "set_file", "set_row", "score"]
