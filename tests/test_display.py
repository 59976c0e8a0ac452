"""Lines and tables for people."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from smartx.display import line, plan_tables, table
from smartx.planning import Plan
from smartx.progress import duration, size
from smartx.tellers import Bars, LogLines, Quiet


def console():
    return Console(file=io.StringIO(), width=200, force_terminal=False)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.44, "0.4 s"), (12.4, "12 s"), (185, "3m05s"), (7_620, "2h07m"), (59.9, "60 s")],
)
def test_duration(seconds, text):
    assert duration(seconds) == text


NASTY = "a\x1b[31mred\x1b[0m\u200fright\u202eturned\x07\n[bold]b\udcc3"


def test_names_are_cleaned_wherever_they_are_shown():
    shown = console()
    for teller in (Quiet(shown), LogLines(shown), Bars(shown)):
        with teller:
            teller.start(NASTY, 1, "rows")
            teller.note(NASTY)
            teller.warn(NASTY)
            teller.finish()
    shown.print(line(NASTY))
    shown.print(table(("name", "rows"), [(NASTY, "1")]))
    plan = Plan(
        rows=1, tasks=1, groups=1, dimensions=1, dimensions_known=True, threads=1, devices=1,
        memory=1, largest=((NASTY, NASTY, 1),), classes=(), stages=(),
    )  # fmt: skip
    for part in plan_tables(plan):
        shown.print(part)
    said = shown.file.getvalue()
    assert said.count("[bold]b") >= 10  # markup in a name is text
    assert not set("\x1b\u200f\u202e\x07\udcc3") & set(said)
    assert "1 row, 1 task, 1 group, 1 dimension, 1 thread" in said


def test_sizes():
    assert [size(n) for n in (0, 1023, 1024, 1140253, 13 << 30)] == [
        "0 B", "1023 B", "1.0 KiB", "1.1 MiB", "13 GiB",
    ]  # fmt: skip
