"""What --help says: complete, with defaults, and readable at any width."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from typer.testing import CliRunner

from smartx import cli, console
from smartx.cli import app
from smartx.config import DEFAULT_ENCODER, PRESETS, SIZES, RunConfig
from smartx.embed import default_encoder
from smartx.progress import size
from smartx.strategies import LAWS, RANKERS

COMMANDS = [one.name for one in console.COMMANDS]


def help_of(*command: str, columns: int = 200) -> str:
    done = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": str(columns)})
    assert done.exit_code == 0
    return done.output


def told(flag: str) -> str:
    """What `smartx run --help` says of a flag, on one line."""
    lines = help_of("run", columns=120).splitlines()
    start = next(place for place, line in enumerate(lines) if re.match(rf"│ {flag} ", line))
    text = [lines[start]]
    for line in lines[start + 1 :]:
        if re.match(r"│ --|╰", line):
            break
        text.append(line)
    return " ".join(" ".join(line.strip("│ ") for line in text).split())


@pytest.mark.parametrize("name", [n for n in RunConfig.model_fields if n != "sources"])
def test_every_flag_says_its_default_or_what_happens_without_it(name):
    default = RunConfig.model_fields[name].default
    shown = told("--" + name.replace("_", "-"))
    if isinstance(default, int | float | str) and not isinstance(default, bool) and default != "":
        words = size(default) if name in SIZES else str(default)
        assert shown.endswith(f"(default: {words})")
    assert "`" not in shown  # fields are named as flags


def test_what_is_chosen_where_nothing_is_said_is_said():
    assert default_encoder() == DEFAULT_ENCODER
    assert f"(default: {DEFAULT_ENCODER})" in told("--encoder")
    for flag, words in (
        ("--run-dir", "OUT.run"), ("--memory", "3/4"),
        ("--threads", "all"), ("--batch-size", "as many as"), ("--max-length", "the encoder's"),
        ("--seed", "0"), ("--near-duplicates", "keep them"),
    ):  # fmt: skip
        assert re.search(rf"\(default: {words}", told(flag)), flag


def test_the_names_that_can_be_given_are_listed():
    for flag, names in (
        ("--preset", PRESETS), ("--weights", LAWS.ours), ("--ranker", RANKERS.ours),
    ):  # fmt: skip
        assert f"(one of: {', '.join(names)})" in told(flag)


@pytest.mark.parametrize("command", COMMANDS)
def test_no_sentence_is_broken_before_the_edge(command):
    """A line of a paragraph goes on until the next word does not fit."""
    lines = [line.strip() for line in help_of(command, columns=80).splitlines()]
    text = lines[lines.index(next(x for x in lines if x.startswith("Usage"))) + 1 :]
    text = text[: next(place for place, line in enumerate(text) if line.startswith("╭"))]
    for line, after in pairwise(text):
        if line and after:
            assert len(line) + 1 + len(after.split()[0]) > 76, (line, after)


@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_is_cut_on_a_narrow_terminal(command):
    assert "…" not in help_of(command, columns=80)


def test_commands_stand_under_what_they_are_used_for_in_the_order_of_the_steps():
    lines = help_of().splitlines()
    listed = [words[1] for line in lines if (words := line.split())[1:] and words[1] in COMMANDS]
    assert listed == COMMANDS
    headings = [line.split("─")[1].strip() for line in lines if line.startswith("╭")]
    assert headings[1:] == list(dict.fromkeys(one.use for one in console.COMMANDS))
    steps = [one.name for one in console.COMMANDS if one.use == cli.STEPS]
    assert steps == ["ingest", "clean", "embed", "tasks", "rank", "mix"]


def test_markup_eats_no_extra():
    assert 'pip install "smartx-mix[demo]"' in help_of("demo")


def test_completion_can_be_installed():
    assert "--install-completion" in help_of()
