"""Standard output and error that never undo work: what they cannot take is kept as a fault.

A mixture that is written stands, whether or not the terminal, pipe or file behind the standard
streams still takes text, and in whatever encoding.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TextIO, cast

# Exit statuses; `smartx --help` and docs/command_line.md say what they mean.
FAILED = 1  # it could not be done: a disk, the memory, a damaged file, an encoder
REFUSED = 2  # what was asked for cannot be: an option, a file or a column is at fault
INTERRUPTED = 128 + signal.SIGINT
KILLED = 128 + signal.SIGTERM
BROKEN_PIPE = 128 + signal.SIGPIPE  # whoever read the output has gone


_ADDRESSES, _ADDRESSES_OF_THREAD = 800 << 20, 16 << 20  # bytes of address space


class Killed(KeyboardInterrupt):
    """SIGTERM came: as Ctrl-C, with another exit status."""


def heed_kill() -> None:
    """Answer SIGTERM, as a batch system sends it, as Ctrl-C is answered: the cursor comes back,
    work that is done is kept, and it is said.
    """

    def stop(*_: object) -> None:
        raise Killed

    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, stop)


def address_space_fault() -> str:
    """What is wrong with the limit of this process's address space (`ulimit -v`); mostly nothing.

    Below it the libraries end the process with words of their own: OpenBLAS and Arrow find no room,
    OpenMP starts no thread. Measured: 800 MB do for a small run of two threads, 700 MB do not.
    """
    try:
        import resource
    except ImportError:  # a system without such limits
        return ""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    least = _ADDRESSES + threads * _ADDRESSES_OF_THREAD
    if limit == resource.RLIM_INFINITY or limit >= least:
        return ""
    return (
        f"the address space of this process is limited to {limit >> 20:,} MiB, and {least >> 20:,} "
        "MiB are needed at least\n  fix: raise it (`ulimit -v unlimited`); --memory says how much "
        "memory may be used"
    )


class Stream:
    """A text stream that does not raise. fault: the first thing that it could not do."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.fault: OSError | None = None

    def write(self, text: str) -> int:
        """Write, or lose the text."""
        self._attempt(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Hand on what is buffered, or lose it."""
        self._attempt(self._stream.flush)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _attempt(self, act: Callable[[], object]) -> None:
        if self.fault is not None:
            return
        try:
            act()
        except OSError as problem:
            self.fault = problem
            _point_to_nothing(self._stream.fileno())  # what is buffered goes there at the end


def in_utf8() -> None:
    """Start again in Python's UTF-8 mode where paths have another encoding.

    The libraries that read and write our files take paths in UTF-8 only: in the C locale they fail
    on any other character, and in a Latin-1 one they write another file than the one named.
    """
    if sys.getfilesystemencoding().lower() == "utf-8" or not sys.executable:
        return
    streams = getattr(sys.stdout, "encoding", "ascii")
    mode = {"PYTHONUTF8": "1", "PYTHONIOENCODING": f"{streams}:backslashreplace"}
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **mode})


def guard() -> tuple[Stream, Stream]:
    """Let sys.stdout and sys.stderr be Streams that write in any encoding; returns both.

    A closed one writes to nothing, and its number is taken: else a file of ours would get it, and
    what libraries say would be written into that file.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            _point_to_nothing(descriptor)
    guarded = [_guarded(getattr(sys, name)) for name in ("stdout", "stderr")]
    sys.stdout, sys.stderr = (cast(TextIO, stream) for stream in guarded)
    return guarded[0], guarded[1]


def status(asked: int, out: Stream, err: Stream) -> int:
    """The exit status of a program that ended with `asked` and could not say all.

    A reader who went away is no fault to speak of; anything else is told on the other stream.
    """
    out.flush()
    if out.fault is not None and isinstance(out.fault, BrokenPipeError):
        asked = asked or BROKEN_PIPE
    elif out.fault is not None:
        asked = asked or 1
        err.write(f"not all could be printed ({out.fault.strerror}); what was written stands\n")
    err.flush()
    return asked


def _guarded(stream: TextIO | None) -> Stream:
    if stream is None:
        return Stream(open(os.devnull, "w", encoding="utf-8"))
    with suppress(AttributeError, ValueError):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[attr-defined]
    return Stream(stream)


def _point_to_nothing(descriptor: int) -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    if nothing != descriptor:
        os.dup2(nothing, descriptor)
        os.close(nothing)


class _Absent:
    """Finds no pandas, and says nothing of other modules."""

    def find_spec(self, name: str, *_: object) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name)


def spare_pandas() -> None:
    """Have pyarrow not look for pandas in this process: it would import all of it (0.3 s) just to
    see that no value is one of its own. Everybody else may still import it.
    """
    if "pandas" in sys.modules or "pyarrow" in sys.modules:
        return
    absent = _Absent()
    sys.meta_path.insert(0, absent)
    try:
        import pyarrow as pa

        pa.array([None])  # it looks once
    finally:
        sys.meta_path.remove(absent)
