"""How long work tells what it is doing. The library only reports; cli.py decides what to print."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol


class Progress(Protocol):
    """Receives what happens. Implementations must be cheap: `advance` is called often."""

    def start(self, step: str, total: int | None, unit: str) -> None:
        """`step` begins; it will do `total` units of work (None: not known beforehand)."""

    def advance(self, amount: int) -> None:
        """`amount` more units of the running step are done."""

    def finish(self) -> None:
        """The running step is over."""

    def note(self, message: str) -> None:
        """Something a person should know: a guess that was made, work that was reused."""


class Silent:
    """The default: says nothing."""

    def start(self, step: str, total: int | None, unit: str) -> None:
        """Ignore."""

    def advance(self, amount: int) -> None:
        """Ignore."""

    def finish(self) -> None:
        """Ignore."""

    def note(self, message: str) -> None:
        """Ignore."""


def warn(progress: Progress, message: str) -> None:
    """Tell something that nobody should overlook: shown even where progress is not wanted.

    An implementation that has a method `warn` gets it there, any other as a note.
    """
    tell: Callable[[str], None] = getattr(progress, "warn", progress.note)
    tell(message)


def stages(progress: Progress, names: Sequence[str]) -> None:
    """Tell which stages are to come, in order. An implementation without a method `stages` is not
    told.
    """
    tell: Callable[[Sequence[str]], None] | None = getattr(progress, "stages", None)
    if tell is not None:
        tell(names)


def stage(progress: Progress, name: str) -> None:
    """Tell that a stage begins; those before it are over. Told as `stages` is."""
    tell: Callable[[str], None] | None = getattr(progress, "stage", None)
    if tell is not None:
        tell(name)


@contextmanager
def step(
    progress: Progress, name: str, total: int | None, unit: str
) -> Iterator[Callable[[int], None]]:
    """Report one step from start to finish; gives the function that advances it."""
    progress.start(name, total, unit)
    try:
        yield progress.advance
    finally:
        progress.finish()


def counted(number: int, one: str) -> str:
    """A number of things: "1 task", "1,840 tasks"; of bytes as `size` has it."""
    if one == "byte":
        return size(number)
    return f"{number:,} {one}" if number == 1 else f"{number:,} {one}s"


def duration(seconds: float) -> str:
    """A length of time for people: 0.4 s, 12 s, 3m05s, 2h07m."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02d}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m"


def size(amount: float) -> str:
    """A number of bytes for people: 512 B, 1.4 MiB, 13 GiB."""
    units = ["B", "KiB", "MiB", "GiB", "TiB"]
    while amount >= 1024 and len(units) > 1:
        amount /= 1024
        del units[0]
    digits = 1 if amount < 10 and units[0] != "B" else 0
    return f"{amount:.{digits}f} {units[0]}"
