"""The table of docs/exports.md is complete, its flags exist. tests/docs runs its blocks."""

from __future__ import annotations

import re

from typer.testing import CliRunner

from conftest import REPOSITORY
from smartx import cli
from smartx.exports import FORMATS
from smartx.exports.map import MAP

PAGE = (REPOSITORY / "docs" / "exports.md").read_text(encoding="utf-8")


def test_its_table_has_every_format_once():
    named = re.findall(r"^\| `([a-z-]+)` \|", PAGE, flags=re.MULTILINE)
    assert sorted(named) == sorted([*FORMATS, MAP])


def test_every_flag_it_names_exists():
    shown = CliRunner().invoke(cli.app, ["export", "--help"], env={"COLUMNS": "300"}).output
    for flag in set(re.findall(r"`(--[a-z-]+)", PAGE)):
        assert flag in shown
