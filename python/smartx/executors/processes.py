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
def processes(count: int, job: Job, memory: int, progress: Progress) -> Iterator[Processes]:
    """A crew of so many processes; all are gone when the block ends.

    memory: bytes that all of them may take together.
    """
    crew = Processes(count, job, memory, progress)
    try:
        yield crew
    finally:
        crew.close()


class Processes:
    """Processes, each with one unit at a time; implements smartx.executors.drive.Crew.

    Units that need much memory are made beside fewer others, the largest alone. A process that dies
    is replaced. Raises WorkerError where one dies before it is ready.
    """

    def __init__(self, count: int, job: Job, memory: int, progress: Progress) -> None:
        self._job, self._memory, self._progress = job, memory, progress
        self._children: dict[Child, str] = {}  # and the unit that each makes, or nothing
        self._taken: dict[str, int] = {}  # bytes of each unit that is being made
        self._ready: set[Child] = set()
        self._count = count

    @property
    def memory(self) -> int:
        """Of all together."""
        return self._memory

    def room(self) -> int:
        """How many have nothing to do, or are yet to be started."""
        return self._count - sum(bool(name) for name in self._children.values())

    def fits(self, unit: Unit) -> bool:
        """Beside those that are being made; alone any unit does."""
        return not self._taken or sum(self._taken.values()) + unit.memory <= self._memory

    def give(self, unit: Unit) -> None:
        """To one that is free; one is started where none is."""
        self._taken[unit.name] = unit.memory
        free = [child for child, name in self._children.items() if not name]
        child = free[0] if free else self._started()
        self._children[child] = unit.name
        child.say(unit.name)  # one that cannot hear it any more is heard to have died

    def hear(self) -> Sequence[Heard]:
        """At least one message; the fate of the units that it is about."""
        busy = {child.link: child for child, name in self._children.items() if name}
        found = (self._message(busy[link]) for link in wait(list(busy)) if link in busy)
        fates = [heard for heard in found if heard is not None]
        for heard in fates:
            del self._taken[heard.unit]
        return fates

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
    kinds: dict[str, type[SmartxError]] = {one.__name__: one for one in known}
    kinds["CorpusError"] = InputError  # which has no place in a file
    return kinds.get(kind, WorkerError)(f"{fault} (in {doing})", place=place, fix=fix or _KEPT)
