"""The simulation of many nodes: units and shares of the product, and what bounds a stage."""

from __future__ import annotations

from dataclasses import replace

import billion
import numpy as np
import pytest
from billion_rows.rates import Rates
from billion_rows.schedule import Nodes, makespan, took
from billion_rows.stages import Asked, default_ranker, rank_units, shape_of, stages

from smartx.units import Unit

RATES = Rates.kept(billion.HERE)
NODES = Nodes(1, 16, 16, 0.9, 64e9, 5e9, 0.8, 1, 2.5)
ASKED = Asked(3_000_000, "groups", 384, "teacher", 2000.0, 30_000, default_ranker())


def test_a_makespan_is_that_of_longest_first_to_whoever_has_least_to_do():
    dice = np.random.default_rng(4)
    units = [Unit(f"rank-{n:05d}", float(s), 1) for n, s in enumerate(dice.integers(1, 90, 40))]
    loads = [0.0] * 7
    for seconds in sorted((unit.seconds for unit in units), reverse=True):
        loads[loads.index(min(loads))] += seconds / 2
    assert makespan(units, 7, 2.0, 0.0) == pytest.approx(max(loads))
    assert makespan(units, 1, 1.0, 0.5) == pytest.approx(sum(u.seconds for u in units) + 20)


@pytest.mark.parametrize("keep", ["groups", "tasks"])
def test_the_shape_has_the_rows_that_are_asked_for_and_units_take_what_the_model_says(keep):
    groups = shape_of(replace(ASKED, keep=keep))
    assert int(groups.rows.sum()) == pytest.approx(ASKED.rows, rel=0.01)
    units = rank_units(ASKED.ranker, groups, 384, 2.0)
    tasks = groups.tasks().rows
    wanted = 2.0 * float(ASKED.ranker.seconds(tasks, 384).sum())
    assert sum(unit.seconds for unit in units) == pytest.approx(wanted)


def test_what_one_process_does_alone_bounds_a_stage_and_its_price_is_of_one_node():
    ingest = stages(ASKED, shape_of(ASKED), RATES)[0]
    many = took(ingest, replace(NODES, count=1000), RATES)
    assert ingest.after < many.seconds < took(ingest, NODES, RATES).seconds
    assert many.alone == ingest.before + ingest.after
    assert many.why == ingest.alone
    whole = many.opening + many.made
    assert many.money == pytest.approx(0.8 * (1000 * whole + many.alone) / 3600)


def test_a_disk_that_all_read_from_and_memory_that_is_not_there_are_said():
    embed = stages(ASKED, shape_of(ASKED), RATES)[1]
    slow = took(embed, replace(NODES, count=1000, disk=1e6), RATES)
    assert slow.why == "every worker reads all texts"
    assert slow.opening > 1000 * embed.opened / 1e6
    assert not slow.short_of_memory
    assert took(embed, replace(NODES, memory=embed.memory - 1), RATES).short_of_memory


def test_the_table_has_a_line_for_each_stage_and_number_of_nodes(capsys, monkeypatch):
    asked = ["billion.py", "--rows", "2e5", "--nodes", "1", "3"]
    monkeypatch.setattr("sys.argv", asked)
    assert billion.main() == 0
    said = capsys.readouterr().out.splitlines()
    for stage in ("ingest", "embed (student)", "embed (teacher)", "embed (gpu)", "rank", "mix"):
        lines = [line.split(" | ")[1] for line in said if line.startswith(f"| {stage} | ")]
        assert lines[:2] == ["1", "3"]
