"""Embedding in shards, or by processes, ends in the bytes of one process."""

from __future__ import annotations

import pytest

import smartx
from conftest import tree_digest
from embed_fakes import some_prompts, write_rows
from smartx import pipeline
from smartx.config import config_from
from smartx.embed import plan
from smartx.progress import Silent
from smartx.run_folder import RECORDS

pytestmark = pytest.mark.processes
KINDS = {"table": "", "student": "student:", "hybrid": "hybrid:"}


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """A plan is a file: other processes need not be told."""
    monkeypatch.setattr(plan, "part_sizes", lambda texts, least: plan._equal(texts, 40))


class Runs:
    def __init__(self, folder, kind):
        pytest.importorskip("tokenizers")
        from embed_tokenizers import model2vec_folder

        self.folder = folder
        self.source = write_rows(folder / "rows.jsonl", some_prompts(400))
        self.encoder = f"{kind}{model2vec_folder(folder / 'teacher')}"
        self.fields = {"student_rows": 100} if kind else {}
        self.fields |= {"teacher_rows": "40%"} if kind == "hybrid:" else {}

    def config(self, name, **fields):
        values = {"sources": [str(self.source)], "encoder": self.encoder, "rows": 120, "threads": 2}
        values |= {"out": self.folder / name / "mix", "run_dir": self.folder / name / "work"}
        return config_from({**values, **self.fields, **fields})

    def tree(self, name):
        tree = tree_digest(self.folder / name)
        del tree[f"work/{RECORDS}"]
        return tree

    def run(self, name, **fields):
        smartx.run(self.config(name, **fields))
        return self.tree(name)


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def runs(request, tmp_path):
    return Runs(tmp_path, request.param)


def test_shards_in_any_order_and_the_command_that_finishes(runs):
    expected = runs.run("one")
    config = runs.config("work")
    pipeline.ingest_step(config, Silent())
    shards = [pipeline.shard_step(config, Silent(), "embed", f"{n}/3") for n in (1, 2, 0)]
    assert sum(shard.made for shard in shards) > 3
    pipeline.embed_step(config, Silent())
    assert runs.run("work") == expected


def test_a_lost_shard_is_made_by_the_command_that_finishes(runs):
    expected = runs.run("one")
    config = runs.config("work")
    pipeline.ingest_step(config, Silent())
    assert pipeline.shard_step(config, Silent(), "embed", "0/3").made > 1
    assert pipeline.shard_step(config, Silent(), "embed", "0/3").made == 0
    assert runs.run("work") == expected


def test_a_pool_of_processes(runs):
    assert runs.run("pool", executor="processes:2") == runs.run("one")


def test_ready_vectors_are_not_divided(small_corpus, tmp_path):
    values = {"sources": [str(small_corpus.file)], "vectors": small_corpus.vectors}
    config = config_from({**values, "run_dir": tmp_path / "work"})
    pipeline.ingest_step(config, Silent())
    assert pipeline.shard_step(config, Silent(), "embed", "1/2").finished
    assert pipeline.embed_step(config, Silent()).num_rows == small_corpus.kept
