"""What a plan says that a report takes, beside what is there in the end."""

from __future__ import annotations

from pathlib import Path

import pytest

import smartx
from smartx.costs import StagePlan
from smartx.report import cost
from smartx.report.cost import with_report

BARE = StagePlan("mix", Path("mix"), 2.0, 1 << 20, 1 << 10)


def test_a_plan_of_a_mixture_has_room_for_its_report(made, tmp_path):
    said = smartx.plan({"run_dir": made.run, "out": tmp_path / "mix", "rows": 60}).stages[-1]
    there = sum(path.stat().st_size for path in made.mixture.folder.rglob("*") if path.is_file())
    assert said.name == "mix"
    assert said.disk >= there


def test_maps_take_time_where_there_are_any(made, monkeypatch):
    corpus = made.material.corpus
    known = [with_report(BARE, corpus, dimensions) for dimensions in (0, 384, 768)]
    first, second, third = (one.seconds for one in known)
    assert 2.0 < first < second < third
    assert third - second == pytest.approx(second - first)
    assert second - first == pytest.approx(cost.VALUE_SECONDS * corpus.num_rows * 384)
    assert {one.disk for one in known} == {BARE.disk + cost.TASK_DISK * len(made.material.tasks)}
    monkeypatch.setattr(cost, "MAPPED_BYTES", 0)
    assert with_report(BARE, corpus, 384).seconds == first


def test_what_was_not_timed_stays_so(made):
    untimed = StagePlan("mix", Path("mix"), None, 1, 1)
    assert with_report(untimed, made.material.corpus, 8).seconds is None
