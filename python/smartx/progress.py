"""How long work tells what it is doing. The library only reports; cli.py decides what to print."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
