"""The bench's runs: each once, whole lines only, and what is there is not run again."""

from __future__ import annotations

import json
import time
from dataclasses import asdict

import pytest

pytest.importorskip("torch")
pytest.importorskip("safetensors")

from quality.arms import UNTUNED
from quality.one_run import Setting
from quality.runs import RUNS, Plan, append, done, in_processes, left

from small_jobs import doubled, prepared

PLAN = Plan((UNTUNED, "equal", "random a"), (0, 1), (0, 1), Setting("t0", "equal", 0, 0))


def test_seeds_are_outermost_and_untuned_is_once_a_fold():
    keys = [(s.seed, s.fold, s.arm) for s in PLAN.settings()]
    assert keys == sorted(keys, key=lambda key: key[:2])
    assert len(keys) == len(set(keys)) == 2 * 2 * 2 + 2
    assert [key for key in keys if key[2] == UNTUNED] == [(0, 0, UNTUNED), (0, 1, UNTUNED)]


def test_what_is_done_is_not_run_again(tmp_path):
    settings = list(PLAN.settings())
    append(tmp_path, {"setting": asdict(settings[3]), "sample": "s"})
    assert left(PLAN, tmp_path, "s") == [s for s in settings if s != settings[3]]
    with pytest.raises(SystemExit, match="another sample"):
        left(PLAN, tmp_path, "other")


def test_a_line_that_was_being_written_is_cut_off(tmp_path):
    append(tmp_path, {"setting": 1})
    with (tmp_path / RUNS).open("a") as file:
        file.write('{"setting": 2')
    assert done(tmp_path) == [{"setting": 1}]
    append(tmp_path, {"setting": 3})
    lines = (tmp_path / RUNS).read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"setting": 1}, {"setting": 3}]


@pytest.mark.processes
def test_jobs_are_all_done_in_prepared_processes():
    found = dict(in_processes(range(7), doubled, prepared, ("here",), 2))
    assert found == {job: ("here", 2 * job) for job in range(7)}


@pytest.mark.processes
def test_an_error_of_one_job_ends_the_others_at_once():
    began = time.monotonic()
    with pytest.raises(ValueError, match="bad job"):
        list(in_processes(["slow", "bad", "slow"], doubled, prepared, ("here",), 2))
    assert time.monotonic() - began < 50
