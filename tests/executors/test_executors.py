"""Whoever makes the units, and whoever dies of it: the same bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

import small_pieces
import smartx
from side_by_side import Runs
from smartx import pipeline
from smartx.config import config_from
from smartx.errors import ConfigError, InputError, WorkerError
from smartx.executors import elsewhere, processes
from smartx.executors.drive import TRIES, Heard, drive
from smartx.executors.job import Job, check_answer, handshake
from smartx.progress import Silent
from smartx.rankers import Ranker, pieces, rankings, run
from smartx.units import Unit

pytestmark = pytest.mark.processes


@pytest.fixture(autouse=True)
def small(monkeypatch):
    for module in (run, rankings):
        monkeypatch.setattr(module, "PART_ROWS", 48)
        monkeypatch.setattr(module, "BLOCK_ROWS", 48)
    monkeypatch.setattr(run, "BUNDLE_ROWS", 16)
    monkeypatch.setattr(pieces, "PIECE_ROWS", 100)
    monkeypatch.setattr(processes, "WORKER", "small_pieces:main")


@pytest.fixture
def runs(small_corpus, tmp_path):
    return Runs(small_corpus, tmp_path, threads=2, near_duplicates=0.95)


def test_a_pool_of_processes_makes_the_bytes_of_one(runs):
    assert runs.run("pool", executor="processes:2") == runs.run("one")


def test_a_worker_that_dies_once_is_replaced_and_its_unit_made_again(runs, monkeypatch, tmp_path):
    monkeypatch.setenv(small_pieces.POISON, f"rank-00001@{tmp_path / 'died'}")
    assert runs.run("pool", executor="processes:2") == runs.run("one")
    assert (tmp_path / "died").exists()


def test_a_unit_that_ends_all_its_makers_is_set_aside_by_name_and_all_others_are_made(
    runs, monkeypatch
):
    config = runs.config("pool", executor="processes:2")
    monkeypatch.setenv(small_pieces.POISON, "rank-00000")
    with pytest.raises(WorkerError, match=r"rank-00000 \(SIGKILL\)") as caught:
        smartx.run(config)
    assert "kept" in caught.value.fix
    made = {path.name for path in (runs.folder / "pool").rglob("rank-*.parquet")}
    assert "rank-00000.parquet" not in made
    assert {"rank-00001.parquet", "rank-00002.parquet"} <= made
    monkeypatch.delenv(small_pieces.POISON)
    assert runs.run("pool") == runs.run("one")


def test_a_piece_of_many_units_is_split_before_any_is_set_aside(runs, monkeypatch):
    config = runs.config("pool", executor="processes:2", near_duplicates=None)
    whole = [f"rank-{number:05d}" for number in range(9)]
    monkeypatch.setenv(small_pieces.POISON, ",".join([*whole, f"{whole[3]}.00001"]))
    monkeypatch.setattr(pieces, "PIECE_ROWS", 100)
    with pytest.raises(WorkerError) as caught:
        smartx.run(config)
    names = {word.strip("(),") for word in str(caught.value).split() if "rank-" in word}
    made = {path.stem for path in (runs.folder / "pool").rglob("rank-*.parquet")}
    assert any("." in name for name in made)  # the others of pieces that were split
    assert all("." in name for name in made)
    assert names.isdisjoint(made)
    assert f"{whole[3]}.00001" in names or f"{whole[3]}" in names


def test_what_a_worker_says_went_wrong_is_not_tried_again(runs, monkeypatch, tmp_path):
    code = tmp_path / "mine.py"
    code.write_text(
        "from dataclasses import dataclass\nfrom pathlib import Path\n"
        "from typing import Annotated, ClassVar\nimport numpy as np\n"
        "from smartx.options import Takes\nfrom smartx.rankers import Ranker\n\n"
        "@dataclass(frozen=True)\nclass Failing(Ranker):\n"
        '    """Fails, and says so."""\n'
        '    place: Annotated[str, Takes("a folder", str)] = ""\n'
        '    name: ClassVar[str] = "failing"\n\n'
        "    def rank(self, pool, *, threads):\n"
        "        Path(self.place, f'tried-{pool.row_ids[0]}').open('a').write('x')\n"
        "        raise RuntimeError('no')\n"
    )
    ranker = {"name": "failing", "code": str(code), "place": str(tmp_path)}
    with pytest.raises(InputError, match="failing failed"):
        smartx.run(runs.config("pool", executor="processes:2", ranker=ranker, preset="equal"))
    assert all(path.read_text() == "x" for path in tmp_path.glob("tried-*"))


def test_a_ranker_in_a_file_works_in_other_processes(runs, tmp_path):
    code = tmp_path / "mine.py"
    code.write_text(
        "from dataclasses import dataclass\nfrom typing import ClassVar\nimport numpy as np\n"
        "from smartx.rankers import Ranker\n\n"
        "@dataclass(frozen=True)\nclass Last(Ranker):\n"
        '    """The last row first."""\n\n    name: ClassVar[str] = "last"\n\n'
        "    def rank(self, pool, *, threads):\n"
        "        order = [np.arange(size)[::-1] for size in pool.sizes]\n"
        "        return np.concatenate(order).astype(np.int32), np.ones(len(pool))\n"
    )
    fields = {"ranker": {"name": "last", "code": str(code)}, "preset": "equal"}
    assert runs.run("pool", executor="processes:2", **fields) == runs.run("one", **fields)


def test_a_ranker_that_no_other_process_can_make_is_refused_before_any_work(runs):
    class Hidden(Ranker):
        name = "hidden"

    with pytest.raises(ConfigError, match="known here only") as caught:
        elsewhere(runs.config("pool", executor="processes:2", ranker=Hidden()), Silent())
    assert "code" in caught.value.fix
    assert elsewhere(runs.config("pool", ranker=Hidden()), Silent()) is None


def test_workers_of_another_kind_or_with_another_run_folder_are_refused(runs, tmp_path):
    config = runs.config("one")
    job = Job.of(config)
    with handshake(tmp_path, job) as told:
        assert Job.read(told.json()) == told
        check_answer(told, told.answer(), "a worker")
        with pytest.raises(WorkerError, match=r"smartx .* \(there: 0\.0\)"):
            replace(told, kind={**told.kind, "smartx": "0.0"}).answer()
        with pytest.raises(WorkerError, match="does not see the run folder"):
            replace(told, nonce=f"{told.nonce}.other").answer()
        with pytest.raises(WorkerError, match="another run folder"):
            check_answer(told, "something else", "a worker")
    assert not Path(told.nonce).exists()


def test_a_worker_that_would_make_something_else_is_refused(runs, monkeypatch):
    config = runs.config("pool", executor="processes:1")
    real = Job.of
    monkeypatch.setattr(Job, "of", lambda config: replace(real(config), config=other(config)))

    def other(config):
        return {**real(config).config, "ranker": {"name": "random"}}

    with pytest.raises(WorkerError, match="is another one here"):
        pipeline.run(config)


@pytest.mark.parametrize("text", ["processes", "processes:0", "slurm", "ray:", "processes:x"])
def test_an_executor_that_there_is_not_is_refused(text):
    with pytest.raises(ConfigError, match="processes:N"):
        config_from({"executor": text})


class Deaf:
    """A crew in memory: units die as they are told to."""

    memory = 1 << 40

    def __init__(self, deaths, slots=2):
        self.deaths, self.slots, self.given, self.log, self.most = deaths, slots, [], [], 0

    def room(self):
        return self.slots - len(self.given)

    def fits(self, unit):
        return True

    def give(self, unit):
        self.given.append(unit.name)
        self.log.append(unit.name)
        self.most = max(self.most, len(self.given))

    def hear(self):
        name = self.given.pop(0)
        fates = self.deaths.get(name, [])
        fate = fates.pop(0) if isinstance(fates, list) and fates else fates
        if fate in ("died", "vanished"):
            return [Heard(name, fate, blameless=fate == "vanished")]
        return [Heard(name)]


class Work:
    name, key = "rank", "k"

    def __init__(self, seconds, splits=0):
        self.all = [Unit(f"rank-{number:05d}", s, 1) for number, s in enumerate(seconds)]
        self.splits = splits

    def units(self):
        return self.all

    def done(self, unit):
        return unit.seconds == 0

    def split(self, unit):
        parts = range(0 if "." in unit.name else self.splits)
        return [Unit(f"{unit.name}.{part:05d}", 1, 1) for part in parts]


def test_units_go_out_longest_first_no_more_than_there_is_room_for():
    crew = Deaf({})
    drive(Work([1, 5, 0, 3]), crew, Silent())
    assert crew.log == ["rank-00001", "rank-00003", "rank-00000"]
    assert crew.most == 2


def test_a_unit_is_tried_again_as_often_as_said_and_after_all_others():
    crew = Deaf({"rank-00000": ["died"] * (TRIES - 1)}, slots=1)
    drive(Work([9, 1, 2]), crew, Silent())
    assert crew.log[:3] == ["rank-00000", "rank-00002", "rank-00001"]
    assert crew.log.count("rank-00000") == TRIES


def test_nodes_that_vanish_are_not_held_against_a_unit():
    crew = Deaf({"rank-00000": ["vanished"] * (2 * TRIES)})
    drive(Work([1]), crew, Silent())
    assert len(crew.log) == 2 * TRIES + 1


def test_a_unit_that_cannot_be_split_is_set_aside_after_its_tries():
    crew = Deaf({"rank-00000": "died"})
    with pytest.raises(WorkerError, match="1 unit of rank ended whoever made it: rank-00000"):
        drive(Work([1, 1]), crew, Silent())
    assert crew.log.count("rank-00000") == TRIES
    assert crew.log.count("rank-00001") == 1


def test_of_a_unit_that_is_split_only_what_kills_is_set_aside():
    crew = Deaf({"rank-00000": "died", "rank-00000.00001": "died"})
    with pytest.raises(WorkerError, match=r"made it: rank-00000\.00001 \(died\)"):
        drive(Work([1], splits=3), crew, Silent())
    assert [crew.log.count(f"rank-00000.0000{part}") for part in range(3)] == [1, TRIES, 1]


def test_units_that_need_much_memory_are_made_beside_fewer_others_and_none_waits_forever():
    units = [Unit(f"rank-{number:05d}", 9 - number, memory) for number, memory in enumerate(NEEDS)]
    crew = Remembering(memory=100)
    work = Work([])
    work.all = units
    drive(work, crew, Silent())
    assert sorted(crew.log) == [unit.name for unit in units]
    assert 1 < crew.together <= 100
    assert crew.log[:2] == ["rank-00000", "rank-00002"]  # two large ones are not made at once


NEEDS = [90, 80, 5, 100, 10, 60, 30]


class Remembering(Deaf):
    """A pool of four that has no processes, and sees how much its units take at once."""

    def __init__(self, memory):
        super().__init__({}, slots=4)
        self.pool = processes.Processes(4, None, memory, Silent())
        self.memory, self.together = memory, 0

    def fits(self, unit):
        return self.pool.fits(unit)

    def give(self, unit):
        super().give(unit)
        self.pool._taken[unit.name] = unit.memory
        self.together = max(self.together, sum(self.pool._taken.values()))

    def hear(self):
        (heard,) = super().hear()
        del self.pool._taken[heard.unit]
        return [heard]


def test_a_unit_that_no_worker_has_memory_for_is_refused_before_any_work():
    crew, work = Remembering(memory=50 << 20), Work([])
    work.all = [Unit("rank-00000", 1, 1 << 20), Unit("rank-00001", 1, 70 << 20)]
    with pytest.raises(ConfigError, match=r"rank-00001 needs about .* in one worker") as caught:
        drive(work, crew, Silent())
    assert "70M" in caught.value.fix
    assert crew.log == []


def test_the_processes_of_a_pool_need_not_each_have_the_memory_of_the_whole_stage(runs):
    """Half of it is less than the largest unit takes: that one is then made alone."""
    most = max(unit.memory for unit in units_of(runs.config("pool")))
    asked = runs.config("pool", executor="processes:2", memory=int(1.5 * most))
    pipeline.rank_step(asked, Silent())
    assert runs.run("pool") == runs.run("one")


def units_of(config):
    """Those of a ranking."""
    from smartx.dividing import divided
    from smartx.session import Session

    for step in (pipeline.ingest_step, pipeline.embed_step):
        step(config, Silent())
    session = Session(config, None, command="rank")
    with session.alone():
        return divided(session, "rank").units()


def test_workers_end_with_whoever_started_them(runs, tmp_path):
    config = runs.config("pool", executor="processes:2")
    values = {"sources": config.sources, "vectors": str(config.vectors), "rows": 120}
    values |= {"out": str(config.out), "run_dir": str(config.run_dir), "executor": "processes:2"}
    code = (
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        "import small_pieces, smartx\nfrom smartx.executors import processes\n"
        "small_pieces.use_small_pieces(); processes.WORKER = 'waiting:main'\n"
        f"smartx.run({values!r})\n"
    )
    (tmp_path / "waiting.py").write_text(
        "import os, small_pieces, time\nfrom pathlib import Path\n"
        "def main(descriptor, parent):\n"
        f"    Path({str(tmp_path)!r}, f'pid-{{os.getpid()}}').touch()\n"
        "    small_pieces.main(descriptor, parent) if False else None\n"
        "    from smartx.executors.worker import end_with\n    end_with(parent)\n"
    )
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"}
    driver = subprocess.Popen([sys.executable, "-c", code], env=environment)
    deadline = time.monotonic() + 120
    while len(started := list(tmp_path.glob("pid-*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(started) == 2
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    ids = [int(path.name.partition("-")[2]) for path in started]
    while any(map(alive, ids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(alive, ids))
    assert runs.run("pool", near_duplicates=None) == runs.run("one", near_duplicates=None)


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
