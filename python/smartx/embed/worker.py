"""What a worker process does: load the encoder on its device, then make the parts it is given.

Started by `workers.py`. It ends when the connection is closed, and when its parent is no more.
"""

from __future__ import annotations

import importlib
import json
import os
import threading
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from smartx.corpus import open_corpus
from smartx.embed.encoders import EncoderSpec
from smartx.embed.encoding import EncodedParts
from smartx.embed.parts import PartFile
from smartx.embed.work import Work
from smartx.errors import SmartxError
from smartx.executors.worker import end_with
from smartx.progress import Silent


def main(descriptor: int, parent: int) -> None:
    """Talk with the parent over the socket `descriptor`, in JSON.

    It sends what to load, then parts; it hears ready, advance, note, done and failed.
    """
    os.set_inheritable(descriptor, False)
    threading.Thread(target=end_with, args=(parent,), daemon=True).start()
    link: Connection[Any, Any] = Connection(descriptor)
    one = threading.Lock()

    def tell(kind: str, *content: Any) -> None:
        with one:
            link.send_bytes(json.dumps([kind, *content]).encode())

    try:
        _work(link, tell)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the parent needs nothing more
    except SmartxError as problem:
        tell("failed", type(problem).__name__, problem.fault, problem.place, problem.fix)
    except Exception as problem:
        line = (str(problem).strip().splitlines() or [""])[0][:200]
        tell("failed", type(problem).__name__, f"{type(problem).__name__}: {line}", "", "")


def _work(link: Connection[Any, Any], tell: Any) -> None:
    job = json.loads(link.recv_bytes())
    module, name = job["loader"].split(":")
    loaded = getattr(importlib.import_module(module), name)
    spec, notes = EncoderSpec(**job["spec"]), _Notes(tell)
    with loaded(spec, notes) as encoder:
        parts = EncodedParts(open_corpus(Path(job["corpus"])), encoder, spec.turns)
        tell("ready", parts.made_by)
        notes.ready = True
        for made in parts.encoded(_asked_for(link), lambda amount: tell("advance", amount)):
            tell("done", vars(made.commit().vectors))


def _asked_for(link: Connection[Any, Any]) -> Iterator[Work]:
    """The parts to make, as they are named. Raises EOFError where nothing more is needed."""
    while True:
        (folder, number, key), rows, digests, own_system = json.loads(link.recv_bytes())
        yield Work(
            PartFile(Path(folder), number, key),
            np.array(rows, dtype=np.int64),
            np.array(digests, dtype=np.uint64),
            np.array(own_system, dtype=np.int64),
        )


class _Notes(Silent):
    """Tells what the encoder notes while it works; how it is loaded the parent says for all."""

    def __init__(self, tell: Any) -> None:
        self._tell, self.ready = tell, False

    def note(self, message: str) -> None:
        """One line."""
        if self.ready:
            self._tell("note", message)
