"""A process that makes parts of the measures, one at a time, as it is told over a socket."""

from __future__ import annotations

import json
import os
import threading
from multiprocessing.connection import Connection
from typing import Any

from smartx.clean.measuring import parts_of
from smartx.executors.worker import end_with, told


def main(descriptor: int, parent: int) -> None:
    """Talk with the parent over the socket `descriptor`: a job, then numbers of parts; it hears
    made or failed of each. It ends with its parent.
    """
    os.set_inheritable(descriptor, False)
    threading.Thread(target=end_with, args=(parent,), daemon=True).start()
    link: Connection[Any, Any] = Connection(descriptor)
    try:
        parts = parts_of(link.recv_bytes().decode())
        while True:
            number = int(json.loads(link.recv_bytes()))
            parts.make(number)
            link.send_bytes(json.dumps(["made", number]).encode())
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the parent needs nothing more
    except BaseException as problem:
        link.send_bytes(json.dumps(["failed", *told(problem)]).encode())
