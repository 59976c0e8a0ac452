"""Progress for people: what the lines say."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from smartx import display
from smartx.display import Bars, LogLines, duration


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
