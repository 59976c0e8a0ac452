"""Time two versions of smartx side by side: every case of smartx, each version in turns.

    python bench/beside.py --before FOLDER [--after FOLDER] [--only NAME ...] [--turns 3] [--quick]

A FOLDER holds a built package `smartx` (of a `pip install --target FOLDER`, say); without --after
it is the installed one. The machine's speed changes from minute to minute, so the versions take
turns, and the least CPU time of each counts. Ends with status 1 where the later version takes more
than 5 % more, or chooses otherwise.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from case import Case, run
from tables import FUNCTIONS, markdown, megabytes, seconds

TABLES = ("groups", "selection", "budgets", "neighbours", "large")
WORSE = 1.05


def main() -> int:
    options = _options()
    body, failures = [], []
    for case in _cases(options):
        before, after = _in_turns(case, options)
        for old, new in zip(before, after, strict=True):
            ratio = new["cpu"] / old["cpu"]
            name = _named(case, new)
            if ratio > WORSE:
                failures.append(f"{name}: {ratio:.3f} times the CPU time")
            if new.get("values") != old.get("values"):
                failures.append(f"{name}: another objective")
            body.append(
                [name, case.threads, seconds(old["cpu"]), seconds(new["cpu"]), f"{ratio:.3f}",
                 megabytes(old["memory"]), megabytes(new["memory"])]
            )  # fmt: skip
            print(*body[-1], sep="  ", flush=True)
    head = ["work", "threads", "before, CPU", "after, CPU", "ratio", "before", "after"]
    print("", *markdown(head, body), sep="\n")
    for failure in failures:
        print(f"FAILED {failure}", file=sys.stderr)
    return int(bool(failures))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--before", type=Path, required=True, help="the folder of the earlier version")
    add("--after", type=Path, help="the folder of the later version")
    add("--only", nargs="+", choices=TABLES, default=TABLES, metavar="NAME", help=", ".join(TABLES))
    add("--turns", type=int, default=3, help="processes of each version")
    add("--threads", type=int, default=1, help="cases of so many threads")
    add("--quick", action="store_true", help="small sizes: does everything work?")
    add("--simd", default="", help="force this instruction set: generic, avx2, avx512")
    return parser.parse_args()


def _cases(options: argparse.Namespace) -> Iterator[Case]:
    for name in options.only:
        for case in import_module(f"tables.{name}").cases(options.quick):
            if case.ours and case.threads == options.threads:
                yield case


def _in_turns(case: Case, options: argparse.Namespace) -> list[list[dict[str, Any]]]:
    """The best runs of each version, of as many as the case has."""
    best: list[list[dict[str, Any]]] = [[], []]
    for turn in range(options.turns):
        for version in (0, 1) if turn % 2 == 0 else (1, 0):
            runs = _runs(case, (options.before, options.after)[version], options.simd)
            kept = best[version] or runs
            best[version] = [
                min(pair, key=lambda record: record["cpu"])
                for pair in zip(kept, runs, strict=True)
            ]  # fmt: skip
    return best


def _runs(case: Case, folder: Path | None, simd: str) -> list[dict[str, Any]]:
    if folder is None:
        os.environ.pop("PYTHONPATH", None)
    else:
        os.environ["PYTHONPATH"] = str(folder.resolve())
    row = run(case, simd)
    if "result" not in row:
        raise SystemExit(f"{_named(case, {})}: {row.get('failure', row.get('absent'))}")
    runs: list[dict[str, Any]] = row["result"]["runs"]
    return runs


def _named(case: Case, record: dict[str, Any]) -> str:
    asked = case.arguments
    work = FUNCTIONS.get(asked.get("function", ""), "exact k-NN")
    size = f"{asked['groups']:,} groups of {asked['sizes']}" if "groups" in asked else ""
    size = size or f"n = {asked['n']:,}, d = {asked['d']}"
    return f"{work}, {size}" + (f", budget {record['budget']:,}" if "budget" in record else "")


if __name__ == "__main__":
    sys.exit(main())
