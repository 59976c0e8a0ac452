"""A ranking in shards ends in the bytes of one process, whoever made what and in which order."""

from __future__ import annotations

import itertools
import threading

import numpy as np
import pytest

from side_by_side import Runs
from smartx import pipeline
from smartx.errors import ConfigError
from smartx.files import temporary_path
from smartx.progress import Silent
from smartx.rankers import Ranking, pieces, rankings, run
from smartx.run_folder import LOCK, RECORDS
from smartx.units import share

RANKED = {
    "facility-location": {"ranker": "facility-location"},
    "whole corpus": {"ranker": "facility-location:per=corpus"},
    "in parts": {"ranker": "facility-location:per=task,part_rows=60"},
    "in parts, near duplicates": {"ranker": "log-det:part_rows=60", "near_duplicates": 0.9},
    "random": {"ranker": "random:per=task"},
    "near duplicates": {"near_duplicates": 0.9},
    "near within a task": {"near_duplicates": 0.9, "near_duplicates_within": "task"},
    "left out": {"leave_out": ["given below"], "leave_out_by": "exact"},
}


@pytest.fixture(autouse=True)
def small_files(monkeypatch):
    for module in (run, rankings):
        monkeypatch.setattr(module, "PART_ROWS", 48)
        monkeypatch.setattr(module, "BLOCK_ROWS", 48)
    monkeypatch.setattr(run, "BUNDLE_ROWS", 16)
    monkeypatch.setattr(pieces, "PIECE_ROWS", 100)


class Shards(Runs):
    """Those that shards make."""

    def __init__(self, small, folder, **fields):
        super().__init__(small, folder, **{"threads": 1, **fields})
        if fields.get("leave_out"):
            held = folder / "held.jsonl"
            lines = small.file.read_text().splitlines(keepends=True)
            held.write_text("".join(line for line in lines[3:90:7] if '"targets": ""' not in line))
            self.fields["leave_out"] = [str(held)]

    def prepared(self, name="work", **fields):
        config = self.config(name, **fields)
        pipeline.ingest_step(config, Silent())
        pipeline.embed_step(config, Silent())
        return config

    def shard(self, text, name="work", **fields):
        return pipeline.shard_step(self.config(name, **fields), Silent(), "rank", text)

    def finished(self, name="work", **fields):
        config = self.config(name, **fields)
        pipeline.rank_step(config, Silent())
        pipeline.mix_step(config, Silent())
        return self.tree(name)


@pytest.fixture
def runs(small_corpus, tmp_path):
    return Shards(small_corpus, tmp_path)


@pytest.mark.parametrize("fields", RANKED.values(), ids=RANKED)
def test_shards_in_any_order_and_the_command_that_finishes_give_the_bytes_of_one_process(
    small_corpus, tmp_path, fields
):
    runs = Shards(small_corpus, tmp_path, **fields)
    runs.prepared("one")
    expected = runs.finished("one")
    runs.prepared()
    plan = [] if "corpus" in str(fields) else plan_of(runs).units()
    made = [runs.shard(f"{shard}/4") for shard in (2, 0, 3, 1)]
    pieces_made = sum(shard.made for shard in made)
    assert sum(shard.there for shard in made) == 0
    assert pieces_made == (1 if "corpus" in str(fields) else len(plan)) > 0
    assert runs.finished() == expected
    assert runs.shard("1/4").finished


def test_the_command_that_finishes_ranks_only_what_no_shard_made(runs, monkeypatch):
    runs.prepared("one")
    expected = runs.finished("one")
    runs.prepared()
    runs.shard("0/2")
    before = {path.name for path in (runs.folder / "work").rglob("rank-*.parquet")}
    ranked = ranked_rows(monkeypatch)
    runs.shard("0/2")
    assert ranked == []
    assert runs.finished() == expected
    assert 0 < sum(ranked) < 398
    assert before


def ranked_rows(monkeypatch):
    """How many rows each call ranks, as they come."""
    real, told = Ranking.ranked, []

    def noted(self, first, last, *made):
        told.append(int(self.units.rows[first:last].sum()))
        return real(self, first, last, *made)

    monkeypatch.setattr(Ranking, "ranked", noted)
    return told


def test_pieces_that_are_damaged_or_half_written_are_made_again(runs):
    runs.prepared("one")
    expected = runs.finished("one")
    runs.prepared()
    for shard in range(3):
        runs.shard(f"{shard}/3")
    made = sorted((runs.folder / "work").rglob("rank-*.parquet"))
    made[0].write_bytes(made[0].read_bytes()[:-9])
    made[1].with_name(made[1].name + ".json").unlink()
    temporary_path(made[2]).write_text("half")
    (stage,) = (runs.folder / "work" / "work" / "rankings").iterdir()
    assert (stage / "pieces").is_dir()
    assert runs.finished() == expected
    assert not (stage / "pieces").exists()


def test_what_stands_among_the_pieces_and_is_not_ours_stays(runs):
    runs.prepared()
    runs.shard("0/2")
    (folder,) = (runs.folder / "work").rglob("pieces")
    (folder / "notes.txt").write_text("mine")
    runs.finished()
    assert sorted(path.name for path in folder.iterdir()) == [".smartx", "notes.txt"]


def test_shards_of_other_numbers_and_threads_and_memory_cut_the_same_pieces(runs):
    runs.prepared("one")
    expected = runs.finished("one")
    runs.prepared()
    runs.shard("1/2", threads=2, memory=1 << 33)
    names = {path.name for path in (runs.folder / "work").rglob("rank-*.parquet")}
    there = sum(runs.shard(f"{shard}/3").there for shard in range(3))
    assert there == len(names) > 0
    assert runs.finished() == expected


def test_shards_at_once_in_threads(runs):
    runs.prepared("one")
    expected = runs.finished("one")
    runs.prepared()
    made, problems = [], []

    def work(text):
        try:
            made.append(runs.shard(text).made)
        except BaseException as problem:
            problems.append(problem)

    # Two make the same shard: they race for every file.
    threads = [threading.Thread(target=work, args=(text,)) for text in ("0/3", "1/3", "2/3", "0/3")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert problems == []
    assert runs.finished() == expected


def test_shards_write_neither_records_nor_what_is_meant(runs):
    runs.prepared()
    folder = runs.config().run_dir
    kept = {name: (folder / name).read_bytes() for name in (RECORDS, "current.json")}
    runs.shard("0/2")
    assert {name: (folder / name).read_bytes() for name in kept} == kept
    assert (folder / LOCK).read_bytes() == b""


def test_found_tasks_are_made_by_the_first_shard_alone(small_corpus, tmp_path):
    pytest.importorskip("sklearn")
    runs = Shards(small_corpus, tmp_path, tasks="auto:clusters=5")
    runs.prepared("one")
    expected = runs.finished("one")
    runs.prepared()
    for shard in (1, 0):
        runs.shard(f"{shard}/2")
    assert runs.finished() == expected


def test_what_is_no_shard_is_refused_before_any_work(runs):
    runs.prepared()
    for text in ("2/2", "one", "1"):
        with pytest.raises(ConfigError, match="i/N"):
            runs.shard(text)
    with pytest.raises(ConfigError, match="not both"):
        runs.shard("0/2", executor="processes:2")


def plan_of(runs):
    """The pieces of a run's ranking."""
    from smartx.dividing import divided
    from smartx.session import Session

    session = Session(runs.config(), None, command="rank")
    with session.alone():
        return divided(session, "rank")


def test_a_piece_is_done_when_its_smallest_pieces_are(runs):
    runs.prepared("one")
    expected = runs.finished("one")
    runs.prepared()
    work = plan_of(runs)
    unit = next(unit for unit in work.units() if len(work.split(unit)) > 2)
    smaller = work.split(unit)
    assert work.split(smaller[0]) == []
    assert len({one.name for one in smaller}) == len(smaller)
    for one in smaller[:-1]:
        assert not work.done(unit)
        work.make(one, lambda rows: None)
        assert work.done(one)
    work.make(smaller[-1], lambda rows: None)
    assert work.done(unit)
    assert runs.finished() == expected


def test_a_part_made_of_some_smallest_pieces_and_the_rest_ranked_here_is_the_same(runs):
    runs.prepared("one")
    expected = runs.finished("one")
    runs.prepared()
    work = plan_of(runs)
    for unit in work.units():
        for one in work.split(unit)[::2]:
            work.make(one, lambda rows: None)
    assert runs.finished() == expected


def test_units_cover_all_rows_once_and_cost_what_the_whole_costs(runs):
    runs.prepared()
    work = plan_of(runs)
    units = work.units()
    assert [unit.name for unit in units] == [f"rank-{n:05d}" for n in range(len(units))]
    whole = work._ranking
    assert np.isclose(sum(unit.seconds for unit in units), whole.seconds.sum())
    assert all(unit.memory > 0 for unit in units)
    told = []
    for unit in itertools.chain(*(share(units, shard, 3) for shard in range(3))):
        work.make(unit, told.append)
    assert sum(told) == 398
