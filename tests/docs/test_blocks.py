"""Every code block of README.md and docs/ runs, or says why not.

page_blocks says how a block is marked, page_corpora what lies in a page's folder. One page:
pytest tests/docs -k start; how many blocks there are: python tests/page_blocks.py.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from conftest import REPOSITORY
from page_blocks import Block, blocks_of, pages
from page_stand_ins import install_stand_ins, missing

NAMES = [path.relative_to(REPOSITORY).as_posix() for path in pages()]
RUN = ("run", "looked up", "hidden", "file")
OPTIONAL = (
    "datasets", "pandas", "polars", "sklearn", "torch", "trl", "tokenizers", "matplotlib",
    "transformers", "accelerate",
)  # fmt: skip


def with_code(name: str) -> bool:
    try:
        return any(block.kind in RUN for block in blocks_of(REPOSITORY / name))
    except ValueError:  # its test says what is wrong
        return True


@pytest.fixture(scope="session")
def corpora(tmp_path_factory) -> Path:
    """The folder that every page gets a copy of."""
    pytest.importorskip("tokenizers", reason="the stand-in encoders need tokenizers")
    pytest.importorskip("safetensors", reason="the stand-in encoders need safetensors")
    from page_corpora import write_corpora

    folder = tmp_path_factory.mktemp("corpora")
    write_corpora(folder)
    return folder


@pytest.fixture
def here(corpora, tmp_path, monkeypatch) -> Path:
    """A page's own folder, which is the working one; commands are found, the hub is not."""
    folder = tmp_path / "page"
    shutil.copytree(corpora, folder)
    (tmp_path / "bin").mkdir()
    install_stand_ins(tmp_path / "bin")
    monkeypatch.chdir(folder)
    for name, value in {
        "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(tmp_path / "hub"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "COLUMNS": "120",
    }.items():
        monkeypatch.setenv(name, value)
    return folder


def run_block(block: Block, folder: Path, names: dict[str, object]) -> None:
    if block.kind == "file":
        path = folder / block.note
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.source, encoding="utf-8")
    elif block.language == "python":
        place = "\n" * (block.line - 1)  # so that a traceback says the page's line
        exec(compile(place + block.source, block.page, "exec"), names)
    else:
        assert block.language == "sh", block
        command = ["bash", "-euo", "pipefail", "-c", block.source]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        told = f"{block}: exit status {done.returncode}\n{block.source}\n{done.stderr[-3000:]}"
        assert done.returncode == 0, told


@pytest.mark.processes
@pytest.mark.parametrize("name", [name for name in NAMES if with_code(name)])
def test_the_blocks_of_the_page_run(name, here):
    names: dict[str, object] = {"__name__": "__main__"}
    for block in blocks_of(REPOSITORY / name):
        if block.kind in RUN:
            try:
                run_block(block, here, names)
            except ModuleNotFoundError as problem:
                if problem.name not in OPTIONAL:
                    raise
                pytest.skip(f"{block} needs {problem.name}")


@pytest.mark.parametrize("name", NAMES)
def test_blocks_that_a_test_of_their_own_runs_have_one(name):
    for block in blocks_of(REPOSITORY / name):
        if block.kind == "elsewhere":
            test = (REPOSITORY / block.note).read_text(encoding="utf-8")
            assert Path(name).name in test, f"{block}: {block.note} does not name the page"


def page_of(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "page.md"
    path.write_text(text, encoding="utf-8")
    return path


def test_comments_say_what_becomes_of_a_block(tmp_path):
    page = page_of(
        tmp_path,
        "# A\n\n<!-- invisible-code-block: python\na = 1\n-->\n\n```python\nassert a == 1\n```\n\n"
        '<!-- with: "50" for "5000", "3" for "-50" -->\n```sh\n'
        "test 5000-50 = 503\n```\n\n<!-- file: a/b.yaml -->\n"
        '```yaml\nx: 1\n```\n\n<!-- skip: next "no GPU" -->\n```sh\nfalse\n```\n\n'
        "```\nshown\n```\n\n```sh\nmake coffee\n```\n",
    )
    found = blocks_of(page, "page.md")
    kinds = [(block.kind, block.language, block.note) for block in found]
    assert kinds == [
        ("hidden", "python", ""),
        ("run", "python", ""),
        ("run", "sh", ""),
        ("file", "yaml", "a/b.yaml"),
        ("skipped", "sh", "no GPU"),
        ("shown", "", ""),
        ("looked up", "sh", ""),
    ]
    assert [block.line for block in found] == [4, 8, 13, 18, 23, 27, 31]
    names: dict[str, object] = {}
    for block in found[:4]:
        run_block(block, tmp_path, names)
    assert names["a"] == 1
    assert (tmp_path / "a" / "b.yaml").read_text() == "x: 1\n"
    with pytest.raises(AssertionError, match=r"page.md:23: exit status 1"):
        run_block(found[4], tmp_path, names)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("```yaml\na: 1\n```\n", "a block of yaml"),
        ("<!-- skip: next -->\n```sh\nfalse\n```\n", "skip: next"),
        ('<!-- skip: next "why" -->\n\nwords\n', "has no block behind it"),
        ('<!-- with: "1" for "2" -->\n```sh\necho 3\n```\n', "no '2' to replace"),
    ],
)
def test_a_block_without_a_reason_is_no_page(tmp_path, text, words):
    with pytest.raises(ValueError, match=words):
        blocks_of(page_of(tmp_path, text), "page.md")


def test_extras_and_targets_that_do_not_exist_are_seen():
    assert missing("pip", ["install", "smartx-mix[embed]", "numpy"]) is None
    assert missing("pip", ["install", "-q", "smartx-mix[learn,hub]"]) is None
    assert missing("pip", ["install", "smartx-mix[gpus]"]) == "no extra gpus"
    assert missing("pip", ["install", "smartx[embed]"]) is not None
    assert missing("make", ["demo"]) is None
    assert missing("make", ["coffee"]) == "no target coffee"
