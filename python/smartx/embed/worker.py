"""What a worker process does: load the encoder on its device, then make the shards it is given.

Started by `workers.py`. It ends when the connection is closed, and when its parent is no more.
"""

from __future__ import annotations

import importlib
import json
import os
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from smartx.corpus import open_corpus
from smartx.embed.encoders import EncodedShards, EncoderSpec
from smartx.embed.shards import Shard
from smartx.errors import SmartxError
from smartx.progress import Silent
from smartx.store import Sidecar

_LOOK_SECONDS = 0.2


def main(descriptor: int, parent: int) -> None:
    """Talk with the parent over the socket `descriptor`, in JSON.

    It sends what to load, then a shard at a time; it hears ready, advance, done and failed.
    """
    os.set_inheritable(descriptor, False)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    link: Connection[Any, Any] = Connection(descriptor)

    def tell(kind: str, *content: Any) -> None:
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
    with loaded(EncoderSpec(**job["spec"]), Silent()) as encoder:
        rows = EncodedShards(open_corpus(Path(job["corpus"])), encoder)
        tell("ready", rows.made_by)
        while True:
            start, stop, part, key = json.loads(link.recv_bytes())
            shard = Shard(start, stop, Sidecar(Path(part), key))
            made = rows.shard(start, stop, lambda amount: tell("advance", amount))
            tell("done", vars(shard.commit(made)))


def _end_with(parent: int) -> None:
    """A parent that was killed can end nobody; its children then belong to another process."""
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    os._exit(1)
