"""How work is told while it goes on: lines, JSON lines, a live view."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from screen import in_terminal
from smartx import tellers
from smartx.errors import ConfigError
from smartx.progress import counted, stage, stages, warn
from smartx.tellers import Bars, JsonLines, LogLines, Quiet

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
    monkeypatch.setattr(tellers, "time", clock)
    monkeypatch.setattr(tellers, "memory_in_use", lambda: 3 << 20)
    return clock


def console(**more):
    return Console(file=io.StringIO(), width=200, **{"force_terminal": False, **more})


def said(teller):
    return teller._console.file.getvalue()


def test_a_long_step_says_rate_and_time_left_and_does_not_count_the_loading(clock):
    lines = LogLines(console())
    lines.start("embed", 1_000, "rows")
    clock.now += 60  # loading a model
    lines.advance(100)
    clock.now += 20
    lines.advance(400)
    last = said(lines).splitlines()[-1]
    assert last == "embed: 500 of 1,000 rows, 20 rows/s, 25 s left, 3.0 MiB of memory"


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
    assert lines._console.file.getvalue() == "read: 20 rows, 0.5 rows/s, 3.0 MiB of memory\n"


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
    assert lines._console.file.getvalue() == (
        "ingest: 1.0 GiB of 3.0 GiB, 102 MiB/s, 20 s left, 3.0 MiB of memory\n"
    )


def test_one_thing_is_not_spoken_of_as_several(clock):
    lines = LogLines(console())
    lines.start("write", 1, "rows")
    lines.advance(1)
    lines.finish()
    assert lines._console.file.getvalue() == "write: 1 row in 0.0 s\n"
    assert [counted(n, "task") for n in (0, 1, 1_840)] == ["0 tasks", "1 task", "1,840 tasks"]


def test_a_log_of_a_long_step_has_ever_fewer_lines(clock):
    """Two minutes apart in the end: neither a flood, nor silence that a build system takes for
    death.
    """
    lines = LogLines(console())
    lines.start("rank", 100_000, "rows")
    told = []
    for second in range(1, 1_001):
        clock.now += 1
        before = len(said(lines))
        lines.advance(10)
        if len(said(lines)) > before:
            told.append(second)
    assert told == [10, 30, 70, 150, *range(270, 1_001, 120)]
    lines.start("write", 10, "rows")
    clock.now += 10
    lines.advance(1)
    assert said(lines).splitlines()[-1].startswith("write: 1 of 10 rows")


def test_names_from_the_data_are_text_not_markup():
    for made in (LogLines, Bars):
        shown = console()
        with made(shown) as progress:
            progress.start("[red]step[/]", 1, "rows")
            progress.note("[bold]task[/] \\[x]")
            progress.advance(1)
            progress.finish()
        assert "[bold]task[/]" in shown.file.getvalue()


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


def test_a_progress_of_the_callers_own_needs_to_know_of_no_stages():
    stages(object(), ["ingest"])
    stage(object(), "ingest")


def events(teller):
    return [json.loads(line) for line in said(teller).splitlines()]


def test_json_lines_tell_all_that_happens(clock):
    teller = JsonLines(console())
    with teller:
        stages(teller, ["ingest", "embed"])
        stage(teller, "embed")
        teller.start("embed", 1_000, "rows")
        clock.now += 60  # loading a model
        teller.advance(100)
        clock.now += 0.5
        teller.advance(100)  # too soon after the last one
        clock.now += 9.5
        teller.advance(100)
        teller.note("`rows` are few \x1b[31m\udcc3")
        teller.warn("mind this")
        teller.finish()
    teller.error("--rows: no", 2, ConfigError("no", place="rows", fix="say `rows`"))
    teller.end(2)
    found = events(teller)
    assert said(teller).isascii()
    assert all(event.pop("time").endswith("+00:00") for event in found)
    step = {"step": "embed", "total": 1_000, "unit": "row", "memory_bytes": 3 << 20}
    assert found == [
        {"event": "stages", "stages": ["ingest", "embed"]},
        {"event": "stage", "stage": "embed"},
        {"event": "start", "step": "embed", "total": 1_000, "unit": "row"},
        {"event": "progress", **step, "done": 100, "per_second": None, "seconds_left": None},
        {"event": "progress", **step, "done": 300, "per_second": 20.0, "seconds_left": 35.0},
        {"event": "note", "message": "--rows are few \\x1b[31m\\udcc3"},
        {"event": "warning", "message": "mind this"},
        {"event": "finish", **step, "done": 300, "seconds": 70.0},
        {
            "event": "error", "status": 2, "message": "--rows: no",
            "place": "rows", "fault": "no", "fix": "say --rows",
        },
        {"event": "end", "status": 2, "seconds": 70.0, "most_memory_bytes": 3 << 20},
    ]  # fmt: skip


def view(bars, columns=100):
    """The line of the stages."""
    return "".join(line.plain for line in bars.lines())[:columns]


def test_the_live_view_says_which_stages_are_done_run_and_come(clock):
    shown = console(force_terminal=True)
    bars = Bars(shown)
    bars._signs = tellers._UTF8
    stages(bars, ["ingest", "leave_out", "rank"])
    assert view(bars) == "· ingest  · leave out  · rank  0.0 s, 3.0 MiB of memory"
    clock.now += 65
    stage(bars, "ingest")
    stage(bars, "leave_out")
    assert view(bars) == "✓ ingest  ▸ leave out  · rank  1m05s, 3.0 MiB of memory"
    stage(bars, "other")  # one that nobody told of
    stage(bars, "rank")
    assert "▸ rank" in view(bars)
    bars._signs = tellers._ASCII
    assert view(bars).isascii()


def test_a_live_view_is_told_of_what_repeats(clock):
    """A stage that comes twice is another one than the first."""
    bars = Bars(console(force_terminal=True))
    stages(bars, ["mix", "rank", "mix"])
    for name in ("mix", "rank", "mix"):
        stage(bars, name)
    assert view(bars).startswith(("✓ mix  ✓ rank  ▸ mix", "+ mix  + rank  > mix"))


BUSY = """
import time
from rich.console import Console
from smartx.display import line
from smartx.progress import stage, stages
from smartx.tellers import Bars
console = Console(stderr=True, highlight=False)
bars = Bars(console)
with bars:
    stages(bars, [f"stage-{number:02d}" for number in range(12)])
    for number in range(12):
        stage(bars, f"stage-{number:02d}")
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
bars.end(0)
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
    assert "stage-" not in text  # of the live view
    assert "step-00: 1,000 rows in" in " ".join(words)


def test_a_terminal_without_unicode_gets_bars_too():
    status, text = in_terminal([], code=BUSY, PYTHONIOENCODING="ascii")
    assert status == 0, text
    assert "outcome-29" in text
