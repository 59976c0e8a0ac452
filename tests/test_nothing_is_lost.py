"""Ordinary mistakes of ordinary people: nothing of theirs is touched, nothing finished goes away.

Sections 1 and 7 of the review of the first wave, each as it was reproduced there.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import smartx
from conftest import tree_digest
from embed_fakes import FakeEncoder, known_rate
from smartx import forecast, pipeline, preflight, session
from smartx.config import config_from
from smartx.embed import embed_corpus
from smartx.errors import InputError, SmartxError, StoreError
from smartx.files import MARK
from smartx.progress import Silent
from smartx.verify import verify_folder


def write_jsonl(path: Path, rows: int, word: str = "question", task: str = "t") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        {"prompt": f"{word} {i}", "response": f"answer {i}", "task": f"{task}-{i % 3}"}
        for i in range(rows)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def write_vectors(path: Path, rows: int, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.random.default_rng(seed).normal(size=(rows, 16)).astype(np.float32))
    return path


class Project:
    """A folder as people have it: data, vectors, notes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows = write_jsonl(folder / "corpus" / "mine.jsonl", 30)
        self.vectors = write_vectors(folder / "embeddings" / "minilm.npy", 30)
        (folder / "corpus" / "notes.txt").write_text("mine")

    def config(self, **fields: object) -> smartx.RunConfig:
        asked = {"sources": [str(self.rows)], "vectors": self.vectors, "rows": 5, "threads": 1}
        asked["preset"] = "smart-acl2024"  # whose law reads means
        places = {"out": self.folder / "mix", "run_dir": self.folder / "work"}
        return config_from({**asked, **places, **fields})

    def run(self, **fields: object) -> smartx.pipeline.Mixture:
        return smartx.run(self.config(**fields))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "project")


def test_a_project_folder_is_not_taken_as_a_run_folder(project):
    before = tree_digest(project.folder)
    with pytest.raises(SmartxError, match=r"did not write|not a run folder") as caught:
        project.run(run_dir=project.folder)
    assert caught.value.fix
    assert tree_digest(project.folder) == before


@pytest.mark.parametrize("name", ["run.json", ".lock", "current.json", "manifest.json"])
def test_a_folder_with_a_file_of_one_of_our_names_is_not_taken_either(project, name):
    (project.folder / "work").mkdir()
    (project.folder / "work" / name).write_text("mine")
    with pytest.raises(SmartxError):
        project.run()
    assert (project.folder / "work" / name).read_text() == "mine"


def test_a_stage_that_is_a_link_to_a_folder_of_the_user_is_refused(project):
    project.run()
    shutil.rmtree(project.folder / "work" / "corpus")
    (project.folder / "work" / "corpus").symlink_to(project.folder / "corpus")
    before = tree_digest(project.folder / "corpus")
    with pytest.raises(StoreError, match="link"):
        project.run(rows=6, overwrite=True)
    assert tree_digest(project.folder / "corpus") == before


def test_a_lock_that_is_a_link_empties_nothing(project):
    project.run()
    (project.folder / "work" / ".lock").unlink()
    (project.folder / "work" / ".lock").symlink_to(project.folder / "corpus" / "notes.txt")
    with pytest.raises(StoreError, match="link"):
        project.run(rows=6, overwrite=True)
    assert (project.folder / "corpus" / "notes.txt").read_text() == "mine"


FAILING = {
    "an encoder that is not there": {"vectors": None, "encoder": "nope/nope"},
    "no encoder named, and no hub": {"vectors": None},
    "a wrong column": {"prompt_column": "promt"},
    "vectors of another corpus": {"vectors": "short"},
    "too many rows": {"rows": 31},
    "too many tasks": {"weights": "taylor-softmax:num_tasks=100"},
    "a source that is not there": {"sources": ["lost.jsonl"]},
}


@pytest.mark.parametrize("mistake", FAILING)
def test_a_command_that_fails_leaves_every_finished_stage(project, mistake, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    project.run()
    before = tree_digest(project.folder)
    fields = dict(FAILING[mistake])
    if fields.get("vectors") == "short":
        fields["vectors"] = write_vectors(project.folder.parent / "short.npy", 20)
    with pytest.raises(SmartxError):
        project.run(**fields, out=project.folder / "other")
    after = tree_digest(project.folder)
    for volatile in ("work/run.json",):
        before.pop(volatile), after.pop(volatile)
    assert {name: after.get(name) for name in before} == before
    assert not (project.folder / "other").exists()
    project.run()


def test_other_vectors_and_other_columns_live_side_by_side(project):
    first = tree_digest(project.run().folder)
    other = write_vectors(project.folder / "embeddings" / "other.npy", 30, seed=1)
    project.run(vectors=other, out=project.folder / "b")
    project.run(task="one", out=project.folder / "c")
    for stage, count in (("corpus", 2), ("embeddings", 3)):
        assert len(list((project.folder / "work" / stage).iterdir())) == count
    shutil.rmtree(project.folder / "mix")
    steps = Steps()
    smartx.run(project.config(), progress=steps)
    assert tree_digest(project.folder / "mix") == first
    assert not {"ingest", "embed"} & {step.split()[0] for step in steps.steps}


class Steps(Silent):
    def __init__(self) -> None:
        self.steps: list[str] = []

    def start(self, step: str, total: int | None, unit: str) -> None:
        self.steps.append(step)


def test_a_run_over_a_folder_does_not_read_its_own_work(tmp_path, monkeypatch):
    write_jsonl(tmp_path / "data.jsonl", 30)
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        mixture = smartx.run({"sources": ["."], "rows": 30, "out": "mix", "preset": "random"})
        assert mixture.manifest["corpus_rows"]["kept"] == 30


def test_a_mixture_inside_the_sources_is_not_a_source(tmp_path):
    write_jsonl(tmp_path / "data" / "a.jsonl", 30)
    for _ in range(2):
        mixture = smartx.run(
            {
                "sources": [str(tmp_path / "data")], "rows": 30, "preset": "random",
                "out": tmp_path / "data" / "mix", "run_dir": tmp_path / "work",
            }
        )  # fmt: skip
        assert mixture.manifest["corpus_rows"]["kept"] == 30


def test_vectors_of_another_corpus_are_not_used(project):
    project.run()
    other = write_jsonl(project.folder / "other.jsonl", 30, word="quite another")
    pipeline.ingest_step(project.config(sources=[str(other)]), Silent())
    with pytest.raises(SmartxError) as caught:
        pipeline.mix_step(project.config(out=project.folder / "b"), Silent())
    assert "embed" in caught.value.fix
    assert not (project.folder / "b").exists()


@pytest.mark.parametrize(
    "fields", [{"ranker": "log-det"}, {"ranker": "graph-cut"}, {"near_duplicates": 0.9}, {}]
)
def test_a_flipped_bit_in_the_vectors_is_never_used(project, fields):
    project.run()
    (shard,) = (project.folder / "work" / "embeddings").glob("*/q12-*.npy")
    content = bytearray(shard.read_bytes())
    content[len(content) * 2 // 3] ^= 4
    shard.write_bytes(bytes(content))
    if not fields:
        shutil.rmtree(project.folder / "work" / "means")
    with pytest.raises(StoreError, match=r"were written|what was written") as bad:
        pipeline.mix_step(project.config(out=project.folder / "b", **fields), Silent())
    assert str(shard) in bad.value.place
    assert not (project.folder / "b").exists()
    project.run(**fields, out=project.folder / "c")
    shutil.rmtree(project.folder / "work")
    project.run(**fields, out=project.folder / "d")
    assert tree_digest(project.folder / "c") == tree_digest(project.folder / "d")


@pytest.mark.parametrize("fields", [{"ranker": "log-det"}, {"near_duplicates": 0.9}, {}])
def test_a_flipped_bit_in_a_part_of_an_encoder_is_never_used(project, fields, monkeypatch):
    def embed(corpus, _, run, **options):
        return embed_corpus(corpus, FakeEncoder(), run, part_rows=10, **options)

    monkeypatch.setattr(session, "embed_corpus", embed)
    monkeypatch.setattr(forecast, "embedding_rate", known_rate)
    monkeypatch.setattr(preflight, "_encoder", lambda *_, **__: None)
    project.run(vectors=None)
    part = next((project.folder / "work" / "vectors").glob("*/part-00001.npy"))
    content = bytearray(part.read_bytes())
    content[-3] ^= 4
    part.write_bytes(bytes(content))
    if not fields:
        shutil.rmtree(project.folder / "work" / "means")
    with pytest.raises(StoreError, match="those that were written") as bad:
        pipeline.mix_step(
            project.config(vectors=None, out=project.folder / "b", **fields), Silent()
        )
    assert bad.value.place == str(part)
    assert not (project.folder / "b").exists()
    project.run(**fields, vectors=None, out=project.folder / "c")
    assert verify_folder(project.folder / "work").faults == ()
    shutil.rmtree(project.folder / "work")
    project.run(**fields, vectors=None, out=project.folder / "d")
    assert tree_digest(project.folder / "c") == tree_digest(project.folder / "d")


def test_whole_stages_that_are_gone_are_noticed_by_verify(project):
    project.run()
    work = project.folder / "work"
    assert verify_folder(work).faults == ()
    (corpus,) = (work / "corpus").iterdir()
    shutil.move(corpus, project.folder / "moved")
    assert [fault.path for fault in verify_folder(work).faults] == [corpus]
    shutil.move(project.folder / "moved", corpus)
    (corpus / "manifest.json").unlink()
    assert [fault.path for fault in verify_folder(work).faults] == [corpus]


def test_rows_of_the_mixture_are_there_before_anything_else_is_said(project):
    with pytest.raises(InputError):
        project.run(out=project.folder / "corpus")
    assert not (project.folder / "work").exists()
    assert (project.folder / "corpus" / "notes.txt").read_text() == "mine"


def test_every_folder_that_a_run_makes_carries_the_mark(project):
    project.run()
    for path in (project.folder / "work").glob("*/*"):
        assert (path / MARK).is_file()
    assert pq.read_table(project.folder / "mix" / "data").num_rows == 5
