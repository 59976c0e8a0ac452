"""Units made by several processes of this machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import wait

from smartx.errors import (
    ConfigError,
    EncoderError,
    InputError,
    SmartxError,
    StoreError,
    WorkerError,
)
from smartx.executors.child import Child
from smartx.executors.drive import Heard
from smartx.executors.job import Job, check_answer
from smartx.progress import Progress
from smartx.units import Unit

WORKER = "smartx.executors.worker:main"
_KEPT = "finished units are kept, and the same command goes on from there"


@contextmanager
def processes(count: int, job: Job, progress: Progress) -> Iterator[Processes]:
    """A crew of so many processes; all are gone when the block ends."""
    crew = Processes(count, job, progress)
    try:
        yield crew
    finally:
        crew.close()


class Processes:
    """Processes, each with one unit at a time; implements smartx.executors.drive.Crew.

    One that dies is replaced. Raises WorkerError where one dies before it is ready.
    """

    def __init__(self, count: int, job: Job, progress: Progress) -> None:
        self._job, self._progress = job, progress
        self._children: dict[Child, str] = {}  # and the unit that each makes, or nothing
        self._ready: set[Child] = set()
        self._count = count

    def room(self) -> int:
        """How many have nothing to do, or are yet to be started."""
        return self._count - sum(bool(name) for name in self._children.values())

    def give(self, unit: Unit) -> None:
        """To one that is free; one is started where none is."""
        free = [child for child, name in self._children.items() if not name]
        child = free[0] if free else self._started()
        self._children[child] = unit.name
        child.say(unit.name)  # one that cannot hear it any more is heard to have died

    def hear(self) -> Sequence[Heard]:
        """At least one message; the fate of the units that it is about."""
        busy = {child.link: child for child, name in self._children.items() if name}
        found = (self._message(busy[link]) for link in wait(list(busy)) if link in busy)
        return [heard for heard in found if heard is not None]

    def close(self) -> None:
        """End all."""
        for child in self._children:
            child.process.kill()
        for child in self._children:
            child.close()
        self._children = {}

    def _started(self) -> Child:
        child = Child(WORKER)
        self._children[child] = ""
        child.say(self._job.json())
        return child

    def _message(self, child: Child) -> Heard | None:
        message = child.hear()
        if message is None:
            return self._death(child)
        kind, *content = message
        if kind == "ready":
            check_answer(self._job, content[0], "a worker process")
            self._ready.add(child)
        elif kind == "note":
            self._progress.note(content[0])
        elif kind == "failed":
            raise as_error(*content, doing=self._children[child])
        elif kind == "made":
            self._children[child] = ""
            return Heard(content[0])
        return None

    def _death(self, child: Child) -> Heard:
        name, (_, how) = self._children.pop(child), child.ending()
        child.close()
        if child not in self._ready:
            raise WorkerError(f"a worker process ended before any work ({how})", fix=_KEPT)
        return Heard(name, how)


def as_error(kind: str, fault: str, place: str, fix: str, *, doing: str) -> SmartxError:
    """An error of a worker, as one of this process. doing: the unit that it made."""
    known = (StoreError, InputError, ConfigError, EncoderError, WorkerError)
    kinds = {one.__name__: one for one in known}
    return kinds.get(kind, WorkerError)(f"{fault} (in {doing})", place=place, fix=fix or _KEPT)
