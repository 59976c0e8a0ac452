"""What docs/exports.md says is true: its commands and its Python run, its table is complete."""

from __future__ import annotations

import re

import pytest
from typer.testing import CliRunner

from conftest import REPOSITORY
from made_mixtures import CHATS, PAIRS, mixture_of
from smartx import cli
from smartx.exports import FORMATS
from smartx.exports.map import MAP

PAGE = (REPOSITORY / "docs" / "exports.md").read_text(encoding="utf-8")


@pytest.fixture
def here(tmp_path, monkeypatch):
    mixture_of([*CHATS, *PAIRS], tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


def test_its_commands_run(here):
    lines = [
        line.partition("#")[0].split() for block in blocks("sh") for line in block.splitlines()
    ]
    assert len(lines) == 3
    for line in lines:
        assert line[:2] == ["smartx", "export"]
        done = CliRunner().invoke(cli.app, line[1:])
        assert done.exit_code == 0, done.output


def test_its_python_runs(here, capsys):
    (code,) = blocks("python")
    exec(code, {})
    assert "'validation': 1" in capsys.readouterr().out
    assert (here / "mix-python" / "validation.jsonl").is_file()


def test_its_table_has_every_format_once():
    named = re.findall(r"^\| `([a-z-]+)` \|", PAGE, flags=re.MULTILINE)
    assert sorted(named) == sorted([*FORMATS, MAP])


def test_every_flag_it_names_exists():
    shown = CliRunner().invoke(cli.app, ["export", "--help"], env={"COLUMNS": "300"}).output
    for flag in set(re.findall(r"`(--[a-z-]+)", PAGE)):
        assert flag in shown
