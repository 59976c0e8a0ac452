"""One run at a time in a run folder: a second one waits until the first is over.

Shards of a stage work side by side: they share the lock, and whoever works alone waits for all.

The lock spares work; it is not what keeps the files right. Where a file system has no locks, two
runs in one folder at worst make each other fail or start again: names and bytes of all files depend
on what goes into them alone, and every file appears whole.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from io import FileIO
from pathlib import Path

from smartx.files import beside_others, canonical_json, own, storing, sweep
from smartx.progress import Progress
from smartx.run_folder import LOCK

_LOOK_SECONDS = 0.1
_held = threading.local()  # .folders: what this thread has locked
_open_locks: set[FileIO] = set()


@contextmanager
def working_in(folder: Path, progress: Progress) -> Iterator[None]:
    """Hold the lock of a run folder, which is made if need be; a thread may ask again inside.

    While it is held, RUN/.lock says who holds it. Half-written files directly in the folder, which
    nobody can be writing any more, are deleted. Raises StoreError where the folder holds anything
    and has no mark of ours, or cannot be written.
    """
    with _holding(folder, progress, fcntl.LOCK_EX) as first:
        if first:
            sweep(folder)
        yield


@contextmanager
def working_beside(folder: Path, progress: Progress) -> Iterator[None]:
    """As `working_in`, but together with others who ask for the same (`files.beside_others`)."""
    with _holding(folder, progress, fcntl.LOCK_SH), beside_others():
        yield


@contextmanager
def working_for(folder: Path) -> Iterator[None]:
    """In a process that was started by one that holds the lock: it is held for this one too."""
    place, mine = os.path.realpath(folder), _places()
    mine.add(place)
    try:
        with beside_others():
            yield
    finally:
        mine.discard(place)


@contextmanager
def _holding(folder: Path, progress: Progress, kind: int) -> Iterator[bool]:
    """Hold the lock. kind: fcntl.LOCK_EX or LOCK_SH.  Gives whether this thread did not before."""
    place, mine = os.path.realpath(folder), _places()
    if place in mine:
        yield False
        return
    own(folder, "run folder")
    with storing(folder):
        file = FileIO(folder / LOCK, "a+", opener=_opened)
    with file:
        _open_locks.add(file)
        _wait(file, folder, progress, kind)
        mine.add(place)
        try:
            _sign(file)
            yield True
        finally:
            mine.discard(place)
            _open_locks.discard(file)
            with suppress(OSError, ValueError):  # ValueError: closed, in a forked child
                file.truncate(0)
                fcntl.flock(file, fcntl.LOCK_UN)  # closing alone would leave it to copies


def _places() -> set[str]:
    """What this thread has locked."""
    mine: set[str] = _held.__dict__.setdefault("folders", set())
    return mine


def _opened(path: str, flags: int) -> int:
    """A link at the place of the lock is not followed: it may point to any file."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)


def _let_go() -> None:
    """A forked child holds no lock, or it would hold its parent's for as long as it lives."""
    for file in _open_locks:
        file.close()
    _open_locks.clear()
    _held.__dict__.clear()


os.register_at_fork(after_in_child=_let_go)


def _wait(file: FileIO, folder: Path, progress: Progress, kind: int) -> None:
    told = False
    while True:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if not told:
                told = True
                progress.note(f"waiting: {_owner(folder)} works in {folder}")
            time.sleep(_LOOK_SECONDS)
        except OSError as problem:
            progress.note(
                f"{folder} cannot be locked ({problem.strerror}): start no second run in it"
            )
            return
        else:
            return


def _sign(file: FileIO) -> None:
    """Say who holds the lock; for people only, so a full disk is no reason to stop."""
    owner = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
    with suppress(OSError):
        file.truncate(0)
        file.write(canonical_json(owner))


def _owner(folder: Path) -> str:
    try:
        owner = json.loads((folder / LOCK).read_bytes())
        return f"process {owner['pid']} on {owner['host']}, started {owner['started']},"
    except (OSError, ValueError, KeyError, TypeError):
        return "another run"
