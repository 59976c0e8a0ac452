"""A cluster of Ray, a head and two nodes on this machine, makes the bytes of one process."""

from __future__ import annotations

import pytest

import small_pieces
import smartx
from clusters import NO_RAY, cluster_of
from side_by_side import Runs
from smartx.config import config_from
from smartx.errors import ConfigError, MissingPackageError, WorkerError
from smartx.executors import elsewhere, on_ray
from smartx.progress import Silent
from smartx.rankers import pieces, rankings, run

pytestmark = [
    pytest.mark.processes,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # Ray's own
]


@pytest.fixture(scope="module")
def cluster():
    """A head without processors, and two nodes with one each."""
    pytest.importorskip("ray", reason=NO_RAY)
    with cluster_of(2) as made:
        yield made


@pytest.fixture(autouse=True)
def small(monkeypatch):
    for module in (run, rankings):
        monkeypatch.setattr(module, "PART_ROWS", 48)
        monkeypatch.setattr(module, "BLOCK_ROWS", 48)
    monkeypatch.setattr(run, "BUNDLE_ROWS", 16)
    monkeypatch.setattr(pieces, "PIECE_ROWS", 100)
    monkeypatch.setattr(on_ray, "make_there", small_pieces.make_there)


@pytest.fixture
def runs(small_corpus, tmp_path):
    return Runs(small_corpus, tmp_path, threads=1, near_duplicates=0.95)


def test_two_nodes_make_the_bytes_of_one_process(cluster, runs):
    assert runs.run("ray", executor="ray") == runs.run("one")


def test_units_whose_workers_die_are_made_again_or_set_aside_by_name(
    cluster, runs, monkeypatch, tmp_path
):
    died = tmp_path / "died"
    monkeypatch.setattr(on_ray, "make_there", small_pieces.maker_with(f"rank-00001@{died}"))
    assert runs.run("ray", executor="ray") == runs.run("one")
    assert died.exists()
    monkeypatch.setattr(on_ray, "make_there", small_pieces.maker_with("rank-00000"))
    with pytest.raises(WorkerError, match="rank-00000"):
        runs.run("other", executor="ray")
    assert len(list((runs.folder / "other").rglob("rank-00001.parquet"))) == 1


def test_a_node_that_goes_and_one_that_comes_while_units_are_made(cluster, runs):
    node = cluster.add_node(num_cpus=1)

    class Removing(Silent):
        done = 0

        def advance(self, amount):
            Removing.done += amount
            if Removing.done == 1 and cluster.remove_node(node, allow_graceful=False):
                cluster.add_node(num_cpus=1)

    values = {"sources": [str(runs.small.file)], "vectors": runs.small.vectors, "rows": 120}
    values |= {"out": runs.folder / "ray/mix", "run_dir": runs.folder / "ray/work"}
    config = config_from({**values, "near_duplicates": 0.95, "executor": "ray"})
    smartx.run(config, progress=Removing())
    assert runs.tree("ray") == runs.run("one")


def test_a_node_of_another_kind_is_refused_before_any_work(cluster, runs, monkeypatch):
    from smartx.executors import job

    real = job.kind_here
    monkeypatch.setattr(job, "kind_here", lambda: {**real(), "pyarrow": "1.0"})
    with pytest.raises(WorkerError, match="pyarrow") as caught:
        runs.run("ray", executor="ray")
    assert "same versions" in caught.value.fix
    assert not list((runs.folder / "ray").rglob("rank-*.parquet"))


def test_without_the_package_or_with_ray_client_it_is_refused_at_once(monkeypatch, tmp_path):
    config = config_from({"run_dir": tmp_path, "executor": "ray://head:10001"})
    monkeypatch.setattr(on_ray, "find_spec", lambda name: object())
    with pytest.raises(ConfigError, match="Ray Client"):
        elsewhere(config, Silent())
    monkeypatch.setattr(on_ray, "find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=r"\"ray\"") as caught:
        elsewhere(config, Silent())
    assert "smartx-mix[ray]" in caught.value.fix
