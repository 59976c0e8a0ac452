"""Progress for people: what the lines say."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from screen import in_terminal
from smartx import display
from smartx.display import Bars, LogLines, Quiet, line, plan_tables, table
from smartx.planning import Plan
from smartx.progress import counted, duration, size, warn

pytestmark = pytest.mark.processes


class Clock:
    """A clock that the test moves."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(display, "time", clock)
    return clock


def console():
    return Console(file=io.StringIO(), width=200, force_terminal=False)


def test_a_long_step_says_rate_and_time_left_and_does_not_count_the_loading(clock):
    lines = LogLines(console())
    lines.start("embed", 1_000, "rows")
    clock.now += 60  # loading a model
    lines.advance(100)
    clock.now += 10
    lines.advance(200)
    said = lines._console.file.getvalue().splitlines()
    assert said[-1] == "embed: 300 of 1,000 rows, 20 rows/s, 35 s left"


def test_a_short_step_is_one_line(clock):
    lines = LogLines(console())
    lines.start("write", 500, "rows")
    for _ in range(5):
        clock.now += 0.1
        lines.advance(100)
    lines.finish()
    assert lines._console.file.getvalue() == "write: 500 rows in 0.5 s\n"


def test_a_step_of_unknown_length_says_no_time_left(clock):
    lines = LogLines(console())
    lines.start("read", None, "rows")
    lines.advance(10)
    clock.now += 20
    lines.advance(10)
    assert lines._console.file.getvalue() == "read: 20 rows, 0.5 rows/s\n"


def test_a_step_that_was_given_up_says_how_far_it_came(clock):
    lines = LogLines(console())
    lines.start("write", 500, "rows")
    lines.advance(100)
    lines.finish()
    assert lines._console.file.getvalue() == "write: 100 of 500 rows in 0.0 s\n"


def test_bytes_are_told_as_a_person_reads_them(clock):
    lines = LogLines(console())
    lines.start("ingest", 3 << 30, "bytes")
    lines.advance(1 << 20)
    clock.now += 10
    lines.advance(1 << 30)
    assert lines._console.file.getvalue() == ("ingest: 1.0 GiB of 3.0 GiB, 102 MiB/s, 20 s left\n")


def test_one_thing_is_not_spoken_of_as_several(clock):
    lines = LogLines(console())
    lines.start("write", 1, "rows")
    lines.advance(1)
    lines.finish()
    assert lines._console.file.getvalue() == "write: 1 row in 0.0 s\n"
    assert [counted(n, "task") for n in (0, 1, 1_840)] == ["0 tasks", "1 task", "1,840 tasks"]


def test_names_from_the_data_are_text_not_markup():
    for made in (LogLines, Bars):
        shown = console()
        with made(shown) as progress:
            progress.start("[red]step[/]", 1, "rows")
            progress.note("[bold]task[/] \\[x]")
            progress.advance(1)
            progress.finish()
        assert "[bold]task[/]" in shown.file.getvalue()


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


def test_a_warning_is_shown_even_where_progress_is_not_wanted():
    shown = console()
    quiet = Quiet(shown)
    quiet.note("unheard")
    warn(quiet, "all rows of one task share one vector")
    assert shown.file.getvalue() == "warning: all rows of one task share one vector\n"


def test_a_progress_of_the_callers_own_gets_warnings_as_notes():
    class Own:
        def __init__(self):
            self.notes = []

        def note(self, message):
            self.notes.append(message)

    own = Own()
    warn(own, "look")
    assert own.notes == ["look"]


BUSY = """
import time
from rich.console import Console
from smartx.display import Bars, line
console = Console(stderr=True, highlight=False)
bars = Bars(console)
with bars:
    for number in range(12):
        bars.start(f"step-{number:02d}", 1000, "rows")
        for _ in range(4):
            bars.advance(250)
            time.sleep(0.03)
        bars.note(f"note-{number:02d} " + "word " * 40)
        bars.finish()
    bars.warn("mind this")
    bars.start("last", None, "bytes")
    time.sleep(0.2)
    bars.finish()
out = Console(soft_wrap=True)
for number in range(30):
    out.print(line(f"outcome-{number:02d}"))
bars.repeat_warnings()
"""


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (30, 5), (140, 160), (200, 8)])
def test_nothing_that_was_said_is_drawn_over_and_no_bar_stays(columns, rows):
    status, text = in_terminal([], columns, rows, code=BUSY)
    assert status == 0, text
    words = text.split()
    for number in range(12):
        assert words.count(f"step-{number:02d}:") == words.count(f"note-{number:02d}") == 1
    assert [w for w in words if w.startswith("outcome-")] == [f"outcome-{n:02d}" for n in range(30)]
    assert words.count("word") == 12 * 40
    assert text.count("warning: mind this") == 2  # when it is known, and at the end
    assert not set("\u2501\u2578\u280b\u2819") & set(text)  # of bars and their spinners
    assert "step-00: 1,000 rows in" in " ".join(words)


def test_a_terminal_without_unicode_gets_bars_too():
    status, text = in_terminal([], code=BUSY, PYTHONIOENCODING="ascii")
    assert status == 0, text
    assert "outcome-29" in text


def test_sizes():
    assert [size(n) for n in (0, 1023, 1024, 1140253, 13 << 30)] == [
        "0 B", "1023 B", "1.0 KiB", "1.1 MiB", "13 GiB",
    ]  # fmt: skip
