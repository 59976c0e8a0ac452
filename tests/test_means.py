"""The mean vectors of tasks are computed once for a corpus and its vectors, and kept."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

import smartx
from conftest import tree_digest
from small import Vectors, vectors_for
from smartx import means, pipeline
from smartx.means import kept_task_means, task_means
from smartx.progress import Silent
from smartx.verify import verify_folder


@pytest.fixture
def counted(monkeypatch):
    """Every time that the vectors are summed."""
    calls, real = [], means.task_sums
    monkeypatch.setattr(
        means, "task_sums", lambda *a, **options: calls.append(a) or real(*a, **options)
    )
    return calls


@pytest.fixture
def config(small_corpus, tmp_path):
    return smartx.RunConfig(
        sources=[str(small_corpus.file)],
        vectors=small_corpus.vectors,
        rows=120,
        preset="smart-acl2024",  # its law looks at means
        threads=1,
        out=tmp_path / "mix",
        run_dir=tmp_path / "work",
    )


def test_a_second_mix_reads_the_sums_and_not_the_vectors(config, counted):
    smartx.run(config)
    assert len(counted) == 1
    smartx.run(config.model_copy(update={"rows": 90, "out": config.out.with_name("other")}))
    assert len(counted) == 1


def test_a_law_that_looks_at_no_means_makes_none(config, counted):
    smartx.run(config.model_copy(update={"preset": "proportional"}))
    assert counted == []
    assert not (config.run_dir / "means").exists()


def test_kept_means_are_the_means_bit_for_bit(config):
    smartx.run(config)
    run = smartx.open_run(config.run_dir)
    fresh = task_means(run.embeddings(), run.corpus().groups.tasks())
    assert pipeline.means_step(config, Silent()).tobytes() == fresh.tobytes()


def test_means_of_other_vectors_are_made_beside_those_that_are_there(config, counted, tmp_path):
    smartx.run(config)
    corpus = smartx.open_run(config.run_dir).corpus()
    first, other = vectors_for(corpus, seed=1), vectors_for(corpus, seed=2)
    other = Vectors(other.table, "other")
    folder = tmp_path / "means"
    one = kept_task_means(corpus, first, folder)
    two = kept_task_means(corpus, other, folder)
    assert len(counted) == 3
    assert len(list(folder.iterdir())) == 2
    assert kept_task_means(corpus, first, folder).tobytes() == one.tobytes()
    assert len(counted) == 3
    np.testing.assert_array_equal(one, task_means(first, corpus.groups.tasks()))
    np.testing.assert_array_equal(two, task_means(other, corpus.groups.tasks()))
    assert not np.array_equal(one, two)


@pytest.mark.parametrize("fault", ["bit", "cut", "gone", "manifest", "folder"])
def test_damaged_or_missing_sums_are_noticed_and_made_again(config, counted, fault):
    smartx.run(config)
    (folder,) = (config.run_dir / "means").iterdir()
    before, path = tree_digest(folder), folder / "sums.npy"
    content = bytearray(path.read_bytes())
    if fault == "bit":
        content[-3] ^= 4
        path.write_bytes(content)
    elif fault == "cut":
        path.write_bytes(content[:-8])
    elif fault == "gone":
        path.unlink()
    elif fault == "manifest":
        (folder / "manifest.json").write_text("{}")
    else:
        shutil.rmtree(folder)  # a run folder of an earlier version has none
    faults = [finding.path for finding in verify_folder(config.run_dir).faults]
    damaged = folder / "manifest.json" if fault == "manifest" else path
    assert faults == [] if fault == "folder" else damaged in faults
    smartx.run(config)
    assert len(counted) == 2
    assert tree_digest(folder) == before
    assert verify_folder(config.run_dir).faults == ()
