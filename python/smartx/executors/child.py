"""A process of our own, and what is said to it and heard from it: JSON over a socket.

Started fresh (no fork: torch and OpenMP do not survive one) and without the caller's main module,
so that a script needs no guard. It ends when the connection is closed, and with its parent.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

_ENDING_SECONDS = 5.0


class Child:
    """A process that runs `module:function`, which is called with a descriptor and our id."""

    def __init__(self, program: str, environment: Mapping[str, str] | None = None) -> None:
        """program: "module:function".  environment: what is set besides what is set here."""
        self.link: Connection[Any, Any]
        self.link, theirs = Pipe()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115, closed by `close`
        module, function = program.split(":")
        text = (
            f"import sys; sys.path[:] = {sys.path!r}; from {module} import {function}; "
            f"{function}({theirs.fileno()}, {os.getpid()})"
        )
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-c", text],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                start_new_session=True,  # a Ctrl-C is for the parent, which ends its workers
                env={**os.environ, **(environment or {})},
            )

    def say(self, message: Any) -> bool:
        """Send a message; False where nobody hears it any more."""
        try:
            self.link.send_bytes(json.dumps(message).encode())
        except OSError:
            return False
        return True

    def hear(self) -> list[Any] | None:
        """What it says next, waiting for it; None where it is no more."""
        try:
            heard: list[Any] = json.loads(self.link.recv_bytes())
        except (EOFError, OSError):
            return None
        return heard

    def ending(self) -> tuple[int, str]:
        """Its status and how it ended, in words. Ends it, where only its socket is gone."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(_ENDING_SECONDS)
        self.process.kill()
        status = self.process.wait()
        how = signal.Signals(-status).name if status < 0 else f"status {status}"
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return status, how + (f": {lines[-1][:200]}" if lines else "")

    def close(self) -> None:
        """End it; leaves no zombie."""
        self.process.kill()
        self.process.wait()
        self.link.close()
        self._errors.close()
