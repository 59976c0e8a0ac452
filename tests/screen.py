"""A terminal for tests: runs a command in a pty and says what a person would see in it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Sequence

_SEQUENCE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|\x1b\][^\x07]*\x07")
SMARTX = "from smartx.cli import main; main()"


class Screen:
    """Lines of a terminal, those that scrolled out at the top included."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.lines: list[list[str]] = [[]]
        self.line = self.column = 0

    def feed(self, text: str) -> None:
        place = 0
        while place < len(text):
            found = _SEQUENCE.match(text, place)
            if found:
                place = found.end()
                self._obey(found[1] or "", found[2] or "")
                continue
            self._put(text[place])
            place += 1

    @property
    def text(self) -> str:
        return "\n".join("".join(line).rstrip() for line in self.lines)

    def _put(self, char: str) -> None:
        if char == "\r":
            self.column = 0
        elif char == "\n":
            self._down()
        elif char >= " ":
            if self.column == self.columns:  # what is too long goes on in the next line
                self.column = 0
                self._down()
            line = self.lines[self.line]
            line.extend(" " * (self.column + 1 - len(line)))
            line[self.column] = char
            self.column += 1

    def _down(self) -> None:
        self.line += 1
        if self.line == len(self.lines):
            self.lines.append([])

    def _obey(self, numbers: str, letter: str) -> None:
        count = int(numbers) if numbers.isdigit() else 1
        if letter == "A":  # up, but not above the top of the window
            self.line = max(self.line - count, len(self.lines) - self.rows, 0)
        elif letter == "K":
            keep = 0 if numbers == "2" else self.column
            del self.lines[self.line][keep:]
        elif letter not in "mhl" and numbers + letter:
            raise AssertionError(f"unknown sequence {numbers}{letter}")


def in_terminal(
    arguments: Sequence[object],
    columns: int = 80,
    rows: int = 24,
    limit: float = 120.0,
    code: str = SMARTX,
    hang_up: bool = False,
    **environment: str,
) -> tuple[int, str]:
    """(exit status, what stands on the screen) of `smartx`, or other code, with these arguments."""
    here, there = pty.openpty()
    fcntl.ioctl(there, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    quiet = {"COLUMNS", "LINES", "NO_COLOR", "TERM"}
    own = {name: value for name, value in os.environ.items() if name not in quiet}
    running = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=there, stdout=there, stderr=there, env={**own, "TERM": "xterm", **environment},
        start_new_session=True,
    )  # fmt: skip
    os.close(there)
    said, deadline = b"", time.monotonic() + (0 if hang_up else limit)
    while time.monotonic() < deadline:
        if not select.select([here], [], [], 0.2)[0]:
            continue
        try:
            said += os.read(here, 65_536)
        except OSError:  # the other end is closed
            break
    os.close(here)
    screen = Screen(columns, rows)
    screen.feed(said.decode(environment.get("PYTHONIOENCODING", "utf-8")))
    return running.wait(timeout=30), screen.text
