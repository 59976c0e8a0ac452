"""The tables of the bench suite: what each runs, what must hold, and how it is printed.

A table is a module with `TITLE`, `cases(quick)`, `check(rows)` (faults, in words) and
`lines(rows)` (its Markdown).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

FUNCTIONS = {"fl": "facility location", "gc": "graph cut", "ld": "log-det"}


def markdown(head: Sequence[str], body: Iterable[Sequence[Any]]) -> list[str]:
    """A Markdown table; numbers go right."""
    rows = [[str(cell) for cell in row] for row in body]
    if not rows:
        return ["Not measured."]
    numeric = [
        all(not row[i] or row[i][0].isdigit() or row[i] == "-" for row in rows)
        for i in range(len(head))
    ]
    rule = ["--:" if number else "---" for number in numeric]
    return ["| " + " | ".join(row) + " |" for row in (head, rule, *rows)]


def seconds(value: float) -> str:
    if value >= 1_000:
        return f"{value:,.0f} s"
    return f"{value * 1e3:.3g} ms" if value < 0.1 else f"{value:.3g} s"


def megabytes(count: float) -> str:
    return f"{count / 1e6:,.0f} MB"


def times(ratio: float) -> str:
    """A ratio of speeds."""
    return f"{ratio:.3g}x" if ratio < 100 else f"{ratio:,.0f}x"


def who(row: dict[str, Any]) -> str:
    """Who ran, with the instruction set where it was forced."""
    name = row["arguments"].get("label", row["who"])
    return f"{name}, {row['simd']} forced" if row["simd"] else name


def ours(row: dict[str, Any], threads: int = 1) -> bool:
    return row["who"] == "smartx" and row["threads"] == threads and "result" in row


def on_one_core(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if row["threads"] == 1 and "result" in row]
