"""What this process, and those that it started, hold of the memory right now."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")


def memory_in_use(pid: int | None = None) -> int | None:
    """Bytes resident of a process (this one) and of all that it started, by the kernel's count.

    Pages that several of them share are counted for each. None where there is no /proc.
    """
    first = os.getpid() if pid is None else pid
    held = [_resident(one) for one in _with_children(first)]
    known = [one for one in held if one is not None]
    return sum(known) if known else None


def _with_children(pid: int) -> Iterator[int]:
    yield pid
    with suppress(OSError):  # it has ended, or this kernel does not list children
        for thread in (_PROC / str(pid) / "task").iterdir():
            for child in (thread / "children").read_text().split():
                yield from _with_children(int(child))


def _resident(pid: int) -> int | None:
    with suppress(OSError, IndexError, ValueError):
        pages = (_PROC / str(pid) / "statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")
    return None
