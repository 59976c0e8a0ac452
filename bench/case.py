"""A case: one script, one question, in a process of its own on its own core or cores."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from peers import BESIDE, LIBRARIES, REQUIREMENTS, folder_of, python_of

HERE = Path(__file__).parent
# What is kept of a case: its fields, how it ran, and "result", "failure", or "absent" where this
# machine cannot do it.
Row = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One measurement.

    who: a peer of peers.py, whose environment or folder it runs in; else a name for the table.
    arguments: what its script is asked; `threads` is added.
    """

    table: str
    who: str
    script: str
    arguments: dict[str, Any] = field(default_factory=dict)
    threads: int = 1
    timeout: float = 3600

    @property
    def ours(self) -> bool:
        """Whether the instruction set can be chosen."""
        return self.who == "smartx"


def both_threads(cases: Iterable[Case]) -> list[Case]:
    """Each case of smartx on one thread and on two."""
    doubled = []
    for case in cases:
        doubled.append(case)
        if case.ours and case.threads == 1:
            doubled.append(Case(**asdict(case) | {"threads": 2}))
    return doubled


def run(case: Case, simd: str) -> Row:
    """The row of a case: pinned to one core a thread, `simd` forced on smartx unless empty."""
    cores = sorted(os.sched_getaffinity(0))[-case.threads :]
    python = python_of(case.who) if case.who in REQUIREMENTS else Path(sys.executable)
    environment = os.environ | {f"{name}_NUM_THREADS": str(case.threads) for name in LIBRARIES}
    paths = [str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]
    if case.who in BESIDE:
        try:
            paths.append(str(folder_of(case.who)))
        except RuntimeError as problem:
            return asdict(case) | {"simd": "", "load": os.getloadavg()[0], "absent": str(problem)}
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    level = simd if case.ours else case.arguments.get("level", "")
    environment.pop("SMARTX_SIMD", None)
    if level:
        environment["SMARTX_SIMD"] = level
    row: Row = asdict(case) | {"simd": simd if case.ours else "", "load": os.getloadavg()[0]}
    started = time.perf_counter()
    try:
        done = subprocess.run(
            [python, HERE / "cases" / case.script, json.dumps(_asked(case))],
            env=environment, capture_output=True, text=True, timeout=case.timeout, check=False,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return row | {"failure": f"took more than {case.timeout:.0f} s"}
    row |= {"took": round(time.perf_counter() - started, 2), "cores": len(cores)}
    if done.returncode:
        return row | {"failure": done.stderr[-2000:] or f"status {done.returncode}"}
    result = json.loads(done.stdout.splitlines()[-1])
    return row | ({"absent": result["absent"]} if "absent" in result else {"result": result})


def same(row: Row, case: Case, simd: str) -> bool:
    """Whether a row answers that case already."""
    wanted = (case.table, case.who, case.script, case.arguments, case.threads)
    kept = tuple(row[name] for name in ("table", "who", "script", "arguments", "threads"))
    return "result" in row and kept == wanted and row["simd"] == (simd if case.ours else "")


def _asked(case: Case) -> dict[str, Any]:
    return case.arguments | {"threads": case.threads}
