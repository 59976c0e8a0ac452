"""Token counts of rows: by a tokenizer, or an estimate that says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ingest_files import write_rows
from smartx.corpus import ingest, open_corpus
from smartx.errors import InputError, MissingPackageError

ROWS = [
    {"prompt": "a b c", "response": "a", "task": "t"},
    {"prompt": "a " * 600, "response": "ü" * 9, "task": "s"},
    {"messages": [{"role": "user", "content": "b a"}, {"role": "assistant", "content": "c"}]},
]


@pytest.fixture
def source(tmp_path):
    return write_rows(tmp_path / "in/a.jsonl", ROWS)


@pytest.fixture
def tokenizer(tmp_path) -> Path:
    """A token a word, with truncation, padding and a template as encoders have them."""
    tokenizers = pytest.importorskip("tokenizers")
    vocabulary = {"[PAD]": 0, "[CLS]": 1, "a": 2, "b": 3, "c": 4, "?": 5}
    model = tokenizers.models.WordLevel(vocabulary, unk_token="?")
    made = tokenizers.Tokenizer(model)
    made.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    made.enable_truncation(4)
    made.enable_padding(length=8)
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A", special_tokens=[("[CLS]", 1)]
    )
    folder = tmp_path / "encoder"
    folder.mkdir()
    made.save(str(folder / "tokenizer.json"))
    return folder


def counts_of(corpus):
    """By prompt."""
    prompts = corpus.prompts(0, corpus.num_rows)
    counts = corpus.token_counts(0, corpus.num_rows).tolist()
    return dict(zip((prompt[:5] for prompt in prompts), counts, strict=True))


def test_without_a_tokenizer_counts_are_an_estimate_and_called_one(source, tmp_path):
    corpus = ingest([source], tmp_path / "out")
    assert counts_of(corpus) == {"a b c": [2, 1], "a a a": [300, 3], "b a": [1, 1]}
    assert corpus.manifest["tokens"] == {
        "by": "estimate",
        "characters_per_token": 4,
        "prompt_tokens": 303,
        "response_tokens": 5,
    }


def test_a_tokenizer_counts_every_token_of_the_text_and_no_others(source, tmp_path, tokenizer):
    for name, path in (("f", tokenizer / "tokenizer.json"), ("d", tokenizer)):
        corpus = ingest([source], tmp_path / name, tokenizer=str(path))
        assert counts_of(corpus) == {"a b c": [3, 1], "a a a": [600, 1], "b a": [2, 1]}
        facts = corpus.manifest["tokens"]
        assert (facts["by"], facts["prompt_tokens"], facts["response_tokens"]) == (
            "tokenizer",
            605,
            3,
        )
        assert str(tmp_path) not in json.dumps(corpus.manifest)


def test_another_tokenizer_counts_again_but_leaves_the_digest(source, tmp_path, tokenizer):
    estimated = ingest([source], tmp_path / "out")
    counted = ingest([source], tmp_path / "out", tokenizer=str(tokenizer))
    assert counted.digest == estimated.digest
    assert counted.manifest["key"] != estimated.manifest["key"]
    assert counts_of(open_corpus(tmp_path / "out")) == counts_of(counted)


@pytest.mark.parametrize("content", [None, "{", "{}"])
def test_a_tokenizer_that_is_none_is_an_error_before_any_work(source, tmp_path, content):
    pytest.importorskip("tokenizers")
    path = tmp_path / "tokenizer.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match="cannot be loaded") as caught:
        ingest([source], tmp_path / "out", tokenizer=str(path))
    assert caught.value.place == str(path)
    assert not (tmp_path / "out").exists()


def test_without_the_package_the_error_says_what_to_install(source, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tokenizers", None)
    with pytest.raises(MissingPackageError, match=r"smartx-mix\[tokens\]"):
        ingest([source], tmp_path / "out", tokenizer="x.json")
