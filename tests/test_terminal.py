"""The outcome in every locale, on streams that are full, closed or broken: the mixture stands."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from screen import SMARTX, in_terminal

pytestmark = pytest.mark.processes

C_LOCALE = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Ten rows of a task whose name not every encoding has."""
    file = tmp_path / "rows.jsonl"
    line = '{"prompt": "p%d", "response": "r", "task": "Grüße 日本"}\n'
    file.write_text("".join(line % n for n in range(10)), encoding="utf-8")
    return file


def shell(rows: Path, out: Path, behind: str, before: str = "", **environment: str):
    """`smartx run` in a shell, with something before and behind it."""
    arguments = ["run", str(rows), "--preset", "random", "--rows", "5", "--out", str(out)]
    command = shlex.join([sys.executable, "-c", SMARTX, *arguments])
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{before} {command} {behind}"],
        capture_output=True, timeout=120, check=False, env={**os.environ, **environment},
    )  # fmt: skip


def stands(out: Path) -> bool:
    return pq.read_table(out / "data").num_rows == 5


@pytest.mark.parametrize(
    ("environment", "shown"),
    [
        ({"PYTHONIOENCODING": "utf-8"}, "Grüße 日本"),
        ({"PYTHONIOENCODING": "ascii"}, r"Gr\xfc\xdfe \u65e5\u672c"),
        ({"PYTHONIOENCODING": "cp1252"}, r"Grüße \u65e5\u672c"),
        (C_LOCALE, r"Gr\xfc\xdfe \u65e5\u672c"),
    ],
)
def test_any_locale_shows_the_outcome(rows, tmp_path, environment, shown):
    done = shell(rows, tmp_path / "mix", "", **environment)
    assert done.returncode == 0, done.stderr
    encoding = environment.get("PYTHONIOENCODING", "ascii")
    assert shown in done.stdout.decode(encoding)
    assert b"load:" in done.stdout
    assert stands(tmp_path / "mix")


def test_paths_beyond_ascii_work_in_the_c_locale(rows, tmp_path):
    folder = tmp_path / "données"
    folder.mkdir()
    file = rows.rename(folder / "zeilen-ä.jsonl")
    done = shell(file, folder / "mélange", "", **C_LOCALE)
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    assert stands(folder / "mélange")


def test_a_path_that_is_no_text_is_one_error_at_the_start(rows, tmp_path):
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/m\xff")
    done = shell(rows, Path(odd), "")
    assert done.returncode == 2
    assert done.stderr.startswith(b"--out: the path")
    assert rb"m\udcff is not UTF-8" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]


@pytest.mark.parametrize(
    ("behind", "status", "said"),
    [
        (">/dev/full", 1, b"not all could be printed (No space left on device)"),
        ("| head -0", 141, b""),
        ("2>/dev/full", 0, b""),
        ("2> >(head -0)", 0, b""),
        (">&-", 0, b""),
        ("2>&-", 0, b""),
        (">&- 2>&- <&-", 0, b""),
        (">/dev/full 2>&1", 1, b""),
        ("--quiet >/dev/full", 1, b"not all could be printed"),
    ],
)
def test_a_mixture_stands_whatever_happens_to_the_streams(rows, tmp_path, behind, status, said):
    done = shell(rows, tmp_path / "mix", behind)
    assert done.returncode == status, done.stderr
    assert b"Traceback" not in done.stderr + done.stdout
    assert b"Exception" not in done.stderr
    assert said in done.stderr
    assert done.stderr.count(b"printed") <= 1
    assert stands(tmp_path / "mix")


@pytest.mark.parametrize("behind", [">/dev/full", "2>/dev/full", "2>&-", ">&-", "| head -0"])
def test_an_error_keeps_its_status(rows, tmp_path, behind):
    done = shell(rows.with_name("absent.jsonl"), tmp_path / "mix", behind)
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("files", [5, 6, 7])
def test_too_few_open_files_are_one_error(rows, tmp_path, files):
    done = shell(rows, tmp_path / "mix", "", before=f"ulimit -n {files};")
    assert done.returncode in (1, 2)
    assert b"Traceback" not in done.stderr
    assert b"Too many open files" in done.stderr


def test_nothing_but_the_outcome_is_on_standard_output(rows, tmp_path):
    done = shell(rows, tmp_path / "mix", "")
    assert done.stdout.startswith(b"task")
    assert b"corpus:" in done.stderr
    together = shell(rows, tmp_path / "mix2", "2>&1").stdout
    assert together.index(b"corpus:") < together.index(b"\ntask ") < together.index(b"load:")


def test_a_terminal_that_hangs_up_does_not_undo_the_mixture(rows, tmp_path):
    code = "import os, signal; signal.signal(signal.SIGHUP, signal.SIG_IGN); " + SMARTX
    arguments = ["run", rows, "--preset", "random", "--rows", "5", "--out", tmp_path / "mix"]
    status, _ = in_terminal(arguments, code=code, hang_up=True)
    assert status in (0, 1)
    assert stands(tmp_path / "mix")


def test_no_file_of_ours_gets_the_number_of_a_closed_stream():
    code = "import os; from smartx import terminal; terminal.guard(); os._exit(os.dup(0))"
    command = shlex.join([sys.executable, "-c", code])
    done = subprocess.run(["bash", "-c", f"{command} <&- >&- 2>&-"], timeout=60, check=False)
    assert done.returncode > 2


def test_a_command_leaves_pandas_alone_and_so_does_arrow(small_corpus, tmp_path):
    """Importing it takes as long as the rest of a second mixture."""
    code = (
        "import sys; from smartx.cli import main\n"
        "try: main()\n"
        "finally: print('pandas' in sys.modules, file=sys.stderr)"
    )
    flags = ["--vectors", str(small_corpus.vectors), "--rows", "9", "--out", str(tmp_path / "mix")]
    command = [sys.executable, "-c", code, "run", str(small_corpus.file), *flags, "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert done.stderr.splitlines()[-1] == "False"
    after = "from smartx.terminal import spare_pandas as f; f(); import pyarrow as pa; "
    after += "import importlib.util as u; assert pa.array([1]).to_pylist() == [1]; "
    after += "print(u.find_spec('pandas') is None or bool(__import__('pandas').__version__))"
    command = [sys.executable, "-c", after]
    again = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert again.stdout.strip() == "True", again.stderr
