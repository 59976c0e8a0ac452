"""A command up to where its stage can be divided, and one shard of that stage.

Shards work side by side under a shared lock. What all of them need first (found tasks, rows that
are left out, features) is made by whoever comes first, alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from smartx.engine.on_card import similarities_on
from smartx.files import NotAlone
from smartx.lock import working_beside
from smartx.progress import counted, step
from smartx.session import Session
from smartx.units import Divided, share


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
            return f"{self.stage} {shard}: nothing to do, the stage is finished"
        before = f", {self.there:,} were there" if self.there else ""
        return (
            f"{self.stage} {shard}: {counted(self.made, 'unit')} made{before}; when all shards are "
            f"through, smartx {self.stage} without --shard finishes the stage"
        )


class _Reached(Exception):  # noqa: N818, a way out of the command and no fault
    def __init__(self, work: Divided) -> None:
        self.work = work


def divided(session: Session, stage: str) -> Divided | None:
    """The units of a stage ("rank", "embed") of a command, after what they need was made.

    None: the stage is finished. Raises NotAlone beside others, where something is not there.
    """

    def reached(work: Divided) -> None:
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
        for unit in missing:
            work.make(unit, lambda _: None)
            advance(1)
    return Shard(stage, len(missing), len(own) - len(missing), finished=False)


@contextmanager
def making(session: Session, work: Divided) -> Iterator[None]:
    """What holds while units are made."""
    with similarities_on(session.config.device, session.progress):
        try:
            yield
        finally:
            work.close()


def _rank(session: Session) -> None:
    session.group()
    session.rank()


_STAGES: dict[str, Callable[[Session], object]] = {"rank": _rank, "embed": Session.embed}
