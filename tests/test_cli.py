"""The command line as a person meets it: exit status, messages, help, Ctrl-C."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import smartx as package
from conftest import REPOSITORY
from screen import in_terminal
from smartx import _core
from smartx.cli import app
from smartx.config import RunConfig
from smartx.console import COMMANDS
from smartx.flags import PANELS
from smartx.options import spellings
from smartx.strategies import LAWS, RANKERS, TASK_FUNCTIONS

PYTHON = [sys.executable, "-c", "from smartx.cli import main; main()"]


def smartx(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_run_tells_what_it_did_and_where_the_result_is(small_corpus, tmp_path):
    done = smartx(
        "run", small_corpus.file, "--vectors", small_corpus.vectors,
        "--rows", 100, "--out", tmp_path / "mix",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert pq.read_table(tmp_path / "mix" / "data").num_rows == 100
    assert "100 rows in" in done.output
    assert "task-0" in done.output
    assert "column task_name" in done.output  # the guessed column is printed
    assert "2 rows dropped, empty response" in done.output
    assert (tmp_path / "mix.run" / "corpus").is_dir()


def test_tasks_of_one_name_are_told_apart_by_their_sources(tmp_path):
    rows = [("A", "math"), ("B", "math"), ("B", "art")]
    (tmp_path / "rows.jsonl").write_text(
        "".join(
            f'{{"prompt": "p", "response": "r", "source": "{source}", "task": "{task}"}}\n'
            for source, task in rows
        )
    )
    places = [tmp_path / "rows.jsonl", "--out", tmp_path / "mix"]
    done = smartx("run", *places, "--rows", 3, "--preset", "random")
    lines = done.output.partition("share")[2].splitlines()[1:4]
    assert sorted(line.rsplit(maxsplit=3)[0] for line in lines) == ["A / math", "B / math", "art"]


@pytest.mark.slow
@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (50, 12), (160, 60)])
def test_on_a_terminal_the_whole_outcome_stands_below_the_notes(
    small_corpus, tmp_path, columns, rows
):
    fields = [
        small_corpus.file, "--vectors", small_corpus.vectors,
        "--rows", 100, "--out", tmp_path / "mix", "--run-dir", tmp_path / "work",
    ]  # fmt: skip
    status, text = in_terminal(["run", *fields], columns, rows)
    assert status == 0, text
    together = "".join(text.split())  # however it was broken
    places = [
        together.index(words)
        for words in (
            "corpus:398rows",
            "write:100rows",
            "taskrowsof",
            "effectiveof7tasks",
            "look:",
            "load:",
        )
    ]
    assert places == sorted(places)
    assert text.count("%") == 7 + 2  # a line a task, the largest share, and what is elsewhere
    status, text = in_terminal(["plan", *fields], columns, rows)
    assert status == 0, text
    for words in ("398 rows, 7 tasks", "largest groups", "stage", "embed", "rank", "mix", "may be"):
        assert text.count(words), words


@pytest.mark.encoder
def test_run_says_before_it_embeds_by_what_at_what_rate_and_how_long(small_corpus, tmp_path):
    fields = [small_corpus.file, "--encoder", "all-MiniLM-L6-v2", "--run-dir", tmp_path / "work"]
    fields += ["--rows", 20, "--out", tmp_path / "mix"]
    done = smartx("run", *fields)
    assert done.exit_code == 0, done.output
    said = re.search(r"plan: embed about \S+ s \(all-MiniLM-L6-v2, ([\d,]+) rows/s\)", done.output)
    assert said
    assert int(said[1].replace(",", "")) > 0
    assert said.start() < done.output.index("embed: 398 rows in")
    planned = smartx("plan", *fields[:-2], "--out", tmp_path / "mix2").output
    assert "embed: all-MiniLM-L6-v2" in planned
    assert re.search(r"embed +done", planned)


def test_plan_names_an_encoder_that_is_not_here(small_corpus, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    done = smartx("plan", small_corpus.file, "--run-dir", tmp_path, "--encoder", "no/such")
    assert done.exit_code == 0, done.output
    assert "embed: no/such, which is not here yet" in done.output
    assert re.search(r"embed +not timed", done.output)


def test_each_stage_alone_gives_what_run_gives(small_corpus, tmp_path):
    work = ("--run-dir", tmp_path / "work")
    for stage in (
        ("ingest", small_corpus.file, *work),
        ("embed", "--vectors", small_corpus.vectors, *work),
        ("rank", *work),
        ("mix", "--rows", 90, "--out", tmp_path / "a", *work),
    ):
        done = smartx(*stage)
        assert done.exit_code == 0, done.output
    said = f"corpus: 398 rows of {small_corpus.file.name}, 7 tasks (the last one read)"
    assert said in " ".join(done.output.split())
    smartx(
        "run",
        small_corpus.file,
        "--vectors",
        small_corpus.vectors,
        "--rows",
        90,
        "--out",
        tmp_path / "b",
    )
    assert pq.read_table(tmp_path / "a" / "data").equals(pq.read_table(tmp_path / "b" / "data"))


RUN = ["run", "{file}", "--out", "{out}"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run"], ["SOURCES", "fix:"]),
        (["run", "absent.jsonl", "--rows", "5", "--out", "{out}"], ["absent.jsonl", "fix:"]),
        ([*RUN, "--rows", "0"], ["--rows", "at least 1"]),
        ([*RUN, "--rows", "many"], ["--rows", "many"]),
        ([*RUN, "--rows", "5", "--preset", "smrt"], ["--preset", "smart-acl2024"]),
        ([*RUN, "--rows", "9999", "--preset", "equal"], ["398", "9,999", "fix:"]),
        ([*RUN, "--rows", "5", "--weights", "equal:num_tasks=2"], ["--weights: num_tasks", "fix:"]),
        ([*RUN, "--rows", "5", "--vectors", "{file}"], ["rows.jsonl", "npy"]),
        (["rank", "--run-dir", "{out}"], ["smartx ingest", "fix:"]),
        (["run", "--config", "{file}"], ["rows.jsonl"]),
        (["fit", "{out}", "--metrics", "{file}", "--level", "3"], ["--level: it must be"]),
    ],
)
def test_a_fault_of_the_user_ends_with_status_2_or_1_a_place_and_no_traceback(
    small_corpus, tmp_path, arguments, words
):
    names = {"file": str(small_corpus.file), "out": str(tmp_path / "out")}
    done = smartx(*(argument.format(**names) for argument in arguments))
    assert done.exit_code == (1 if arguments[0] == "rank" else 2)
    assert "Traceback" not in done.output
    for word in words:
        assert word in done.output


def test_a_yaml_file_holds_flags_and_flags_win_over_it(small_corpus, tmp_path):
    (tmp_path / "mix.yaml").write_text(
        json.dumps(
            {
                "sources": [str(small_corpus.file)],
                "preset": "random",
                "rows": 10,
                "out": str(tmp_path / "mix"),
            }
        )
    )
    assert smartx("run", "--config", tmp_path / "mix.yaml", "--rows", 20).exit_code == 0
    manifest = json.loads((tmp_path / "mix" / "manifest.json").read_bytes())
    assert (manifest["rows"], manifest["preset"]) == (20, "random")


def test_an_unknown_field_of_a_yaml_file_is_named_with_the_known_ones(tmp_path):
    (tmp_path / "mix.yaml").write_text("rowz: 5\n")
    done = smartx("run", "--config", tmp_path / "mix.yaml")
    assert done.exit_code == 2
    assert "mix.yaml: rowz" in done.output
    assert "rows" in done.output


def test_every_field_of_the_configuration_is_a_flag_of_run():
    shown = CliRunner().invoke(app, ["run", "--help"], env={"COLUMNS": "200"}).output
    for name in RunConfig.model_fields:
        assert name == "sources" or f"--{name.replace('_', '-')}" in shown
    assert {name for fields in PANELS.values() for name in fields} | {"sources"} == set(
        RunConfig.model_fields
    )


@pytest.mark.parametrize("command", [one.name for one in COMMANDS])
def test_help_of_every_command_teaches_with_an_example(command):
    shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).output
    assert re.search(rf"smartx {command}\b", shown.partition("xample")[2])


def test_version_is_that_of_the_package_and_of_the_build():
    version = package.__version__
    assert CliRunner().invoke(app, ["--version"]).output.strip() == f"smartx {version}"
    assert f'\nversion = "{version}"\n' in (REPOSITORY / "pyproject.toml").read_text()
    assert _core.__version__ == version


def test_quiet_says_only_the_outcome(small_corpus, tmp_path):
    done = smartx("ingest", small_corpus.file, "--run-dir", tmp_path, "--quiet")
    (folder,) = (tmp_path / "corpus").iterdir()
    assert done.output.strip().splitlines() == [f"398 rows in {folder}"]


def test_every_command_writes_out_what_a_terminal_would_obey(tmp_path):
    name = "a\x1b[31mb\u200fc"
    line = {"prompt": "p", "response": "r", "task": name, "source": name}
    rows = tmp_path / f"{name}.jsonl"
    rows.write_text(json.dumps(line) + "\n" + json.dumps({**line, "prompt": "q"}) + "\n")
    out = tmp_path / f"mix{name}"
    fields = [rows, "--preset", "random", "--rows", "1", "--out", out]
    said = [smartx("plan", *fields), smartx("run", *fields)]
    (out / f"x{name}").touch()
    said += [smartx("verify", out), smartx("run", tmp_path / name, "--rows", "1", "--out", out)]
    assert [done.exit_code for done in said] == [0, 0, 1, 2]
    for done in said:
        assert r"a\x1b[31mb\u200fc" in done.output
        assert not {"\x1b", "\u200f"} & set(done.output)


@pytest.mark.slow
def test_ctrl_c_ends_a_long_ranking_at_once_and_the_same_command_goes_on(tmp_path):
    """One group of 60,000 rows takes far longer than the test waits before it interrupts."""
    import numpy as np

    rows = 60_000
    with (tmp_path / "rows.jsonl").open("w") as file:
        file.writelines(
            json.dumps({"prompt": f"p{i}", "response": "r"}) + "\n" for i in range(rows)
        )
    np.save(tmp_path / "v.npy", np.random.default_rng(0).normal(size=(rows, 64)).astype(np.float32))
    command = [
        *PYTHON, "run", str(tmp_path / "rows.jsonl"), "--task", "one", "--rows", "10",
        "--vectors", str(tmp_path / "v.npy"), "--out", str(tmp_path / "mix"), "--ranker", "log-det",
    ]  # fmt: skip
    heeds = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    first = [command[0], "-c", heeds + command[2], *command[3:]]  # a background shell ignores it
    running = subprocess.Popen(first, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    rankings = tmp_path / "mix.run" / "rankings"
    deadline = time.monotonic() + 60
    while not rankings.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert rankings.exists()
    time.sleep(0.3)
    assert running.poll() is None, running.communicate()
    running.send_signal(signal.SIGINT)
    sent = time.monotonic()
    _, said = running.communicate(timeout=30)
    assert running.returncode == 130
    assert time.monotonic() - sent < 3  # half a second asked, with room for a busy machine
    assert "stopped" in said
    assert "Traceback" not in said
    again = subprocess.run(
        [*command[:-1], "random"], capture_output=True, text=True, timeout=120, check=False
    )
    assert again.returncode == 0, again.stderr
    assert "used again" in again.stderr


def test_every_strategy_is_listed_with_its_parameters_and_their_defaults():
    done = smartx("strategies")
    assert done.exit_code == 0
    for table in (LAWS, RANKERS, TASK_FUNCTIONS):
        for name in table.names():
            assert re.search(rf"^{name} +\S", done.output, re.MULTILINE), name
            for parameter, takes in spellings(table.find(name)).items():
                assert re.search(rf"{re.escape(parameter)} +{re.escape(takes)}", done.output)
    for words in ("function=facility-location", "num_tasks=none", "parts=...", "ridge=1.0"):
        assert words in done.output
