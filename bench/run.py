"""Run the bench suite, or some of its tables, and keep every figure as JSON.

    python bench/run.py --out build/bench/RESULT.json [--quick] [--only NAME ...] [--simd avx2]

Each case runs in a process of its own, pinned to one core (to two where it has two threads). The
file is written after every case; what it holds already is not run again, unless --again. With
--simd the cases of smartx are run with that instruction set and stand beside the others.
Ends with status 1 if a case failed or an answer is wrong; slow is not wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import bars
from case import Case, Row, run, same
from machine import described
from results import save

TABLES = (
    "limits", "selection", "budgets", "neighbours", "large", "threads", "quality", "identity",
    "groups", "tasks", "takes", "in_memory", "ingest", "vectors",
)  # fmt: skip


def main() -> int:
    options = _options()
    kept = _kept(options.out, options.quick)
    kept["machine"] = described()
    kept["commands"] = [*kept["commands"], shlex.join(["python", *sys.argv])]
    rows: list[Row] = kept["rows"]
    failures = []
    names = options.only or TABLES
    for name in names:
        table = import_module(f"tables.{name}")
        for case in _chosen(table.cases(options.quick), options.threads):
            old = [row for row in rows if same(row, case, options.simd)]
            if old and not options.again:
                continue
            print(_named(case, options.simd), end="  ", flush=True)
            row = run(case, options.simd)
            rows[:] = [other for other in rows if other not in old] + [row]
            save(options.out, kept)
            print(_brief(row), flush=True)
            if "failure" in row:
                failures.append(f"{_named(case, options.simd)}: {row['failure']}")
    for name in names:
        table = import_module(f"tables.{name}")
        own = rows if name == "threads" else [row for row in rows if row["table"] == name]
        print(f"\n## {table.TITLE}\n", *table.lines(own), sep="\n")
        failures += [f"{name}: {fault}" for fault in table.check(own)]
    print("\n## The bar\n", *bars.lines(rows), sep="\n")
    save(options.out, kept)
    for failure in failures:
        print(f"FAILED {failure}", file=sys.stderr)
    return int(bool(failures))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--out", type=Path, required=True, help="the JSON file of the results")
    add("--quick", action="store_true", help="small sizes: does everything work?")
    add("--only", nargs="+", choices=TABLES, metavar="NAME", help=", ".join(TABLES))
    add("--simd", default="", help="force this instruction set on smartx: generic, avx2, avx512")
    add("--again", action="store_true", help="run also what the file holds already")
    return parser.parse_args(namespace=argparse.Namespace(threads=_cores()))


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _chosen(cases: list[Case], cores: int) -> list[Case]:
    return [case for case in cases if case.threads <= cores]


def _kept(path: Path, quick: bool) -> dict[str, Any]:
    if not path.exists():
        return {"quick": quick, "commands": [], "rows": []}
    kept: dict[str, Any] = json.loads(path.read_text())
    if kept["quick"] != quick:
        raise SystemExit(f"{path} is of a run {'with' if kept['quick'] else 'without'} --quick")
    return kept


def _named(case: Case, simd: str) -> str:
    asked = " ".join(f"{key}={value}" for key, value in case.arguments.items() if key != "label")
    level = f" {simd}" if simd and case.ours else ""
    return f"{case.table}: {case.who}{level} x{case.threads} {asked}"


def _brief(row: Row) -> str:
    if "failure" in row:
        return "FAILED"
    if "absent" in row:
        return row["absent"]
    runs = row["result"].get("runs", [])
    cpu = ", ".join(f"{run['cpu']:.3g}" for run in runs)
    return (f"CPU {cpu} s, " if cpu else "") + f"process {row['took']:.1f} s"


if __name__ == "__main__":
    sys.exit(main())
