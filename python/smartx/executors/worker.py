"""What a worker process does: open a job, then make the units that it is given.

Started by `child.py`. It ends when the connection is closed, and when its parent is no more.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any, Protocol

from smartx.errors import SmartxError
from smartx.executors.job import Job

OPENER = "smartx.dividing:opened"  # a room further up: named, not imported
_LOOK_SECONDS = 0.2


class Opened(Protocol):
    """A job at work in this process."""

    def make(self, name: str) -> None:
        """Make a unit, by name."""


def open_job(job: Job, note: Callable[[str], None]) -> Opened:
    """Get ready for the units of a job. Raises SmartxError where this process cannot."""
    module, name = OPENER.split(":")
    opened: Opened = getattr(import_module(module), name)(job, note)
    return opened


def main(descriptor: int, parent: int) -> None:
    """Talk with the parent over the socket `descriptor`, in JSON.

    It sends a job, then names of units; it hears ready (with the answer of the handshake), note,
    made and failed.
    """
    os.set_inheritable(descriptor, False)
    threading.Thread(target=end_with, args=(parent,), daemon=True).start()
    link: Connection[Any, Any] = Connection(descriptor)

    def tell(kind: str, *content: Any) -> None:
        link.send_bytes(json.dumps([kind, *content]).encode())

    try:
        _work(link, tell)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the parent needs nothing more
    except BaseException as problem:
        tell("failed", *told(problem))


def _work(link: Connection[Any, Any], tell: Callable[..., None]) -> None:
    job = Job.read(json.loads(link.recv_bytes()))
    answer = job.answer()
    opened = open_job(job, lambda message: tell("note", message))
    tell("ready", answer)
    while True:
        name = json.loads(link.recv_bytes())
        opened.make(name)
        tell("made", name)


def told(problem: BaseException) -> list[str]:
    """An error in words: kind, fault, place, fix."""
    if isinstance(problem, SmartxError):
        return [type(problem).__name__, problem.fault, problem.place, problem.fix]
    line = (str(problem).strip().splitlines() or [""])[0][:200]
    return [type(problem).__name__, f"{type(problem).__name__}: {line}", "", ""]


def end_with(parent: int) -> None:
    """A parent that was killed can end nobody; its children then belong to another process."""
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    os._exit(1)
