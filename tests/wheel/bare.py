"""Does an installed smartx work where there is nothing but its wheels? Needs no pytest.

    python tests/wheel/bare.py               where smartx is installed, from any folder
    python tests/wheel/bare.py --repaired    and from a repaired wheel, with no compiler on PATH

Rows that facility location picks are those of a slow greedy over exact whole numbers; they and a
mixture made by the command are the same with every instruction set and number of threads.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import smartx
from smartx import _core
from smartx.doctor import openmp_runtimes

ROWS, TASKS, BUDGET = 300, 5, 40
COMPILERS = ("cc", "gcc", "g++", "c++", "clang", "clang++", "make", "cmake", "ninja")


def rows() -> NDArray[np.float32]:
    """(300, 24) float32, a few of them alike."""
    drawn = np.random.default_rng(3).normal(size=(ROWS, 24)).astype(np.float32)
    drawn[7::50] = drawn[3]
    return drawn


def slow_greedy(q12: NDArray[np.int16], budget: int) -> list[int]:
    """Facility location as its formula says; ties go to the lower row."""
    similar = np.maximum(q12.astype(np.int64) @ q12.astype(np.int64).T, 0)
    covered, chosen = np.zeros(len(q12), dtype=np.int64), []
    for _ in range(budget):
        gains = np.maximum(similar - covered, 0).sum(axis=1)
        gains[chosen] = -1
        chosen.append(int(gains.argmax()))
        covered = np.maximum(covered, similar[chosen[-1]])
    return chosen


def check_choice() -> None:
    """This process' instruction set, on one thread and on four."""
    vectors = rows()
    wanted = slow_greedy(smartx.quantize(vectors), BUDGET)
    for threads in (1, 4):
        best = smartx.maximize(smartx.FacilityLocation(), vectors, BUDGET, threads=threads)
        assert best.indices.tolist() == wanted, (_core.simd_level(), threads)
    mixture = smartx.select(vectors, tasks=np.arange(ROWS) % TASKS, budget=BUDGET)
    assert len(set(mixture.indices.tolist())) == BUDGET


def command(*arguments: str, **environment: str) -> str:
    """Standard output of `smartx ...`, the command that the wheel installed."""
    script = Path(sysconfig.get_path("scripts")) / "smartx"
    done = subprocess.run(
        [str(script), *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def check_command(folder: Path) -> None:
    """A mixture of rows and vectors in files: the same bytes with every instruction set."""
    lines = [
        {"prompt": f"question {row}", "response": f"answer {row}", "task": f"task {row % TASKS}"}
        for row in range(ROWS)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    np.save(folder / "rows.npy", rows())
    assert "Usage" in command("--help")
    mixtures = set()
    for level in _core.simd_levels():
        out = folder / level
        sources = (str(folder / "rows.jsonl"), "--vectors", str(folder / "rows.npy"))
        command("run", *sources, "--rows", str(BUDGET), "--out", str(out), SMARTX_SIMD=level)
        assert (out / "report.html").stat().st_size > 10_000
        mixtures.add(b"".join(path.read_bytes() for path in sorted(out.glob("data/*.parquet"))))
    assert len(mixtures) == 1
    assert mixtures != {b""}


def check_repaired() -> None:
    """The OpenMP runtime is the wheel's own, and nothing here could have compiled one."""
    found = [name for name in COMPILERS if shutil.which(name)]
    assert not found, f"on PATH: {found}"
    own = Path(smartx.__file__).parents[1] / "smartx_mix.libs"
    runtimes = openmp_runtimes()
    assert runtimes, "no OpenMP runtime is loaded"
    assert all(Path(path).parent == own for path in runtimes), runtimes


def main() -> None:
    """All checks; those of an instruction set in a process of its own."""
    if sys.argv[1:] == ["--choice"]:
        check_choice()
        return
    if "--repaired" in sys.argv:
        check_repaired()
    assert "site-packages" in Path(_core.__file__).parts, _core.__file__
    for level in _core.simd_levels():
        subprocess.run(
            [sys.executable, __file__, "--choice"],
            env={**os.environ, "SMARTX_SIMD": level},
            check=True,
        )
    with tempfile.TemporaryDirectory() as folder:
        check_command(Path(folder))
    print(command("doctor"), end="")
    print(f"works: smartx {smartx.__version__}, {', '.join(_core.simd_levels())}")


if __name__ == "__main__":
    main()
