"""Tasks that are found: clusters of vectors on a sample, every row to the nearest, names."""

from __future__ import annotations

import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

from conftest import tree_digest
from ingest_files import Notes
from small import Vectors, corpus_of
from smartx.engine import quantize
from smartx.errors import ConfigError, MissingPackageError, StoreError
from smartx.tasks import AutoTasks, find_tasks, open_tasks, tasks_there
from smartx.tasks.clusters import assigned, centres_of, sample_of
from smartx.tasks.run import LABELS, TABLE

ABOUT = {
    "sum": "add the numbers {} and seven",
    "film": "was the film {} any good",
    "french": "traduire la phrase {} en anglais",
}


@pytest.fixture(scope="module")
def found_in(tmp_path_factory):
    """A corpus of three kinds of rows that no column names, and their vectors."""
    folder = tmp_path_factory.mktemp("found")
    rng = np.random.default_rng(4)
    kinds = rng.choice(3, size=240, p=[0.6, 0.3, 0.1])
    rows = [
        {"prompt": list(ABOUT.values())[kind].format(f"x{i}"), "response": "yes"}
        for i, kind in enumerate(kinds.tolist())
    ]
    corpus = corpus_of(rows, folder)
    centres = np.eye(12)[:3]
    vectors = quantize(centres[kinds] + 0.1 * rng.normal(size=(240, 12)))
    assert corpus.num_rows == 240
    return SimpleNamespace(corpus=corpus, vectors=Vectors(vectors), kinds=kinds)


def made(found_in, folder, asked=None, **options):
    options = {"threads": 1, **options}
    return find_tasks(
        found_in.corpus, found_in.vectors, asked or AutoTasks(3), folder / "tasks", **options
    )


def test_rows_that_belong_together_are_a_task_with_its_words(found_in, tmp_path):
    found = made(found_in, tmp_path)
    labels = found.labels()
    assert len(found.names) == 3
    for kind in range(3):
        own = np.unique(labels[found_in.kinds == kind])
        assert len(own) == 1
        words = found.table["words"][int(own[0])].as_py()
        assert set(words) & set(list(ABOUT.values())[kind].split())
    assert found.names == sorted(found.names)
    assert "add-numbers-seven" in found.names


def test_the_table_says_how_many_rows_and_which_is_typical(found_in, tmp_path):
    found = made(found_in, tmp_path)
    labels, table = found.labels(), found.table.to_pydict()
    assert table["rows"] == np.bincount(labels).tolist()
    vectors = found_in.vectors.table.astype(np.int64)
    for task, (row, prompt) in enumerate(
        zip(table["typical_row"], table["typical_prompt"], strict=True)
    ):
        own = np.flatnonzero(labels == task)
        product = vectors[own] @ np.array(table["centre"][task], dtype=np.int64)
        assert row == own[product.argmax()]
        assert prompt == found_in.corpus.prompts(row, row + 1)[0]
    centres = np.array(table["centre"], dtype=np.int64)
    assert labels.tolist() == (vectors @ centres.T).argmax(axis=1).tolist()


@pytest.mark.parametrize("chunk", [7, 65_536])
def test_every_row_goes_to_the_nearest_centre_ties_to_the_lower(found_in, monkeypatch, chunk):
    monkeypatch.setattr("smartx.tasks.clusters._CHUNK", chunk)
    vectors = found_in.vectors.table
    centres = np.concatenate([vectors[:4], vectors[:2], -vectors[:1]])
    rows = assigned(found_in.vectors, centres, threads=2, progress=Notes())
    products = vectors.astype(np.int64) @ centres.T.astype(np.int64)
    plain = products.argmax(axis=1)
    kept = np.unique(plain)
    assert rows.centres.tolist() == centres[kept].tolist()
    assert rows.labels.tolist() == np.searchsorted(kept, plain).tolist()
    assert rows.rows.tolist() == np.bincount(plain)[kept].tolist()
    for cluster, centre in enumerate(kept.tolist()):
        own = np.flatnonzero(plain == centre)
        assert rows.typical[cluster] == own[products[own, centre].argmax()]


@pytest.mark.parametrize("chunk", [5, 65_536])
def test_of_equal_rows_the_lowest_is_typical(monkeypatch, chunk):
    monkeypatch.setattr("smartx.tasks.clusters._CHUNK", chunk)
    rows = quantize(np.random.default_rng(3).normal(size=(6, 4)))
    found = assigned(Vectors(np.tile(rows, (4, 1))), rows[:1], threads=1, progress=Notes())
    assert found.typical.tolist() == [0]
    assert found.rows.tolist() == [24]


def test_a_centre_is_the_exact_sum_of_its_rows(found_in):
    vectors = found_in.vectors.table
    centres = centres_of(vectors, np.arange(240), 3, seed=0)
    sums = [vectors[found_in.kinds == kind].astype(np.int64).sum(axis=0) for kind in range(3)]
    plain = quantize(np.stack(sums).astype(np.float64))
    assert sorted(centres.tolist()) == sorted(plain.tolist())


def test_equal_rows_make_one_centre_however_many_are_asked_for():
    rows = quantize(np.repeat(np.eye(3)[:2], 10, axis=0))
    assert len(centres_of(rows, np.arange(20), 9, seed=1)) == 2


@pytest.mark.parametrize(
    ("rows", "clusters"),
    [(1, 1), (2, 2), (3, 2), (200, 14), (55_185, 235), (17_600_000, 1_840)],
)
def test_the_number_of_tasks_is_the_root_of_the_rows(rows, clusters):
    assert AutoTasks().clusters_of(rows) == clusters
    assert AutoTasks(clusters=5).clusters_of(rows) == min(5, rows)


def test_the_sample_is_the_rows_with_the_lowest_draws_and_enough_for_the_clusters():
    asked = AutoTasks(clusters=4, sample=10, seed=3)
    first = sample_of(1_000, asked)
    assert len(first) == 10
    assert (np.diff(first) > 0).all()
    assert set(sample_of(1_000, AutoTasks(4, sample=20, seed=3)).tolist()) > set(first.tolist())
    assert set(sample_of(1_000, AutoTasks(4, sample=10, seed=4)).tolist()) != set(first.tolist())
    assert len(sample_of(1_000_000, AutoTasks())) == 100_000
    assert len(sample_of(5_000, AutoTasks(clusters=3))) == 768
    assert sample_of(50, AutoTasks(clusters=3)).tolist() == list(range(50))
    assert len(sample_of(1_000, AutoTasks(clusters=30, sample=10))) == 30


def test_a_sample_finds_what_all_rows_find(found_in, tmp_path):
    found = made(found_in, tmp_path, AutoTasks(3, sample=40))
    assert found.manifest["sampled"] == 40
    for kind in range(3):
        assert len(np.unique(found.labels()[found_in.kinds == kind])) == 1


def test_threads_and_a_second_run_do_not_show(found_in, tmp_path):
    one, two = made(found_in, tmp_path / "1", threads=1), made(found_in, tmp_path / "2", threads=4)
    assert tree_digest(one.folder) == tree_digest(two.folder)
    notes = Notes()
    again = made(found_in, tmp_path / "1", progress=notes)
    assert again.folder == one.folder
    assert "used again" in notes.notes[-1]
    assert notes.total == {}


def test_other_parameters_seeds_and_vectors_are_other_tasks(found_in, tmp_path):
    folders = {made(found_in, tmp_path, asked).folder for asked in (AutoTasks(3), AutoTasks(4))}
    folders.add(made(found_in, tmp_path, AutoTasks(3, seed=1)).folder)
    other = SimpleNamespace(corpus=found_in.corpus, vectors=Vectors(found_in.vectors.table, "b"))
    folders.add(made(other, tmp_path).folder)
    assert len(folders) == 4
    assert tasks_there(found_in.corpus, found_in.vectors, AutoTasks(9), tmp_path / "tasks") is None
    there = tasks_there(found_in.corpus, found_in.vectors, AutoTasks(3), tmp_path / "tasks")
    assert there.folder in folders


def test_what_was_found_before_a_kill_is_not_looked_for_again(found_in, tmp_path, monkeypatch):
    whole = made(found_in, tmp_path / "whole")

    def stopped(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("smartx.tasks.run.assigned", stopped)
        with pytest.raises(KeyboardInterrupt):
            made(found_in, tmp_path / "killed")
    with monkeypatch.context() as patched:
        patched.setattr("smartx.tasks.run.centres_of", stopped)
        found = made(found_in, tmp_path / "killed")
    assert tree_digest(found.folder) == tree_digest(whole.folder)


@pytest.mark.parametrize("name", [LABELS, TABLE])
@pytest.mark.parametrize("fault", ["bit", "gone"])
def test_damage_is_noticed_when_it_is_read_and_mended_by_the_next_run(
    found_in, tmp_path, name, fault
):
    found = made(found_in, tmp_path)
    before, path = tree_digest(found.folder), found.folder / name
    content = bytearray(path.read_bytes())
    content[-9] ^= 4
    path.unlink()
    if fault == "bit":
        path.write_bytes(content)
    fresh = open_tasks(found.folder)
    with pytest.raises(StoreError) as caught:
        fresh.labels() if name == LABELS else fresh.names
    assert str(path) in str(caught.value)
    assert tree_digest(made(found_in, tmp_path).folder) == before


def test_without_the_library_it_says_what_to_install(found_in, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.cluster", None)
    with pytest.raises(MissingPackageError, match="scikit-learn"):
        made(found_in, tmp_path)
    assert not list((tmp_path / "tasks").glob("*/manifest.json"))


@pytest.mark.parametrize("options", [{"clusters": 0}, {"sample": 0}, {"clusters": 1.5}])
def test_unusable_parameters_are_an_error_with_their_name(options):
    with pytest.raises(ConfigError) as caught:
        AutoTasks(**options)
    assert caught.value.place == next(iter(options))


@pytest.mark.corpus
def test_found_tasks_of_t0_agree_with_its_data_sets_better_than_chance(real_data):
    """37 data sets: the figures of docs, for the rule that chooses the number."""
    vectors = np.load(real_data / "t0_minilm_q12.npy")
    true = pq.read_table(real_data / "t0.parquet", columns=["task_name"]).column(0)
    true = np.unique(true.to_numpy(zero_copy_only=False), return_inverse=True)[1]
    asked, rows = AutoTasks(), len(vectors)
    sample = sample_of(rows, asked)
    centres = centres_of(vectors[sample], sample, asked.clusters_of(rows), seed=0)
    labels = assigned(Vectors(vectors), centres, threads=1, progress=Notes()).labels
    assert len(centres) == 235
    assert adjusted_mutual_info_score(true, labels) > 0.62
    assert adjusted_rand_score(true, labels) > 0.19


def test_a_folder_of_something_else_is_left_alone(found_in, tmp_path):
    folder = made(found_in, tmp_path).folder
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "mine.txt").write_text("x")
    with pytest.raises(StoreError, match="did not write"):
        made(found_in, tmp_path)
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]
