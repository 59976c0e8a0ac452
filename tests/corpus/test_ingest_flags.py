"""The flags of the command line reach ingest."""

from __future__ import annotations

import pytest

from ingest_files import write_rows
from smartx.config import RunConfig
from smartx.pipeline import ingest_step
from smartx.progress import Silent

ROWS = [
    {"prompt": "a b", "response": "c", "id": 1},
    {"prompt": "a b", "response": "c", "id": 2},
]


def ingested(tmp_path, **fields):
    path = write_rows(tmp_path / "in/a.jsonl", ROWS)
    config = RunConfig(sources=[str(path)], run_dir=tmp_path / "run", **fields)
    return ingest_step(config, Silent())


@pytest.mark.parametrize(("choice", "rows"), [("keep", 2), ("drop", 1)])
def test_duplicates(tmp_path, choice, rows):
    assert ingested(tmp_path, duplicates=choice).num_rows == rows


@pytest.mark.parametrize("drop", [True, False])
def test_drop_other_columns(tmp_path, drop):
    types = ingested(tmp_path, drop_other_columns=drop).manifest["extra"]["columns"]["types"]
    assert types == ({} if drop else {"id": "int64"})


def test_tokenizer(tmp_path):
    tokenizers = pytest.importorskip("tokenizers")
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel({"?": 0}, unk_token="?"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    made.save(str(tmp_path / "tokenizer.json"))
    corpus = ingested(tmp_path, tokenizer=str(tmp_path / "tokenizer.json"))
    assert corpus.token_counts(0, 2).tolist() == [[2, 1], [2, 1]]
