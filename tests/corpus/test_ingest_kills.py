"""An ingest in parts that is killed anywhere ends in the bytes of one that was not."""

from __future__ import annotations

import os
import shutil
import signal

import pytest

from conftest import tree_digest
from crash_run import count_visits, wait
from many_sources import write_sources
from smartx import pipeline
from smartx.config import config_from
from smartx.corpus import divided
from smartx.progress import Silent
from smartx.run_folder import RECORDS

pytestmark = [
    pytest.mark.processes,
    pytest.mark.filterwarnings("ignore:This process:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Using fork:RuntimeWarning"),
]
SHARDS = ("0/2", "1/2", "")
KILLS = int(os.environ.get("SMARTX_KILLS", "0"))


class Trial:
    def __init__(self, folder):
        self.folder = folder
        self.sources = write_sources(folder / "sources")
        assert wait(self.start("one", [""])) == 0
        self.expected = self.tree("one")

    def start(self, name, shards, visit=0):
        """Run shards one after another in a fork, which is killed at a visit to the disk."""
        child = os.fork()
        if child:
            return child
        status = 1
        try:
            counted = count_visits(kill_at=visit)
            values = {"sources": [str(self.sources)], "run_dir": self.folder / name, "threads": 1}
            config = config_from(values)
            for shard in shards:
                if shard:
                    pipeline.shard_step(config, Silent(), "ingest", shard)
                else:
                    pipeline.ingest_step(config, Silent())
            (self.folder / "visits").write_text(str(counted()))
            status = 0
        finally:
            os._exit(status)

    def tree(self, name):
        tree = tree_digest(self.folder / name)
        del tree[RECORDS]
        return tree


@pytest.fixture
def trial(tmp_path, monkeypatch):
    monkeypatch.setattr(divided, "LEAST", 6_000)
    return Trial(tmp_path)


@pytest.mark.slow
def test_killed_at_any_visit_to_the_disk_the_same_commands_end_in_the_same_bytes(trial):
    assert wait(trial.start("whole", SHARDS)) == 0
    assert trial.tree("whole") == trial.expected
    visits = int((trial.folder / "visits").read_text())
    assert visits > 100
    for visit in range(1, visits + 1, 1 if KILLS >= 100 else 23):
        assert wait(trial.start("killed", SHARDS, visit)) == -signal.SIGKILL, visit
        assert wait(trial.start("killed", SHARDS)) == 0
        assert trial.tree("killed") == trial.expected, visit
        shutil.rmtree(trial.folder / "killed")


def test_killed_in_a_shard_the_command_that_finishes_alone_ends_in_the_same_bytes(trial):
    for visit in (9, 40, 70):
        assert wait(trial.start("killed", ["0/1"], visit)) == -signal.SIGKILL
        assert wait(trial.start("killed", [""])) == 0
        assert trial.tree("killed") == trial.expected, visit
        shutil.rmtree(trial.folder / "killed")


def test_two_that_read_the_same_files_at_once_do_each_other_no_harm(trial):
    for _ in range(2):
        both = [trial.start("both", [shard, "0/1"]) for shard in ("0/1", "1/2", "0/2")]
        assert [wait(child) for child in both] == [0, 0, 0]
        assert wait(trial.start("both", [""])) == 0
        assert trial.tree("both") == trial.expected
        shutil.rmtree(trial.folder / "both")
