"""Progress for people: live bars on a terminal, plain log lines elsewhere. cli.py chooses."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichBars
from rich.table import Table
from rich.text import Text

from smartx.progress import duration, size

if TYPE_CHECKING:
    from smartx.planning import Plan

LOG_SECONDS = 10.0  # between two log lines of one step


class LogLines:
    """Progress as plain lines: one when a step ends, one every 10 seconds before that."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._step, self._unit = "", ""
        self._total: int | None = None
        self._done = 0
        self._started = self._last_line = 0.0
        self._first: tuple[float, int] | None = None  # when work began to flow, and how much had

    def __enter__(self) -> LogLines:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return

    def start(self, step: str, total: int | None, unit: str) -> None:
        """A step begins."""
        self._step, self._total, self._unit, self._done = step, total, unit, 0
        self._first = None
        self._started = self._last_line = time.monotonic()

    def advance(self, amount: int) -> None:
        """Count, and write a line if the last one is long ago."""
        self._done += amount
        now = time.monotonic()
        self._first = self._first or (now, self._done)
        if now - self._last_line >= LOG_SECONDS:
            self._last_line = now
            self._say(self._state(now))

    def finish(self) -> None:
        """The step is over."""
        seconds = time.monotonic() - self._started
        self._say(f"{self._done:,} {self._unit} in {duration(seconds)}")

    def note(self, message: str) -> None:
        """A line of its own."""
        self._console.print(message, markup=False, highlight=False, soft_wrap=True)

    def _state(self, now: float) -> str:
        """How far it is. The rate leaves out what came before the first advance (loading, say)."""
        of_total = f" of {self._total:,}" if self._total else ""
        line = f"{self._done:,}{of_total} {self._unit}"
        began, before = self._first or (now, self._done)
        if now == began or self._done == before:
            return line
        rate = (self._done - before) / (now - began)
        line += f", {rate:,.0f} {self._unit}/s" if rate >= 10 else f", {rate:.1f} {self._unit}/s"
        return (
            f"{line}, {duration((self._total - self._done) / rate)} left" if self._total else line
        )

    def _say(self, text: str) -> None:
        self.note(f"{self._step}: {text}")


class Bars:
    """Progress as live bars with rate and time left."""

    def __init__(self, console: Console) -> None:
        self._bars = RichBars(
            SpinnerColumn(finished_text="[green]done[/]"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            _Rate(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Bars:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def start(self, step: str, total: int | None, unit: str) -> None:
        """A step begins: a new bar."""
        self._task = self._bars.add_task(escape(step), total=total, unit=unit)

    def advance(self, amount: int) -> None:
        """Move the bar."""
        if self._task is not None:
            self._bars.advance(self._task, amount)

    def finish(self) -> None:
        """The bar stays, full if the step's total was not known."""
        if self._task is not None:
            task = self._bars.tasks[self._task]
            if task.total is None:
                self._bars.update(self._task, total=task.completed)
            self._task = None

    def note(self, message: str) -> None:
        """A line above the bars."""
        self._bars.console.print(message, markup=False, highlight=False, soft_wrap=True)


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f} {task.fields['unit']}/s" if speed else "", style="cyan")


def plan_tables(plan: Plan) -> Iterator[Table | str]:
    """A plan as a person reads it: the corpus, its groups by size, and what each stage takes."""
    assumed = "" if plan.dimensions_known else " (assumed: the encoder is not here)"
    devices = f", embedding on {plan.devices} devices" if plan.devices > 1 else ""
    yield (
        f"{plan.rows:,} rows, {plan.tasks:,} tasks, {plan.groups:,} groups, "
        f"{plan.dimensions:,} dimensions{assumed}, {plan.threads} threads{devices}"
    )
    if plan.classes:
        yield _table(
            ("groups up to", "groups", "rows", "engine", "time"),
            (
                (f"{c.largest:,}", f"{c.groups:,}", f"{c.rows:,}", c.engine, duration(c.seconds))
                for c in plan.classes
            ),
        )
    yield _table(
        ("largest groups", "rows"),
        ((escape(" ".join(name)), f"{rows:,}") for *name, rows in plan.largest),
    )
    yield _table(
        ("stage", "time", "memory", "disk"),
        (
            (
                stage.name,
                "done"
                if stage.done
                else "not timed"
                if stage.seconds is None
                else duration(stage.seconds),
                size(stage.memory),
                size(stage.disk),
            )
            for stage in plan.stages
        ),
    )
    yield f"{size(plan.memory)} of memory may be used"


def _table(names: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> Table:
    """The first column is words, the others stand to the right."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for place, name in enumerate(names):
        table.add_column(name, justify="right" if place else "left", overflow="ellipsis")
    for row in rows:
        table.add_row(*row)
    return table
