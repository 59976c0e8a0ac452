"""Nothing is lost: whatever kills, fills or damages, the same command ends in the same bytes."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import smartx
from conftest import tree_digest
from smartx import pipeline
from smartx.errors import ConfigError, SmartxError, StoreError
from smartx.files import MARK, TEMPORARY, temporary_path
from smartx.lock import working_in
from smartx.progress import Silent
from smartx.rankers import Ranking, rankings, run

pytestmark = pytest.mark.processes

KILLS = int(os.environ.get("SMARTX_KILLS", "12"))


def crash_run(folder: Path, *arguments: object) -> dict[str, object]:
    command = [sys.executable, str(Path(__file__).with_name("crash_run.py")), str(folder)]
    done = subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=3000
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("signal", ["KILL", "INT"])
def test_runs_killed_at_random_moments_end_in_the_same_bytes(tmp_path, signal):
    told = crash_run(tmp_path, "--signal", signal, "--kills", KILLS, "--seed", os.getpid())
    assert told["kills"] >= KILLS
    assert not any(told["differing"]), told


@pytest.mark.slow
def test_runs_whose_out_lies_in_the_run_folder_go_on_after_kills(tmp_path):
    told = crash_run(tmp_path, "--kills", KILLS, "--out", "work/mix", "--seed", os.getpid())
    assert not any(told["differing"]), told


@pytest.mark.slow
def test_shards_killed_at_random_moments_end_in_the_same_bytes(tmp_path):
    pytest.importorskip("torch")  # which a run with an encoder, even a made-up one, asks for
    told = crash_run(tmp_path, "--shards", 3, "--kills", KILLS, "--seed", os.getpid())
    assert told["kills"] >= KILLS
    assert not any(told["differing"]), told


@pytest.mark.slow
def test_a_kill_at_any_visit_to_the_disk_ends_in_the_same_bytes(tmp_path):
    """Every 9th flush, rename and deletion; SMARTX_KILLS=100 or more takes every one."""
    told = crash_run(tmp_path, "--points", 1 if KILLS >= 100 else 9)
    assert told["visits"] > 100
    assert not any(told["differing"]), told


@pytest.mark.slow
def test_a_kill_while_tasks_are_found_ends_in_the_same_bytes(tmp_path):
    pytest.importorskip("sklearn")
    points = 1 if KILLS >= 100 else 23
    told = crash_run(tmp_path, "--points", points, "--tasks", "auto:clusters=5")
    assert told["visits"] > 200
    assert not any(told["differing"]), told


@pytest.mark.slow
def test_a_kill_while_a_student_learns_or_its_teacher_mends_ends_in_the_same_bytes(tmp_path):
    pytest.importorskip("tokenizers")
    points = 1 if KILLS >= 100 else 19
    told = crash_run(tmp_path, "--points", points, "--student", "hybrid")
    assert told["visits"] > 200
    assert not any(told["differing"]), told


def test_two_runs_in_one_folder_at_once_both_end_well_in_the_same_bytes(tmp_path):
    pytest.importorskip("torch")  # which a run with an encoder, even a made-up one, asks for
    told = crash_run(tmp_path, "--together", 2)
    assert not any(told["differing"]), told


class Whole:
    """A finished run, and the means to make it again in another folder."""

    def __init__(self, small, folder: Path):
        self.small, self.folder = small, folder
        self.expected = self.run(folder / "whole")

    def config(self, folder: Path, **fields) -> smartx.RunConfig:
        return smartx.RunConfig(
            sources=[str(self.small.file)], vectors=self.small.vectors, rows=120, threads=1,
            preset="smart-acl2024", overwrite=True, out=folder / "mix", run_dir=folder / "work",
            **fields,
        )  # fmt: skip

    def run(self, folder: Path) -> dict[str, str]:
        smartx.run(self.config(folder))
        tree = tree_digest(folder)
        del tree["work/run.json"]
        return tree


@pytest.fixture(scope="module")
def whole(small_corpus, tmp_path_factory):
    return Whole(small_corpus, tmp_path_factory.mktemp("whole"))


@contextmanager
def files_no_larger_than(size: int):
    """What a full disk looks like to a process, without one: writes fail, with an error number."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


STEPS = {
    "corpus": pipeline.ingest_step,
    "embeddings": pipeline.embed_step,
    "rankings": pipeline.rank_step,
    "means": pipeline.means_step,
    "mix": pipeline.mix_step,
}


@pytest.mark.parametrize("stage", STEPS)
@pytest.mark.parametrize("size", [0, 1, 150, 700, 1500])
def test_a_disk_that_fills_up_is_one_clear_error_and_loses_nothing(whole, tmp_path, stage, size):
    config = whole.config(tmp_path)
    for name, step in STEPS.items():
        if name == stage:
            break
        step(config, Silent())
    before = tree_digest(tmp_path)
    written = whole.folder / "whole" / ("mix" if stage == "mix" else f"work/{stage}")
    largest = max(path.stat().st_size for path in written.rglob("*") if path.is_file())
    size = min(size, largest - 1)
    with files_no_larger_than(size), pytest.raises(StoreError) as caught:
        STEPS[stage](config, Silent())
    assert "too large" in caught.value.fault
    assert "run.json" in caught.value.place or (
        (stage if stage == "mix" else "work") in caught.value.place
    )
    assert "ulimit" in caught.value.fix
    after = tree_digest(tmp_path)
    before.pop("work/run.json", None)  # it may name the steps of this try that were done
    assert {name: after.get(name) for name in before} == before
    assert [name for name in after if TEMPORARY in name] == []
    assert whole.run(tmp_path) == whole.expected


class FailingReads:
    """Every file that is opened for reading, by hand or by Arrow, is counted; one of them fails."""

    def __init__(self, monkeypatch, folder: Path) -> None:
        self.folder, self.seen, self.fail_at = str(folder), 0, 0
        for owner, name, place in ((Path, "open", 0), (pq.ParquetFile, "__init__", 1)):
            monkeypatch.setattr(owner, name, self.counted(getattr(owner, name), place))

    def counted(self, function, place):
        def call(*arguments, **options):
            if str(arguments[place]).startswith(self.folder) and "w" not in str(arguments[1:2]):
                self.seen += 1
                if self.seen == self.fail_at:
                    raise OSError(errno.EIO, "Input/output error")
            return function(*arguments, **options)

        return call


@pytest.mark.slow
def test_a_read_that_fails_is_one_clear_error_and_loses_nothing(whole, tmp_path, monkeypatch):
    reads = FailingReads(monkeypatch, tmp_path)
    assert whole.run(tmp_path / "counted") == whole.expected
    total, faults = reads.seen, []
    for number in range(1, total + 1, 1 if KILLS >= 100 else 3):
        reads.seen, reads.fail_at = 0, number
        try:
            smartx.run(whole.config(tmp_path / "run"))
        except SmartxError as problem:
            faults.append(problem.fault)
        reads.fail_at = 0
        assert whole.run(tmp_path / "run") == whole.expected
        shutil.rmtree(tmp_path / "run")
    said = ("nput/output error", "not what its manifest says")
    assert all(any(words in fault for words in said) for fault in faults)
    assert len(faults) > total // 8


def damage_truncation(content: bytes) -> bytes:
    return content[: len(content) // 2]


def damage_one_bit(content: bytes) -> bytes:
    place = len(content) * 2 // 3
    return content[:place] + bytes([content[place] ^ 8]) + content[place + 1 :]


@pytest.mark.parametrize("damage", [damage_truncation, damage_one_bit])
def test_every_damaged_file_is_noticed_and_made_again(whole, tmp_path, damage):
    whole.run(tmp_path)
    for name in whole.expected:
        path = tmp_path / name
        if name == "mix/manifest.json" or path.name == ".lock":
            continue  # without its manifest a folder is nobody's, and is not written over
        path.write_bytes(damage(path.read_bytes()))
        assert whole.run(tmp_path) == whole.expected, name


def test_a_damaged_part_is_made_again_and_the_others_are_kept(whole, tmp_path, monkeypatch):
    for module in (run, rankings):
        monkeypatch.setattr(module, "PART_ROWS", 50)
        monkeypatch.setattr(module, "BLOCK_ROWS", 50)
    monkeypatch.setattr(run, "BUNDLE_ROWS", 1)
    config, ranked, real = whole.config(tmp_path), [], Ranking.ranked
    for step in STEPS.values():
        step(config, Silent())
    expected = tree_digest(tmp_path / "work" / "rankings")
    (part,) = (tmp_path / "work" / "rankings").glob("*/ranks-00007.parquet")
    part.write_bytes(damage_one_bit(part.read_bytes()))

    def noted(self, first, last, *made):
        units = self.units
        ranked.append((units.start[first], units.start[last - 1] + units.rows[last - 1]))
        return real(self, first, last, *made)

    monkeypatch.setattr(Ranking, "ranked", noted)
    pipeline.rank_step(config, Silent())
    assert tree_digest(tmp_path / "work" / "rankings") == expected
    assert all(start < 398 and stop > 350 for start, stop in ranked)
    assert ranked


def test_a_run_folder_that_is_a_file_is_one_clear_error(whole, tmp_path):
    (tmp_path / "work").write_text("my notes")
    with pytest.raises(ConfigError, match="not a folder") as caught:
        smartx.run(whole.config(tmp_path))
    assert caught.value.place == "run_dir"
    assert (tmp_path / "work").read_text() == "my notes"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_write_permission_is_one_clear_error(whole, tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(SmartxError, match="ermission"):
            smartx.run(whole.config(tmp_path))
    finally:
        tmp_path.chmod(0o700)


class Noted(Silent):
    def __init__(self):
        self.notes, self.told = [], threading.Event()

    def note(self, message):
        self.notes.append(message)
        self.told.set()


def test_a_second_run_waits_for_the_first_and_says_for_whom(tmp_path):
    second, entered = Noted(), threading.Event()

    def work():
        with working_in(tmp_path, second):
            entered.set()

    with working_in(tmp_path, Silent()), working_in(tmp_path, Silent()):
        waiting = threading.Thread(target=work)
        waiting.start()
        assert second.told.wait(10)
        assert f"process {os.getpid()} on" in second.notes[0]
        assert not entered.is_set()
    waiting.join(10)
    assert entered.is_set()
    assert (tmp_path / ".lock").read_bytes() == b""


def test_a_run_deletes_what_a_killed_one_left_half_written(tmp_path):
    with working_in(tmp_path, Silent()):
        pass
    left = temporary_path(tmp_path / "run.json")
    left.write_text("half")
    (tmp_path / "notes.txt").write_text("mine")
    with working_in(tmp_path, Silent()):
        assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", MARK, "notes.txt"]


def test_a_forked_child_does_not_keep_the_run_folder_locked(tmp_path):
    with working_in(tmp_path, Silent()):
        child = os.fork()
        if not child:
            time.sleep(30)
            os._exit(0)
    try:
        noted = Noted()
        with working_in(tmp_path, noted):
            assert noted.notes == []
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
