"""The recipes of docs/architecture.md, followed to the letter in a copy of the package."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import smartx

REPOSITORY = Path(__file__).parents[1]
PACKAGE = Path(smartx.__file__).parent
MAP = REPOSITORY / "docs" / "architecture.md"
CODE = r"[^\n]*:\n\n```python\n(.*?)```"
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs Python with a package that somebody has extended."""
    folder = tmp_path_factory.mktemp("recipes")
    copy = folder / "smartx"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    recipes = MAP.read_text().partition("### A weight law")[2]
    for path, code in re.findall(r"`(\w+/\w+\.py)`:\n\n```python\n(.*?)```", recipes, re.DOTALL):
        if path.startswith(("weights/", "rankers/")):
            (copy / path).write_text(code)
    for table in ("LAWS", "RANKERS"):
        (line,) = re.findall(rf"`strategies\.{table}`{CODE}", recipes, re.DOTALL)
        put(copy / "strategies.py", f"{table} = {{\n", line)
    (field,) = re.findall(rf"`config\.RunConfig`{CODE}", recipes, re.DOTALL)
    put(copy / "config.py", "    # Which strategy\n", field)
    (place,) = re.findall(rf"`flags\.PANELS`{CODE}", recipes, re.DOTALL)
    put(copy / "flags.py", '"Which strategy": (\n', place)

    def python(*arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "200", "NO_COLOR": "1"},
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=300,
        )

    assert python("-c", "import smartx; print(smartx.__file__)").stdout.startswith(str(folder))
    return python


def put(path: Path, after: str, line: str) -> None:
    text = path.read_text()
    assert text.count(after) == 1, after
    path.write_text(text.replace(after, after + line))


def smartx_command(run: Run, *arguments: object) -> subprocess.CompletedProcess[str]:
    return run("-c", "from smartx.cli import main; main()", *arguments)


def test_a_new_law_and_a_new_ranker_make_a_mixture(run, small_corpus, tmp_path):
    done = smartx_command(
        run, "run", small_corpus.file, "--vectors", small_corpus.vectors, "--rows", 150,
        "--weights", "power", "--exponent", 0.25, "--ranker", "central",
        "--out", tmp_path / "mix", "--threads", 1,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    manifest = json.loads((tmp_path / "mix" / "manifest.json").read_bytes())
    assert manifest["weights"] == {"name": "power", "exponent": 0.25}
    assert manifest["ranker"] == {"name": "central"}
    assert manifest["rows"] == 150
    assert "rank" in done.stderr + done.stdout


def test_they_stand_in_the_help_the_plan_and_the_errors(run, small_corpus, tmp_path):
    shown = smartx_command(run, "run", "--help").stdout
    assert "--exponent" in shown
    assert re.search(r"taylor-softmax.*power|power.*taylor-softmax", " ".join(shown.split()))
    plan = smartx_command(
        run, "plan", small_corpus.file, "--vectors", small_corpus.vectors, "--rows", 10,
        "--ranker", "central", "--out", tmp_path / "mix",
    )  # fmt: skip
    assert plan.returncode == 0, plan.stderr
    assert "mean" in plan.stdout
    wrong = smartx_command(run, "rank", "--run-dir", tmp_path / "mix.run", "--ranker", "centrall")
    assert wrong.returncode == 2
    assert "central" in wrong.stderr


def test_a_ranker_is_no_order_of_tasks(run, small_corpus, tmp_path):
    done = smartx_command(
        run, "run", small_corpus.file, "--vectors", small_corpus.vectors, "--rows", 10,
        "--task-function", "central", "--out", tmp_path / "mix",
    )  # fmt: skip
    assert done.returncode == 2
    assert "task" in done.stderr
    assert not (tmp_path / "mix").exists()


@pytest.mark.slow
def test_the_contract_tests_run_over_them(run):
    chosen = ["tests/weights", "tests/rankers", "tests/test_plan.py", "-k", "power or central"]
    done = run("-m", "pytest", "-q", "-p", "no:cacheprovider", *chosen)
    assert done.returncode == 0, done.stdout
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 10
