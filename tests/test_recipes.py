"""The recipes of docs/architecture.md, followed to the letter: strategies of the user's own, from a
file, from a package, and in a copy of ours.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import smartx
from smartx.strategies import LAWS, facts_of

REPOSITORY = Path(__file__).parents[1]
PACKAGE = Path(smartx.__file__).parent
RECIPES = (REPOSITORY / "docs" / "architecture.md").read_text().partition("### A weight law")[2]
RECIPES = re.sub(r"<!--.*?-->\n", "", RECIPES)  # what people do not see
CODE = dict(re.findall(r"`(\w+\.py)`:\n\n```python\n(.*?)```", RECIPES, re.DOTALL))
YAML = re.search(r"```yaml\n(.*?)```", RECIPES, re.DOTALL)[1]
LINES = dict(
    re.findall(r"`strategies\.(\w+)`[^\n]*\n?[^\n]*:\n\n```python\n(.*?)```", RECIPES, re.S)
)


def python(path: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run Python where modules of a folder are found first."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(path), "COLUMNS": "200", "NO_COLOR": "1"},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=300,
    )


def smartx_command(path: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return python(path, "-c", "from smartx.cli import main; main()", *arguments)


@pytest.fixture
def files(small_corpus, tmp_path):
    """A folder with the recipes' files and a configuration that names them."""
    for name, code in CODE.items():
        (tmp_path / name).write_text(code)
    (tmp_path / "mix.yaml").write_text(
        f"sources: {small_corpus.file}\nvectors: {small_corpus.vectors}\nrows: 150\nout: mix\n"
        f"threads: 1\nranker: central:code=central.py\n{YAML}"
    )
    return tmp_path


def test_strategies_in_the_users_own_files_make_a_mixture(files):
    done = smartx_command(files / "elsewhere", "run", "--config", files / "mix.yaml")
    assert done.returncode == 0, done.stderr
    manifest = json.loads((files / "mix" / "manifest.json").read_bytes())
    assert manifest["rows"] == 150
    assert manifest["weights"].items() >= {"name": "logarithm", "scale": 100.0}.items()
    assert manifest["ranker"]["name"] == "central"
    for part in ("weights", "ranker"):
        assert re.fullmatch("[0-9a-f]{16}", manifest[part]["code"])


def test_an_edited_ranker_is_not_taken_for_the_old_one(files):
    smartx.run(files / "mix.yaml")
    (files / "central.py").write_text(CODE["central.py"].replace("-near, kind", "near, kind"))
    with pytest.raises(smartx.SmartxError, match="differs in: ranker"):
        smartx.run(files / "mix.yaml")
    (files / "mix.yaml").write_text((files / "mix.yaml").read_text() + "overwrite: true\n")
    smartx.run(files / "mix.yaml")
    assert len(smartx.open_run(files / "mix.run").rankings()) == 2


def test_a_package_makes_strategies_known_by_name(files, small_corpus):
    installed = files / "mine-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    laws, rankers = "logarithm = mine:Logarithm", "central = central:CentralRanker"
    points = f"[smartx.laws]\n{laws}\n[smartx.rankers]\n{rankers}\n"
    (installed / "entry_points.txt").write_text(points)
    done = smartx_command(
        files, "run", small_corpus.file, "--vectors", small_corpus.vectors, "--rows", 9,
        "--weights", "logarithm:scale=3", "--ranker", "central", "--out", files / "other",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    wrong = smartx_command(files, "rank", "--run-dir", files / "other.run", "--ranker", "centrall")
    assert wrong.returncode == 2
    assert "did you mean central?" in wrong.stderr


@pytest.mark.parametrize(("file", "name"), [("mine.py", "logarithm"), ("central.py", "central")])
def test_what_goes_wrong_in_it_names_the_strategy_and_its_file(files, file, name):
    code = (files / file).read_text().replace("np.log1p(", "np.none(").replace("near[", "none[")
    (files / file).write_text(code)
    done = smartx_command(files, "run", "--config", files / "mix.yaml")
    assert done.returncode == 2
    assert f"{name} failed (" in done.stderr
    assert file in done.stderr
    assert "Traceback" not in done.stderr


def test_an_edit_that_time_and_size_do_not_tell_is_seen(files):
    """Python's own loader would run the old code from its cache."""
    file = files / "mine.py"
    seen = []
    for scale in (1, 2):
        file.write_text(CODE["mine.py"].replace("= 1.0\n", f"= {scale}.0\n"))
        os.utime(file, (0, 0))
        seen.append(facts_of(LAWS.made({"name": "logarithm", "code": file})))
    assert [facts["scale"] for facts in seen] == [1.0, 2.0]
    assert seen[0]["code"] != seen[1]["code"]
    assert not (files / "__pycache__").exists()


def test_what_is_wrong_with_a_file_is_told(files):
    (files / "broken.py").write_text("1 / 0")
    unknown = CODE["central.py"].replace("    name:", "    x: Unknown = 3\n    name:")
    (files / "unknown.py").write_text("from __future__ import annotations\n" + unknown)
    for ranker, words in {
        "central:code=absent.py": "absent.py cannot be read (No such file",
        "central:code=mine.py": 'mine.py has no ranker "central"',
        "central:code=broken.py": "cannot be loaded (ZeroDivisionError",
        "central:code=unknown.py": "(NameError: name 'Unknown'",
        "central:code=mix.yaml": "cannot be loaded (SyntaxError",
        "central:code=central.py,x=3": "x: central has no such parameter",
    }.items():
        text = (files / "mix.yaml").read_text().replace("central:code=central.py", ranker)
        (files / "wrong.yaml").write_text(text)
        with pytest.raises(smartx.SmartxError, match="ranker") as caught:
            smartx.run(files / "wrong.yaml")
        assert words in str(caught.value)
    assert not (files / "mix").exists()


@pytest.mark.slow
def test_the_contract_tests_run_over_those_that_became_ours(tmp_path):
    copy = tmp_path / "smartx"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "weights" / "logarithm.py").write_text(
        CODE["mine.py"].replace("smartx.weights import", "smartx.weights.law import")
    )
    (copy / "rankers" / "central.py").write_text(
        CODE["central.py"].replace("smartx.rankers import", "smartx.rankers.ranker import")
    )
    text = (copy / "strategies.py").read_text()
    for member, line in (
        ("smartx.weights:WeightLaw", LINES["LAWS"]),
        ("smartx.rankers:Ranker", LINES["RANKERS"]),
    ):
        begin = f'    "{member}",\n    {{\n'
        assert text.count(begin) == 1
        text = text.replace(begin, begin + line)
    (copy / "strategies.py").write_text(text)
    chosen = ["tests/weights", "tests/rankers", "tests/test_plan.py", "-k", "logarithm or central"]
    done = python(tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", *chosen)
    assert done.returncode == 0, done.stdout
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 10
