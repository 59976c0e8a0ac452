"""A command from its arguments to its exit status: how progress is told, what ends it, and when."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys

import pytest
from rich.console import Console
from typer.testing import CliRunner

from conftest import REPOSITORY
from smartx import console, terminal
from smartx.cli import app
from smartx.console import application
from smartx.errors import MissingPackageError
from smartx.tellers import Bars, JsonLines, LogLines, Quiet

STATUSES = {
    0, terminal.FAILED, terminal.REFUSED, terminal.INTERRUPTED, terminal.KILLED,
    terminal.BROKEN_PIPE,
}  # fmt: skip


def smartx(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def events(said: str):
    return [json.loads(line) for line in said.splitlines()]


class Terminal(io.StringIO):
    """Text that calls itself a terminal."""

    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("shown", "kind"),
    [
        (Console(file=Terminal(), _environ={"TERM": "xterm"}), Bars),
        (Console(file=Terminal(), _environ={"TERM": "dumb"}), LogLines),
        (Console(file=io.StringIO(), _environ={}), LogLines),
        (Console(file=io.StringIO(), _environ={"FORCE_COLOR": "1", "TERM": "xterm"}), LogLines),
    ],
)
def test_a_live_view_is_drawn_on_terminals_only(monkeypatch, shown, kind):
    """Colours that are forced, as in many build systems, make no terminal of a log."""
    monkeypatch.setattr(console, "err", shown)
    assert type(console._teller("auto")) is kind


def test_progress_can_be_had_in_any_form():
    kinds = {"lines": LogLines, "json": JsonLines, "none": Quiet}
    assert {name: type(console._teller(name)) for name in kinds} == kinds
    refused = smartx("run", "absent.jsonl", "--progress", "bars")
    assert refused.exit_code == terminal.REFUSED
    assert "--progress: it must be one of auto, lines, json, none (given: 'bars')" in refused.stderr


def test_json_lines_are_all_that_is_on_standard_error(small_corpus, tmp_path):
    flags = ("--vectors", small_corpus.vectors, "--rows", 50, "--progress", "json")
    done = smartx("run", small_corpus.file, *flags, "--out", tmp_path / "mix")
    assert done.exit_code == 0, done.output
    told = events(done.stderr)
    stages = ["ingest", "embed", "rank", "mix"]
    assert [event["stages"] for event in told if event["event"] == "stages"] == [stages]
    assert [event["stage"] for event in told if event["event"] == "stage"] == stages
    finished = [event for event in told if event["event"] == "finish"]
    assert finished
    assert all(event["done"] == event["total"] for event in finished)
    assert told[-1]["event"] == "end"
    assert told[-1]["status"] == 0
    assert "50 rows in" in done.stdout


def test_json_lines_say_why_a_command_ends(small_corpus, tmp_path):
    done = smartx("run", small_corpus.file, "--rows", "abc", "--out", "m", "--progress", "json")
    error, end = events(done.stderr)
    assert done.exit_code == error["status"] == end["status"] == terminal.REFUSED
    assert "abc" in error["message"]
    assert "--rows" in error["place"] + error["message"]


def test_help_of_all_commands_is_the_same_without_their_options():
    whole, short = (
        CliRunner().invoke(application(whole=whole), ["--help"]).output for whole in (True, False)
    )
    assert short == whole
    assert "verify" in whole


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="limits are those of Linux")
def test_too_small_an_address_space_is_said_before_a_library_ends_the_process(tmp_path):
    code = (
        "import resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_AS, (400 << 20, 400 << 20))\n"
        "from smartx.__main__ import main; main()"
    )
    command = [sys.executable, "-c", code, "run", "x.jsonl", "--rows", "5", "--out", "mix"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.returncode == terminal.FAILED
    assert "limited to 400 MiB" in done.stderr
    assert "fix: raise it (`ulimit -v unlimited`)" in done.stderr
    shown = subprocess.run([*command[:3], "--help"], capture_output=True, text=True, timeout=60)
    assert shown.returncode == 0


def test_a_package_that_is_there_and_cannot_be_loaded_is_not_said_to_be_missing():
    for problem, words in (
        (ModuleNotFoundError("No module named 'torch'"), "is not installed"),
        (ImportError("lib.so: failed to map segment"), "cannot be loaded (lib.so: failed to map"),
    ):
        try:
            raise problem
        except ImportError:
            said = MissingPackageError("torch", needed_for="embedding", extra="e")
        assert words in said.fault
        assert said.fix.startswith('pip install "smartx-mix[e]"')


def test_help_and_version_load_nothing_heavy():
    """Else `smartx --help` takes twice as long."""
    code = (
        "import sys; from smartx.__main__ import main\n"
        "try: main()\n"
        "finally: print(sorted({'numpy', 'pyarrow', 'pydantic', 'yaml'} & set(sys.modules)))"
    )
    for argument in ("--help", "--version"):
        command = [sys.executable, "-c", code, argument]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        assert done.stdout.splitlines()[-1] == "[]"
        assert "smartx" in done.stdout


def test_every_exit_status_is_told_in_help_and_docs():
    help_ = CliRunner().invoke(application(whole=False), ["--help"]).output
    told = " ".join(help_.partition("Exit status")[2].split())
    assert {int(number) for number in re.findall(r"\b\d+\b", told)} == STATUSES
    text = (REPOSITORY / "docs" / "command_line.md").read_text()
    table = text.partition("## Exit statuses")[2]
    assert {int(number) for number in re.findall(r"^\| (\d+) \|", table, re.M)} == STATUSES
    known = {"stages", "stage", "start", "progress", "finish", "note", "warning", "error", "end"}
    rows = re.findall(r"^\| (`.*?) \|", text.partition("## JSON lines")[2], re.M)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == {*known, "event"}


@pytest.mark.parametrize(
    ("sent", "status"), [(signal.SIGINT, terminal.INTERRUPTED), (signal.SIGTERM, terminal.KILLED)]
)
def test_a_signal_ends_a_command_with_a_message(sent, status):
    code = (
        "import os, signal, sys, time; from smartx import cli, pipeline\n"
        "number = int(sys.argv.pop())\n"
        "def stop(config, progress): os.kill(os.getpid(), number); time.sleep(30)\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "pipeline.rank_step = stop; cli.main()"
    )
    command = [sys.executable, "-c", code, "rank", "--run-dir", "work", str(int(sent))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == status, done.stderr
    assert (
        done.stderr == "stopped; finished work is kept, and the same command goes on from there\n"
    )


def test_ctrl_c_before_anything_is_loaded_is_no_traceback():
    code = (
        "import sys\n"
        "class Stop:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'typer': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Stop())\n"
        "from smartx.__main__ import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (terminal.INTERRUPTED, "")


@pytest.mark.parametrize("flags", [["mix", "--rows", 5, "--out", "OUT"], ["rank"], ["embed"]])
def test_a_command_that_goes_on_says_which_run_folder_it_lacks(tmp_path, flags):
    """`mix` after a `run` to another folder looks for a run folder of its own."""
    asked = [tmp_path / "mix" if flag == "OUT" else flag for flag in flags]
    named = [] if "OUT" in flags else ["--run-dir", tmp_path / "mix.run"]
    done = smartx(*asked, *named)
    assert done.exit_code == terminal.FAILED
    assert f"{tmp_path / 'mix.run'}: there is no such run folder" in done.stderr
    assert "earlier run in --run-dir" in done.stderr
    assert not any(tmp_path.iterdir())
