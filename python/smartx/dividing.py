"""A command up to where its stage can be divided: one shard of that stage, or a worker's units.

Shards work side by side under a shared lock. What all of them need first (found tasks, rows that
are left out, features) is made by whoever comes first, alone. Workers of an executor work under the
lock of the process that started them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from smartx.engine.on_card import similarities_on
from smartx.errors import WorkerError
from smartx.executors.job import Job
from smartx.files import NotAlone
from smartx.lock import working_beside, working_for
from smartx.progress import Silent, counted, step
from smartx.session import WORKER, Session
from smartx.units import Divided, Unit, share


@dataclass(frozen=True)
class Shard:
    """What one shard did. made, there: units of it that were made now, and before.

    stage: what was divided.  finished: the whole stage is, so that there was nothing to do.
    """

    stage: str
    made: int
    there: int
    finished: bool

    def line(self, shard: str) -> str:
        """For people. shard: as it was asked for."""
        if self.finished:
            return f"{self.stage} {shard}: nothing to do, all is there"
        before = f", {self.there:,} were there" if self.there else ""
        return (
            f"{self.stage} {shard}: {counted(self.made, 'unit')} made{before}; when all shards are "
            f"through, smartx {self.stage} without --shard finishes the stage"
        )


class _Reached(Exception):  # noqa: N818, a way out of the command and no fault
    def __init__(self, work: Divided) -> None:
        self.work = work


def divided(session: Session, stage: str, key: str = "") -> Divided | None:
    """The units of a stage ("ingest", "embed", "rank") of a command, after what they need was made.

    A stage that is divided more than once, one after another, gives the first units of which some
    are missing, or those with this key. None: there are none, and the stage is finished.
    Raises NotAlone beside others, where something is not there.
    """

    def reached(work: Divided) -> None:
        if work.key == key or not all(work.done(unit) for unit in work.units()):
            raise _Reached(work)

    before, session.divide = session.divide, reached
    try:
        _STAGES[stage](session)
    except _Reached as found:
        return found.work
    finally:
        session.divide = before
    return None


def make_shard(session: Session, stage: str, shard: int, of: int) -> Shard:
    """Make the units of one shard of so many that are not there yet."""
    while True:
        with working_beside(session.run.folder, session.progress):
            try:
                work = divided(session, stage)
            except NotAlone:
                pass
            else:
                return _make(session, stage, work, shard, of)
        with session.alone():
            divided(session, stage)


def _make(session: Session, stage: str, work: Divided | None, shard: int, of: int) -> Shard:
    if work is None:
        return Shard(stage, 0, 0, finished=True)
    own = share(work.units(), shard, of)
    missing = [unit for unit in own if not work.done(unit)]
    name = f"{stage}, shard {shard}/{of}"
    with (
        making(session, work),
        step(session.progress, name, len(missing), "units") as advance,
    ):
        for _ in _made(work, missing):
            advance(1)
    return Shard(stage, len(missing), len(own) - len(missing), finished=False)


def _made(work: Divided, units: Sequence[Unit]) -> Iterator[Unit]:
    """Units as they are made; together where the stage has devices for several at once."""
    together = getattr(work, "make_all", None)
    if together is not None and units:
        yield from together(units, lambda _: None)
        return
    for unit in units:
        work.make(unit, lambda _: None)
        yield unit


@contextmanager
def making(session: Session, work: Divided) -> Iterator[None]:
    """What holds while units are made."""
    with similarities_on(session.config.device, session.progress):
        try:
            yield
        finally:
            work.close()


def opened(job: Job, note: Callable[[str], None]) -> Opened:
    """A worker's part of a job. Raises WorkerError where it would not make the same units."""
    os.chdir(job.folder)
    session = Session(job.configuration(), Notes(note), command=WORKER)
    with working_for(session.run.folder):
        try:
            work = divided(session, job.stage, job.key)
        except NotAlone:
            work = None
    if work is None or work.key != job.key:
        raise WorkerError(
            f"the {job.stage} stage is another one here than where it is driven from",
            place=str(session.run.folder),
            fix="is it the same corpus, and the same file of a strategy of your own?",
        )
    return Opened(session, work)


class Opened:
    """A job at work in this process; implements smartx.executors.worker.Opened."""

    def __init__(self, session: Session, work: Divided) -> None:
        self._session, self._work = session, work
        self._units = {unit.name: unit for unit in work.units()}

    def make(self, name: str) -> None:
        """Make a unit, if nobody has meanwhile."""
        unit = self._units.get(name) or self._smaller(name)
        with (
            working_for(self._session.run.folder),
            similarities_on(self._session.config.device, self._session.progress),
        ):
            if not self._work.done(unit):
                self._work.make(unit, lambda _: None)

    def _smaller(self, name: str) -> Unit:
        whole = self._units[name.partition(".")[0]]
        return next(unit for unit in self._work.split(whole) if unit.name == name)


class Notes(Silent):
    """Hands on what is noted, and nothing else."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note

    def note(self, message: str) -> None:
        """One line."""
        self._note(message)


def _rank(session: Session) -> None:
    if session.command != WORKER:  # the rows are under their tasks already
        session.group()
    session.rank()


_STAGES: dict[str, Callable[[Session], object]] = {
    "ingest": Session.ingest,
    "embed": Session.embed,
    "rank": _rank,
}
