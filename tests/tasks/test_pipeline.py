"""Whole runs whose tasks are found: reuse, the same bytes, kills, plans, what people see."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

import smartx
from conftest import tree_digest
from ingest_files import Notes, write_rows
from smartx import pipeline, preflight
from smartx.cli import app
from smartx.config import RunConfig
from smartx.corpus.regroup import original_of
from smartx.errors import ConfigError, InputError, MissingPackageError, StoreError
from smartx.progress import Silent
from smartx.run_folder import current
from smartx.tasks import AutoTasks, as_read, assumed, tasks_of
from smartx.verify import verify_folder

ABOUT = (
    "add the numbers {} and seven",
    "was the film {} any good",
    "traduire la phrase {} en anglais",
    "write a poem on {} and rain",
)
ROWS = 300


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Rows of four kinds in two files that name no task; one has no response and is dropped."""
    folder = tmp_path_factory.mktemp("unnamed")
    rng = np.random.default_rng(11)
    kinds = rng.choice(4, size=ROWS, p=[0.5, 0.25, 0.15, 0.1])
    rows = [
        {"prompt": ABOUT[kind].format(f"x{i}"), "response": "" if i == 9 else "yes", "mark": i}
        for i, kind in enumerate(kinds.tolist())
    ]
    write_rows(folder / "one.jsonl", rows[:180])
    write_rows(folder / "two.jsonl", rows[180:])
    vectors = np.eye(12)[kinds] + 0.1 * rng.normal(size=(ROWS, 12))
    np.save(folder / "v.npy", vectors.astype(np.float32))
    return folder, kinds


def config(source, folder, **fields):
    defaults = {
        "sources": [str(source[0] / "one.jsonl"), str(source[0] / "two.jsonl")],
        "vectors": source[0] / "v.npy",
        "run_dir": folder / "work",
        "out": folder / "mix",
        "rows": 100,
        "threads": 1,
        "overwrite": True,
        "tasks": "auto:clusters=4",
    }
    return smartx.RunConfig(**{**defaults, **fields})


def rows_of(mixture):
    return pq.read_table(mixture.folder / "data").to_pylist()


def test_rows_go_under_found_tasks_and_say_where_they_came_from(source, tmp_path):
    mixture = smartx.run(config(source, tmp_path))
    rows = rows_of(mixture)
    assert len(rows) == 100
    by_kind = {}
    for row in rows:
        kind = int(source[1][row["mark"]])
        by_kind.setdefault(kind, set()).add(row["task"])
        assert row["template"] == ("one" if row["mark"] < 180 else "two")
        assert row["prompt"] == ABOUT[kind].format(f"x{row['mark']}")
    assert all(len(tasks) == 1 for tasks in by_kind.values())
    assert len(set.union(*by_kind.values())) == 4
    assert any("numbers" in task for task in by_kind[0])
    told = {task["task"]: task["capacity"] for task in mixture.manifest["tasks"]}
    assert sum(told.values()) == ROWS - 1
    assert verify_folder(tmp_path / "work").faults == ()


def test_a_second_run_and_another_budget_do_nothing_again(source, tmp_path, monkeypatch):
    first = smartx.run(config(source, tmp_path))
    before = {name: tree_digest(tmp_path / "work" / name) for name in ("corpus", "tasks")}

    def again(*_, **__):
        raise AssertionError("it is there")

    monkeypatch.setattr("smartx.tasks.run.centres_of", again)
    monkeypatch.setattr("smartx.tasks.run.assigned", again)
    monkeypatch.setattr("smartx.corpus.regroup._made", again)
    monkeypatch.setattr("smartx.embed.regroup._shards", again)
    smartx.run(config(source, tmp_path, rows=60, out=tmp_path / "other"))
    assert before == {name: tree_digest(tmp_path / "work" / name) for name in before}
    mixed = smartx.run(config(source, tmp_path))
    assert mixed.manifest == first.manifest


def test_threads_do_not_show(source, tmp_path):
    one = smartx.run(config(source, tmp_path / "1", threads=1))
    four = smartx.run(config(source, tmp_path / "4", threads=4))
    assert tree_digest(one.folder) == tree_digest(four.folder)


@pytest.mark.parametrize(
    "stopped",
    [
        "smartx.tasks.run.centres_of",
        "smartx.tasks.run.assigned",
        "smartx.tasks.run.names_of",
        "smartx.tasks.group.regrouped",
        "smartx.corpus.regroup.write_groups",
        "smartx.tasks.group.regrouped_embeddings",
        "smartx.embed.regroup.vector_digests",
        "smartx.session.rank_corpus",
    ],
)
def test_what_is_interrupted_goes_on_to_the_same_bytes(source, tmp_path, monkeypatch, stopped):
    whole = smartx.run(config(source, tmp_path / "whole"))

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(stopped, interrupt)
        with pytest.raises(KeyboardInterrupt):
            smartx.run(config(source, tmp_path / "part"))
    part = smartx.run(config(source, tmp_path / "part"))
    assert tree_digest(part.folder) == tree_digest(whole.folder)
    stages = ("corpus", "tasks", "embeddings", "rankings")
    for stage in stages:
        assert tree_digest(tmp_path / "part/work" / stage) == tree_digest(
            tmp_path / "whole/work" / stage
        )


def test_later_commands_mean_the_rows_under_the_tasks(source, tmp_path):
    made = smartx.run(config(source, tmp_path))
    later = {"sources": [], "vectors": None, "tasks": None, "out": tmp_path / "later"}
    mixed = pipeline.mix_step(config(source, tmp_path, **later), Silent())
    assert mixed.manifest["groups"] == made.manifest["groups"]
    assert [row["smartx_row"] for row in rows_of(mixed)] == [
        row["smartx_row"] for row in rows_of(made)
    ]


def test_tasks_of_another_number_begin_with_the_rows_as_they_were_read(source, tmp_path):
    smartx.run(config(source, tmp_path))
    run = smartx.open_run(tmp_path / "work")
    grouped = run.corpus()
    fields = {"sources": [], "vectors": None, "tasks": "auto:clusters=2"}
    found = pipeline.tasks_step(config(source, tmp_path, **fields), Silent())
    assert len(found.names) == 2
    corpus = smartx.open_run(tmp_path / "work").corpus()
    assert original_of(corpus) == original_of(grouped)
    assert as_read(corpus).digest == as_read(grouped).digest
    assert len(corpus.groups.tasks()) == 2
    assert set(corpus.groups.template) == {"one", "two"}


def test_without_tasks_the_rows_are_those_of_the_sources_again(source, tmp_path):
    smartx.run(config(source, tmp_path))
    plain = smartx.run(config(source, tmp_path, tasks=None, out=tmp_path / "plain"))
    assert {row["task"] for row in rows_of(plain)} == {"one", "two"}
    assert tasks_of(smartx.open_run(tmp_path / "work").corpus(), tmp_path / "work") is None


def test_the_steps_one_by_one_give_what_a_run_gives(source, tmp_path):
    whole = smartx.run(config(source, tmp_path / "whole"))
    steps = config(source, tmp_path / "steps", tasks=None)
    pipeline.ingest_step(steps, Silent())
    pipeline.embed_step(steps, Silent())
    bare = steps.model_copy(update={"vectors": None, "sources": []})
    asked = {"tasks": AutoTasks(4)}
    pipeline.tasks_step(bare.model_copy(update=asked), Silent())
    mixed = pipeline.mix_step(bare, Silent())
    assert tree_digest(mixed.folder) == tree_digest(whole.folder)


def test_tasks_without_vectors_are_an_error_that_says_what_to_do(source, tmp_path):
    steps = config(source, tmp_path, tasks=None)
    pipeline.ingest_step(steps, Silent())
    with pytest.raises(StoreError, match="smartx embed"):
        pipeline.tasks_step(steps.model_copy(update={"vectors": None, "sources": []}), Silent())


def test_a_law_may_name_the_tasks_that_were_found(source, tmp_path):
    found = pipeline.tasks_step
    smartx.run(config(source, tmp_path))
    names = found(config(source, tmp_path, tasks=None, sources=[]), Silent()).names
    law = {"name": "given", "parts": {names[0]: 3, "*": 1}}
    mixture = smartx.run(config(source, tmp_path, weights=law, rows=24, out=tmp_path / "given"))
    given = {task["task"]: task["rows"] for task in mixture.manifest["tasks"]}
    assert given[names[0]] == 18
    unknown = {"name": "given", "parts": {"no-such-task": 1}}
    with pytest.raises(ConfigError, match="no task of the corpus"):
        smartx.run(config(source, tmp_path, weights=unknown))


@pytest.mark.parametrize("written", ["auto:clusters=4", {"name": "auto", "clusters": 4}])
def test_a_yaml_file_says_the_same(source, tmp_path, written):
    whole = smartx.run(config(source, tmp_path / "whole"))
    fields = config(source, tmp_path / "yaml").model_dump(mode="json", exclude_defaults=True)
    file = tmp_path / "mix.yaml"
    file.write_text(yaml.safe_dump({**fields, "tasks": written}))
    assert tree_digest(smartx.run(file).folder) == tree_digest(whole.folder)


def test_the_seed_of_the_run_is_that_of_the_tasks(source, tmp_path):
    assert config(source, tmp_path, seed=5).tasks == AutoTasks(4, seed=5)
    assert config(source, tmp_path, seed=5, tasks="auto:seed=2").tasks == AutoTasks(seed=2)


@pytest.mark.parametrize(
    ("tasks", "words"),
    [
        ("atuo", "did you mean auto"),
        ("auto:cluster=3", "clusters"),
        ("auto:clusters=0", "whole number from 1"),
    ],
)
def test_what_is_misspelled_is_an_error_with_what_there_is(source, tmp_path, tasks, words):
    fields = {"sources": ["x.jsonl"], "tasks": tasks}
    with pytest.raises(ConfigError, match=words) as caught:
        smartx.run(fields)
    assert caught.value.place == "tasks"


def test_a_missing_library_is_said_before_any_work(source, tmp_path, monkeypatch):
    real = preflight.find_spec
    monkeypatch.setattr(
        preflight, "find_spec", lambda name: None if name == "sklearn" else real(name)
    )
    with pytest.raises(MissingPackageError, match=r"smartx-mix\[learn\]"):
        smartx.run(config(source, tmp_path))
    assert not (tmp_path / "work").exists()


class TestPlan:
    def stages(self, plan):
        return {stage.name: stage for stage in plan.stages}

    def test_before_tasks_are_found_they_are_assumed_to_be_equal(self, source, tmp_path):
        plan = smartx.plan(config(source, tmp_path))
        stages = self.stages(plan)
        assert list(stages) == ["embed", "tasks", "rank", "mix"]
        assert (plan.tasks, plan.groups, plan.largest[0][2]) == (4, 4, 75)
        assert not stages["tasks"].done
        assert "assumed" in stages["tasks"].how
        assert stages["tasks"].seconds > 0
        assert stages["tasks"].disk > 0

    def test_afterwards_they_are_those_that_were_found(self, source, tmp_path):
        smartx.run(config(source, tmp_path))
        plan = smartx.plan(config(source, tmp_path))
        stages = self.stages(plan)
        assert all(stages[name].done for name in ("embed", "tasks", "rank"))
        assert plan.groups == 8
        assert plan.largest[0][2] == max(
            int(rows) for rows in smartx.open_run(tmp_path / "work").corpus().groups.rows
        )

    def test_a_plan_leaves_what_later_commands_mean(self, source, tmp_path):
        smartx.run(config(source, tmp_path))
        before = current(tmp_path / "work")
        smartx.plan(config(source, tmp_path))
        assert current(tmp_path / "work") == before

    def test_too_little_memory_is_refused_with_the_numbers(self, source, tmp_path):
        with pytest.raises(ConfigError, match=r"tasks needs about \d+ MiB") as caught:
            smartx.run(config(source, tmp_path, memory=450 << 20, tasks="auto:clusters=4"))
        assert caught.value.place == "memory"
        steps = config(source, tmp_path, tasks=None)
        pipeline.ingest_step(steps, Silent())
        pipeline.embed_step(steps, Silent())
        few = steps.model_copy(update={"memory": 450 << 20, "vectors": None, "sources": []})
        with pytest.raises(ConfigError, match="tasks needs about"):
            pipeline.tasks_step(few, Silent())

    def test_assumed_tasks_hold_every_row_once(self, source, tmp_path):
        corpus = pipeline.ingest_step(config(source, tmp_path), Silent())
        for clusters in (1, 2, 7, 299):
            groups = assumed(corpus, AutoTasks(clusters)).groups
            assert len(groups) == clusters
            assert groups.rows.sum() == corpus.num_rows
            assert groups.rows.min() > 0
            assert groups.start.tolist() == (np.cumsum(groups.rows) - groups.rows).tolist()


def test_progress_says_what_is_done(source, tmp_path):
    notes = Notes()
    smartx.run(config(source, tmp_path), progress=notes)
    told = ("find 4 tasks", "assign rows to tasks", "name tasks", "group rows by task")
    for step in told:
        assert notes.done[step] == notes.total[step] > 0
    assert "tasks: 4 tasks, 8 groups" in notes.notes


def test_tasks_whose_table_is_gone_are_an_error_with_what_to_do(source, tmp_path):
    smartx.run(config(source, tmp_path))
    shutil.rmtree(tmp_path / "work" / "tasks")
    corpus = smartx.open_run(tmp_path / "work").corpus()
    with pytest.raises(StoreError, match="smartx tasks"):
        tasks_of(corpus, tmp_path / "work")
    again = config(source, tmp_path, sources=[], vectors=None)
    assert len(pipeline.tasks_step(again, Silent()).names) == 4


def test_another_way_to_find_tasks_is_another_mixture(source, tmp_path):
    made = smartx.run(config(source, tmp_path))
    by = {"name": "auto", "clusters": 4, "sample": 100_000, "seed": 0}
    assert made.manifest["found_tasks"] == by
    kept = {"overwrite": False, "run_dir": tmp_path / "unused"}
    for tasks in (None, "auto:clusters=3"):
        with pytest.raises(InputError, match="differs in: found_tasks"):
            smartx.run(config(source, tmp_path, tasks=tasks, **kept))
    assert not (tmp_path / "unused").exists()
    later = {"sources": [], "vectors": None, "tasks": None, "overwrite": False}
    assert pipeline.mix_step(config(source, tmp_path, **later), Silent()).manifest == made.manifest
    plain = smartx.run(config(source, tmp_path, tasks=None, out=tmp_path / "plain"))
    assert plain.manifest["found_tasks"] is None


def invoked(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_tasks_of_the_sources_are_not_left_without_a_word(source, tmp_path):
    pipeline.run(config(source, tmp_path, tasks=None))
    for told in ("the rows are in 2 tasks of the sources", ""):
        notes = Notes()
        pipeline.tasks_step(RunConfig(run_dir=tmp_path / "work"), notes)
        assert bool(told) == any("smartx ingest SOURCES" in note for note in notes.notes)
        assert told in "".join(notes.notes)


def test_where_tasks_are_found_nobody_is_told_to_find_some(source, tmp_path):
    one = [str(source[0] / "one.jsonl")]
    np.save(tmp_path / "v.npy", np.load(source[0] / "v.npy")[:180])
    fields = {"sources": one, "vectors": tmp_path / "v.npy", "rows": 50}
    for tasks in (None, "auto:clusters=3"):
        notes = Notes()
        pipeline.run(config(source, tmp_path, **fields, tasks=tasks), progress=notes)
        assert any("no column names tasks" in note for note in notes.notes) is (tasks is None)


def test_the_command_line_finds_shows_and_mixes(source, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "110")
    one, vectors, work = source[0] / "*.jsonl", source[0] / "v.npy", tmp_path / "work"
    out = tmp_path / "mix"
    made = invoked(
        "run", one, "--vectors", vectors, "--tasks", "auto:clusters=4", "--rows", 50,
        "--out", out, "--run-dir", work, "--quiet",
    )  # fmt: skip
    assert made.exit_code == 0, made.output
    shown = invoked("tasks", "--run-dir", work, "--quiet")
    assert shown.exit_code == 0, shown.output
    names = json.loads((out / "manifest.json").read_text())["tasks"]
    for task in names:
        (line,) = [line for line in shown.output.splitlines() if line.startswith(task["task"])]
        assert f" {task['capacity']} " in line
    assert "4 tasks in" in shown.output
    two = invoked("tasks", "--run-dir", work, "--tasks", "auto:clusters=2", "--quiet")
    assert "2 tasks in" in two.output
    listed = invoked("strategies").output.splitlines()
    assert any(line.startswith("auto ") for line in listed)
    assert any(line.strip().startswith("clusters=none") for line in listed)
