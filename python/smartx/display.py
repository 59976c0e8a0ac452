"""What people see: progress as live bars on a terminal and as plain lines elsewhere, and tables.
cli.py chooses and prints.

All text passes `line`, `table` or `Teller.note`, where names out of anybody's files are cleaned.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
)
from rich.progress import Progress as RichBars
from rich.table import Table
from rich.text import Text

from smartx.config import RunConfig
from smartx.errors import plain
from smartx.progress import counted, duration, size

if TYPE_CHECKING:
    from smartx.planning import Plan

LOG_SECONDS = 10.0  # between two log lines of one step
_MORE_WORDS = 6  # that are shown of a found task beside its name


def line(text: str, style: str = "") -> Text:
    """One or more lines to print."""
    return Text(plain(text), style=style)


def flag(field: str, own: Collection[str] = ()) -> str:
    """The flag of a field; SOURCES for the sources, nothing for what is no field.

    own: names of options that the command has besides.
    """
    if field == "sources":
        return "SOURCES"
    known = field in RunConfig.model_fields or field in own
    return f"--{field.replace('_', '-')}" if known else ""


def in_flags(text: str, own: Collection[str] = ()) -> str:
    """A text with the fields, and options of `own`, that it names in backquotes as flags."""
    return re.sub("`([a-z_]+)`", lambda found: flag(found[1], own) or found[0], text)


def _told(text: str, style: str = "") -> Text:
    return line(in_flags(text), style)


def table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """The first column is words, cut where they are long; the others stand to the right."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for place, name in enumerate(names):
        made.add_column(
            name,
            justify="right" if place else "left",
            overflow="ellipsis",
            no_wrap=True,
            max_width=None if place else 60,
        )
    for row in rows:
        made.add_row(*(escape(plain(cell).replace("\n", " ")) for cell in row))
    return made


def tasks_table(tasks: Sequence[Mapping[str, Any]]) -> Table:
    """Found tasks: names whole, words and prompts as far as the terminal is wide."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    widest = max((len(task["name"]) for task in tasks), default=0)
    digits = max((len(f"{task['rows']:,}") for task in tasks), default=0)
    made.add_column("task", no_wrap=True, min_width=widest)
    made.add_column("rows", no_wrap=True, justify="right", min_width=max(4, digits))
    made.add_column("more words", no_wrap=True, overflow="ellipsis", ratio=2)
    made.add_column("a typical prompt", no_wrap=True, overflow="ellipsis", ratio=3)
    for task in tasks:
        named = task["name"].split("-")
        words = " ".join([word for word in task["words"] if word not in named][:_MORE_WORDS])
        prompt = " ".join(task["typical_prompt"].split())
        cells = (task["name"], f"{task['rows']:,}", words, prompt)
        made.add_row(*(escape(plain(cell)) for cell in cells))
    return made


class Quiet:
    """Nothing but warnings."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def __enter__(self) -> Quiet:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def start(self, step: str, total: int | None, unit: str) -> None:
        """A step begins."""

    def advance(self, amount: int) -> None:
        """Count."""

    def finish(self) -> None:
        """The step is over."""

    def note(self, message: str) -> None:
        """Something of interest."""

    def warn(self, message: str) -> None:
        """Something that nobody should overlook."""
        self._console.print(_told(f"warning: {message}", "yellow"), soft_wrap=True)


class LogLines(Quiet):
    """Progress as plain lines: one when a step ends, one every 10 seconds before that."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._step, self._unit = "", ""
        self._total: int | None = None
        self._done = 0
        self._started = self._last_line = 0.0
        self._first: tuple[float, int] | None = None  # when work began to flow, and how much had

    def start(self, step: str, total: int | None, unit: str) -> None:
        """A step begins."""
        self._step, self._total, self._unit, self._done = step, total, unit.removesuffix("s"), 0
        self._first = None
        self._started = self._last_line = time.monotonic()

    def advance(self, amount: int) -> None:
        """Count, and write a line if the last one is long ago."""
        self._done += amount
        now = time.monotonic()
        self._first = self._first or (now, self._done)
        if now - self._last_line >= LOG_SECONDS:
            self._last_line = now
            self.note(f"{self._step}: {self._state(now)}")

    def finish(self) -> None:
        """The step is over, or given up."""
        seconds = time.monotonic() - self._started
        self.note(f"{self._step}: {self._so_far(cut=True)} in {duration(seconds)}")

    def note(self, message: str) -> None:
        """A line of its own."""
        self._console.print(_told(message), soft_wrap=True)

    def _so_far(self, *, cut: bool = False) -> str:
        """How much is done, and of how much. cut: the latter only where it was not reached."""
        if not self._total or (cut and self._done == self._total):
            return counted(self._done, self._unit)
        done = f"{self._done:,}" if self._unit != "byte" else size(self._done)
        return f"{done} of {counted(self._total, self._unit)}"

    def _state(self, now: float) -> str:
        """How far it is. The rate leaves out what came before the first advance (loading, say)."""
        text = self._so_far()
        began, before = self._first or (now, self._done)
        if now == began or self._done == before:
            return text
        rate = (self._done - before) / (now - began)
        text += f", {_rate(rate, self._unit)}"
        return (
            f"{text}, {duration((self._total - self._done) / rate)} left" if self._total else text
        )


class Bars(LogLines):
    """Progress as one live line for the step that runs; lines above it for all else.

    A finished step becomes a line, so what moves is never higher than the screen. Warnings are told
    once more at the end, where they are seen.
    """

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        signs = "dots" if console.encoding.lower().startswith("utf") else "line"
        columns = (
            SpinnerColumn(signs),
            TextColumn("{task.description}"),
            BarColumn(20),
            _State(self),
        )
        self._bars = RichBars(*columns, console=console, transient=True)
        self._bar: TaskID | None = None
        self._warnings: list[str] = []

    def __enter__(self) -> Bars:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._clear()
        self._bars.stop()

    def start(self, step: str, total: int | None, unit: str) -> None:
        """A step begins: a bar."""
        super().start(step, total, unit)
        self._clear()
        self._bar = self._bars.add_task(escape(plain(step)), total=total)

    def advance(self, amount: int) -> None:
        """Move the bar."""
        self._done += amount
        self._first = self._first or (time.monotonic(), self._done)
        if self._bar is not None:
            self._bars.advance(self._bar, amount)

    def finish(self) -> None:
        """The bar becomes a line."""
        self._clear()
        super().finish()

    def note(self, message: str) -> None:
        """A line above the bar, broken between words: the bar's place must be known."""
        self._console.print(_told(message))

    def warn(self, message: str) -> None:
        """A line above the bar."""
        self._console.print(_told(f"warning: {message}", "yellow"))
        self._warnings.append(message)

    def repeat_warnings(self) -> None:
        """Tell again what nobody should overlook, behind all else."""
        for message in self._warnings:
            super().warn(message)

    def state(self) -> str:
        """What stands behind the bar."""
        return self._state(time.monotonic())

    def _clear(self) -> None:
        if self._bar is not None:
            self._bars.remove_task(self._bar)
            self._bar = None


class _State(ProgressColumn):
    def __init__(self, bars: Bars) -> None:
        super().__init__()
        self._of = bars

    def render(self, task: Task) -> Text:
        return Text(self._of.state(), style="cyan", no_wrap=True, overflow="ellipsis")


def _rate(rate: float, unit: str) -> str:
    if unit == "byte":
        return f"{size(rate)}/s"
    return f"{rate:,.0f} {unit}s/s" if rate >= 10 else f"{rate:.1f} {unit}s/s"


def plan_tables(plan: Plan) -> Iterator[Table | Text]:
    """A plan as a person reads it: the corpus, its groups by size, and what each stage takes."""
    assumed = "" if plan.dimensions_known else " (assumed: the encoder is not here)"
    devices = f", embedding on {plan.devices} devices" if plan.devices > 1 else ""
    sizes = ", ".join(
        counted(number, one)
        for number, one in (
            (plan.rows, "row"),
            (plan.tasks, "task"),
            (plan.groups, "group"),
            (plan.dimensions, "dimension"),
        )
    )
    yield line(f"{sizes}{assumed}, {counted(plan.threads, 'thread')}{devices}")
    if plan.classes:
        yield table(
            ("groups up to", "groups", "rows", "engine", "time"),
            (
                (f"{c.largest:,}", f"{c.groups:,}", f"{c.rows:,}", c.engine, duration(c.seconds))
                for c in plan.classes
            ),
        )
    yield table(
        ("largest groups", "rows"),
        ((" ".join(name), f"{rows:,}") for *name, rows in plan.largest),
    )
    yield table(
        ("stage", "time", "memory", "disk"),
        (
            (
                stage.name,
                stage.time().removeprefix("about "),
                size(stage.memory),
                size(stage.disk),
            )
            for stage in plan.stages
        ),
    )
    if plan.ways:
        yield table(
            ("encoder", "time", "lost"),
            ((way.name, duration(way.seconds), way.loss) for way in plan.ways),
        )
    yield from (line(f"{stage.name}: {stage.how}") for stage in plan.stages if stage.how)
    yield line(f"{size(plan.memory)} of memory may be used")
