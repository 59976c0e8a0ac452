"""Rows that a model was trained on: of a mixture of ours by number, of any other data by text."""

from __future__ import annotations

import json

import pytest

from small import corpus_of, flan_like, mixture_of_all, row
from smartx.errors import ConfigError, StoreError
from smartx.leave_out import Detection, leave_out, left_out_line, trained_on


def found_in(corpus, sources, folder):
    known = trained_on(sources, corpus, folder / "run")
    return leave_out(corpus, [], folder / "leave_out", Detection(), trained=known)


def test_a_mixture_of_the_corpus_names_its_rows(tmp_path):
    corpus = flan_like(tmp_path)
    mixture = mixture_of_all(corpus, tmp_path)
    found = found_in(corpus, [f"before={mixture.folder}"], tmp_path)
    assert found.trained.tolist() == list(range(corpus.num_rows))
    assert found.contaminated.tolist() == []
    assert found.counts == [{"reason": "trained", "set": "before", "rows": corpus.num_rows}]
    assert "61 were trained on before" in left_out_line(61, found.facts())
    assert not list((tmp_path / "run").glob("corpus/*"))  # nothing was read as texts


def test_a_mixture_that_was_changed_is_refused(tmp_path):
    corpus = flan_like(tmp_path)
    folder = mixture_of_all(corpus, tmp_path).folder
    part = next((folder / "data").glob("*.parquet"))
    content = bytearray(part.read_bytes())
    content[100] ^= 1
    part.write_bytes(content)
    with pytest.raises(StoreError, match="not those that were written"):
        trained_on([folder], corpus, tmp_path / "run")


def test_rows_of_other_data_are_found_by_prompt_and_response(tmp_path):
    rows = [row(f"Question {i}?", "t", response=f"Answer {i}.") for i in range(6)]
    corpus = corpus_of(list(rows), tmp_path / "corpus")
    other = [
        {"prompt": "question 2", "response": "ANSWER 2"},
        {"prompt": "Question 3?", "response": "something else"},
        {"prompt": "Question 4? Answer 4.", "response": ""},
        {"prompt": "nothing", "response": "known"},
    ]
    (tmp_path / "sft.jsonl").write_text("".join(json.dumps(one) + "\n" for one in other))
    found = found_in(corpus, [tmp_path / "sft.jsonl"], tmp_path)
    texts = corpus.prompts(0, 6)
    assert found.trained.tolist() == sorted(texts.index(f"Question {i}?") for i in (2, 4))
    assert {line["set"] for line in found.table.to_pylist()} == {"sft"}


def test_a_mixture_of_another_corpus_is_read_as_texts(tmp_path):
    corpus = flan_like(tmp_path / "one", {"qa": [8, 0, 0, 0]})
    other = flan_like(tmp_path / "two", {"qa": [5, 0, 0, 0], "cot": [3, 0, 0, 0]})
    mixture = mixture_of_all(other, tmp_path / "two")
    found = found_in(corpus, [mixture.folder], tmp_path)
    shared = set(corpus.prompts(0, 8)) & set(other.prompts(0, 8))
    assert len(found.trained) == len(shared) == 5


def test_other_rows_make_another_stage(tmp_path):
    corpus = flan_like(tmp_path, {"qa": [8, 0, 0, 0]})
    first, second = (tmp_path / name for name in ("a.jsonl", "b.jsonl"))
    for path, number in ((first, 1), (second, 2)):
        path.write_text(json.dumps({"prompt": f"qa zs_opt question {number}", "response": "yes"}))
    one, two = (found_in(corpus, [path], tmp_path) for path in (first, second))
    assert one.folder != two.folder
    both = found_in(corpus, [first, second], tmp_path)
    assert both.trained.tolist() == sorted([*one.trained.tolist(), *two.trained.tolist()])
    with pytest.raises(ConfigError, match="trained"):
        trained_on([first, first], corpus, tmp_path / "run")
