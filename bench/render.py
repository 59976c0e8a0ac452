"""Render docs/performance.md from the results of one run of the suite.

python bench/render.py RESULT.json > docs/performance.md
python bench/render.py RESULT.json --only vectors    # a table that was run by itself
"""

from __future__ import annotations

import argparse
import json
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import bars
from run import TABLES

INTRO = """\
# Performance

Every figure here was measured by `bench/` on the machine below, in the calls that are listed, on
the same vectors, each case in a process of its own that is pinned to its core. CPU seconds are
compared, as other work on a machine falsifies wall time more. Rendered from the results' JSON by
`bench/render.py`: to change a figure, measure again.

One group of a million rows, whole and in parts (`python bench/large_groups.py`):
[very_large.md](recipes/very_large.md#5-a-group-that-is-too-large-for-one-machine).
"""
SKIP = '<!-- skip: next "the benchmark itself: hours, and the real corpora" -->'


def page(kept: dict[str, Any]) -> str:
    rows = kept["rows"]
    facts = [f"| {name} | {value} |" for name, value in kept["machine"].items()]
    parts = [
        INTRO.rstrip(), "",
        "| machine | |", "| --- | --- |", *facts,
        f"| load while it ran | {_loads(rows)} |", "",
        *(["This was a **quick** run at small sizes: it says nothing of speed.", ""]
          if kept["quick"] else []),
        SKIP, "```sh", *dict.fromkeys(map(_neutral, kept["commands"])), "```", "",
        "## The bar", "", *bars.lines(rows),
    ]  # fmt: skip
    for name in TABLES:
        parts += ["", *_table(name, rows)]
    return "\n".join(parts) + "\n"


def section(kept: dict[str, Any], name: str) -> str:
    """One table by itself, with what was run for it."""
    machine, rows = kept["machine"], [row for row in kept["rows"] if row["table"] == name]
    head, *rest = _table(name, kept["rows"])
    facts = (
        f"Measured by itself on {machine['date']}: {machine['processor']}, {machine['cores']}"
        f" cores, {machine['packages']}, smartx {machine['smartx']}; load {_loads(rows)}."
    )
    commands = [SKIP, "```sh", *dict.fromkeys(map(_neutral, kept["commands"])), "```"]
    return "\n".join([head, "", facts, "", *commands, *rest]) + "\n"


def _table(name: str, rows: list[dict[str, Any]]) -> list[str]:
    table = import_module(f"tables.{name}")
    own = rows if name == "threads" else [row for row in rows if row["table"] == name]
    failed = [row for row in own if "failure" in row and row["table"] == name]
    failures = [f"\nFailed: {_failed(row)}" for row in failed]
    return [f"## {table.TITLE}", "", *table.lines(own), *failures]


def _loads(rows: list[dict[str, Any]]) -> str:
    loads = [row["load"] for row in rows]
    if not loads:
        return "unknown"
    return f"median {sorted(loads)[len(loads) // 2]:.1f}, highest {max(loads):.1f}"


def _failed(row: dict[str, Any]) -> str:
    return f"{row['who']} {row['arguments']}: {row['failure'].strip().splitlines()[-1]}"


def _neutral(command: str) -> str:
    """The command without the folders of the machine it ran on."""
    return re.sub(r"(?<= )/\S*?(?=(bench/|build/))", "", command)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("result", type=Path, help="what bench/run.py wrote")
    parser.add_argument("--only", nargs="+", choices=TABLES, metavar="NAME", help="these sections")
    asked = parser.parse_args()
    kept = json.loads(asked.result.read_text())
    print(
        "\n".join(section(kept, name) for name in asked.only) if asked.only else page(kept), end=""
    )


if __name__ == "__main__":
    main()
