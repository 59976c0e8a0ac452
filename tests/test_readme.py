"""What the README names exists: commands, flags, targets, presets. tests/docs runs its blocks."""

import re
import shlex

from typer.testing import CliRunner

from conftest import REPOSITORY
from smartx.cli import app
from smartx.config import PRESETS
from smartx.console import COMMANDS

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_every_make_target_it_names_exists():
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"\bmake ([a-z]+)\b", "\n".join(blocks("sh")))):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)


def test_every_command_and_flag_it_names_exists():
    names = "|".join(one.name for one in COMMANDS)
    commands = re.findall(rf"\bsmartx ({names})\b([^`\n]*)", README)
    assert len(commands) >= 4
    for command, rest in commands:
        shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "300"}).output
        for flag in (word for word in shlex.split(rest) if word.startswith("--")):
            assert flag in shown, f"smartx {command} {flag}"


def test_every_preset_is_explained():
    for preset in PRESETS:
        assert f"| `{preset}`" in README
