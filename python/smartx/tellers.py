"""How work is told to people and programs while it goes on: a live view on a terminal, plain lines
elsewhere, JSON lines for programs, or nothing but warnings. console.py chooses.

All of them write to standard error; names out of anybody's files are cleaned on the way.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.text import Text

from smartx.display import told
from smartx.errors import SmartxError, plain
from smartx.progress import counted, duration, size
from smartx.usage import memory_in_use

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.progress import TaskID

LOG_SECONDS = 10.0  # before the first line of a step that goes on; each pause is twice the last
LOG_LONGEST = 120.0  # seconds of the longest pause
EVENT_SECONDS = 1.0  # between two events of one step
VIEW_SECONDS = 0.1  # between two pictures of a live view


class Quiet:
    """Nothing but warnings and errors."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.began = time.monotonic()
        self.most = 0  # bytes that were ever seen in use

    def __enter__(self) -> Quiet:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def stages(self, names: Sequence[str]) -> None:
        """Which stages are to come."""

    def stage(self, name: str) -> None:
        """A stage begins."""

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
        self._console.print(told(f"warning: {message}", "yellow"), soft_wrap=True)

    def error(self, message: str, status: int, problem: SmartxError | None = None) -> None:
        """Why the command ends with `status`. problem: with place, fault and fix, if it has them.

        message: for people, cleaned already.
        """
        self._console.print(Text(message, style="red"), soft_wrap=True)

    def end(self, status: int) -> None:
        """The command is over, and so is its outcome."""

    def memory(self) -> int | None:
        """Bytes in use, also by processes that were started; None where it is not known."""
        used = memory_in_use()
        self.most = max(self.most, used or 0)
        return used


class Counting(Quiet):
    """Knows how far the running step is."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self.step, self.unit = "", ""
        self.total: int | None = None
        self.done = 0
        self.started = self.began
        self._first: tuple[float, int] | None = None  # when work began to flow, and how much had

    def start(self, step: str, total: int | None, unit: str) -> None:
        """A step begins."""
        self.step, self.total, self.unit, self.done = step, total, unit.removesuffix("s"), 0
        self._first = None
        self.started = time.monotonic()

    def advance(self, amount: int) -> None:
        """Count."""
        self.done += amount
        self._first = self._first or (time.monotonic(), self.done)

    def rate(self, now: float) -> float | None:
        """Units a second. It leaves out what came before the first advance (loading, say)."""
        began, before = self._first or (now, self.done)
        return None if now == began or self.done == before else (self.done - before) / (now - began)

    def left(self, now: float) -> float | None:
        """Seconds until the step is done, if it goes on so."""
        rate = self.rate(now)
        return (self.total - self.done) / rate if self.total and rate else None

    def so_far(self, *, cut: bool = False) -> str:
        """How much is done, and of how much. cut: the latter only where it was not reached."""
        if not self.total or (cut and self.done == self.total):
            return counted(self.done, self.unit)
        done = f"{self.done:,}" if self.unit != "byte" else size(self.done)
        return f"{done} of {counted(self.total, self.unit)}"

    def state(self, now: float) -> str:
        """How far it is, how fast, and how long it will take."""
        rate, left = self.rate(now), self.left(now)
        words = [self.so_far()]
        words += [_rate_words(rate, self.unit)] if rate is not None else []
        words += [f"{duration(left)} left"] if left is not None else []
        return ", ".join(words)


class LogLines(Counting):
    """Progress as plain lines: one when a step ends, and while it goes on one at times: after 10
    seconds, then after 20 more, and so on up to every two minutes.
    """

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._pause = LOG_SECONDS
        self._last_line = self.began

    def start(self, step: str, total: int | None, unit: str) -> None:
        """A step begins."""
        super().start(step, total, unit)
        self._last_line, self._pause = self.started, LOG_SECONDS

    def advance(self, amount: int) -> None:
        """Count, and write a line if the last one is long ago."""
        super().advance(amount)
        now = time.monotonic()
        if now - self._last_line >= self._pause:
            self._last_line, self._pause = now, min(2 * self._pause, LOG_LONGEST)
            used = self.memory()
            memory = f", {size(used)} of memory" if used else ""
            self.note(f"{self.step}: {self.state(now)}{memory}")

    def finish(self) -> None:
        """The step is over, or given up."""
        seconds = time.monotonic() - self.started
        self.note(f"{self.step}: {self.so_far(cut=True)} in {duration(seconds)}")

    def note(self, message: str) -> None:
        """A line of its own."""
        self._console.print(told(message), soft_wrap=True)


class JsonLines(Counting):
    """One JSON object a line, in ASCII, for programs. docs/command_line.md lists the events."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._last = self.began

    def stages(self, names: Sequence[str]) -> None:
        """Which stages are to come."""
        self._tell("stages", stages=list(names))

    def stage(self, name: str) -> None:
        """A stage begins."""
        self._tell("stage", stage=name)

    def start(self, step: str, total: int | None, unit: str) -> None:
        """A step begins."""
        super().start(step, total, unit)
        self._last = self.started
        self._tell("start", step=step, total=total, unit=self.unit)

    def advance(self, amount: int) -> None:
        """Count; an event a second at most."""
        super().advance(amount)
        now = time.monotonic()
        if now - self._last >= EVENT_SECONDS:
            self._last = now
            rate, left = self.rate(now), self.left(now)
            self._tell("progress", **self._counted(), per_second=rate, seconds_left=left)

    def finish(self) -> None:
        """The step is over, or given up: then `done` is below `total`."""
        self._tell("finish", **self._counted(), seconds=time.monotonic() - self.started)

    def note(self, message: str) -> None:
        """Something of interest."""
        self._tell("note", message=told(message).plain)

    def warn(self, message: str) -> None:
        """Something that nobody should overlook."""
        self._tell("warning", message=told(message).plain)

    def error(self, message: str, status: int, problem: SmartxError | None = None) -> None:
        """Why the command ends with `status`."""
        parts: dict[str, str] = {}
        if problem is not None:
            parts = {"place": problem.place, "fault": problem.fault, "fix": problem.fix}
            parts = {name: told(text).plain for name, text in parts.items()}
        self._tell("error", status=status, message=message, **parts)

    def end(self, status: int) -> None:
        """The command is over."""
        self.memory()
        seconds = time.monotonic() - self.began
        self._tell("end", status=status, seconds=seconds, most_memory_bytes=self.most or None)

    def _counted(self) -> dict[str, Any]:
        counts = {"step": self.step, "done": self.done, "total": self.total, "unit": self.unit}
        return {**counts, "memory_bytes": self.memory()}

    def _tell(self, event: str, **facts: Any) -> None:
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        rounded = {k: round(v, 3) if isinstance(v, float) else v for k, v in facts.items()}
        self._console.file.write(json.dumps({"time": now, "event": event, **rounded}) + "\n")
        self._console.file.flush()


class Bars(LogLines):
    """A live view: the stages, time and memory in a line, and the step that runs, with rate and
    time left; lines above them for all else.

    A finished step becomes a line, so what moves is never higher than two lines. Warnings are told
    once more at the end, where they are seen. All that draws holds one lock: rich's own thread
    would draw a view of another height between a line and the view below it, over the line.
    """

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._signs = _UTF8 if console.encoding.lower().startswith("utf") else _ASCII
        self._bar: TaskID | None = None
        self._stages: list[str] = []
        self._stage = -1  # place in them of the one that runs
        self._seen = (0.0, "")  # memory, and when it was asked for
        self._warnings: list[str] = []
        self._bars = _view(console, self._signs.spinner, self.lines, self._now)
        self._drawing, self._over = threading.RLock(), threading.Event()

    def __enter__(self) -> Bars:
        self._bars.start()
        threading.Thread(target=self._draw_again, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        with self._drawing:
            self._clear()
            self._bars.close()

    def stages(self, names: Sequence[str]) -> None:
        """Which stages are to come."""
        self._stages, self._stage = list(names), -1

    def stage(self, name: str) -> None:
        """A stage begins; one that was not told stands behind the others."""
        later = self._stages[max(self._stage, 0) :]
        if name not in later:
            self._stages.append(name)
        self._stage = self._stages.index(name, max(self._stage, 0))

    def start(self, step: str, total: int | None, unit: str) -> None:
        """A step begins: a bar."""
        super().start(step, total, unit)
        with self._drawing:
            self._clear()
            self._bar = self._bars.add_task(escape(plain(step)), total=total)

    def advance(self, amount: int) -> None:
        """Move the bar."""
        Counting.advance(self, amount)
        if self._bar is not None:
            self._bars.advance(self._bar, amount)

    def finish(self) -> None:
        """The bar becomes a line."""
        with self._drawing:
            self._clear()
            super().finish()

    def note(self, message: str) -> None:
        """A line above the view, broken between words: the place of the view must be known."""
        with self._drawing:
            self._console.print(told(message))

    def warn(self, message: str) -> None:
        """A line above the view."""
        with self._drawing:
            self._console.print(told(f"warning: {message}", "yellow"))
        self._warnings.append(message)

    def end(self, status: int) -> None:
        """Tell again what nobody should overlook, behind all else."""
        for message in self._warnings:
            super().warn(message)

    def lines(self) -> Iterable[Text]:
        """The line of the stages, then time and memory."""
        words = Text(no_wrap=True, overflow="ellipsis")
        for place, name in enumerate(self._stages):
            sign, style = self._signs.of(place - self._stage)
            words.append(f"{sign} {plain(name).replace('_', ' ')}  ", style=style)
        since = duration(time.monotonic() - self.began)
        words.append(", ".join(filter(None, [since, self._memory()])), style="cyan")
        return [words]

    def _memory(self) -> str:
        now = time.monotonic()
        if now - self._seen[0] >= EVENT_SECONDS:
            used = self.memory()
            self._seen = now, f"{size(used)} of memory" if used else ""
        return self._seen[1]

    def _now(self) -> str:
        """What stands behind the bar."""
        return self.state(time.monotonic())

    def _draw_again(self) -> None:
        """Keeps what moves moving."""
        while not self._over.wait(VIEW_SECONDS):
            with self._drawing:
                if not self._over.is_set():
                    self._bars.refresh()

    def _clear(self) -> None:
        if self._bar is not None:
            self._bars.remove_task(self._bar)
            self._bar = None


class _Signs:
    """What stands before a stage, and the kind of spinner."""

    def __init__(self, over: str, now: str, later: str, spinner: str) -> None:
        self._signs = {-1: (over, "green"), 0: (now, "bold"), 1: (later, "dim")}
        self.spinner = spinner

    def of(self, ahead: int) -> tuple[str, str]:
        """(sign, style) of a stage that is so many places ahead of the one that runs."""
        return self._signs[(ahead > 0) - (ahead < 0)]


_UTF8, _ASCII = _Signs("✓", "▸", "·", "dots"), _Signs("+", ">", "-", "line")


def _view(
    console: Console, spinner: str, lines: Callable[[], Iterable[Text]], state: Callable[[], str]
) -> Any:
    """Rich's bars with our own last column, and lines of ours below."""
    from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn

    class State(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(state(), style="cyan", no_wrap=True, overflow="ellipsis")

    class View(Progress):
        over = False

        def get_renderables(self) -> Iterable[RenderableType]:
            if self.tasks:
                yield self.make_tasks_table(self.tasks)
            if not self.over:
                yield from lines()

        def close(self) -> None:
            """Nothing of it stays."""
            self.over = True
            self.stop()

    words = TextColumn("{task.description}")
    columns = (SpinnerColumn(spinner), words, BarColumn(20), State())
    return View(*columns, console=console, transient=True, auto_refresh=False)


def _rate_words(rate: float, unit: str) -> str:
    if unit == "byte":
        return f"{size(rate)}/s"
    return f"{rate:,.0f} {unit}s/s" if rate >= 10 else f"{rate:.1f} {unit}s/s"
