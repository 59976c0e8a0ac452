"""Files that appear whole or not at all, folders that carry our mark, and what may be deleted.

A file is written under a temporary name, flushed to disk, and renamed; the folder is flushed too.
A folder that we make carries the file `.smartx`. Nothing is written into a folder that holds
anything and has no mark, and nothing is deleted but what this file made: temporary files in marked
folders, by a word in their names that nobody else writes, and what was committed by this process.
What a disk refuses is a StoreError. A process that works beside others in a folder (one shard of a
stage) deletes no temporary files, which may be theirs, and begins no stage.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from smartx.errors import StoreError

MARK = ".smartx"
# In the name of everything half-written. Not a name that a person or another program chooses.
TEMPORARY = ".smartx-3f0c9d6e1b7a4852."
_REFUSALS = {
    errno.ENOSPC: "free some space, or choose another disk",
    errno.EDQUOT: "free some space, or have the quota raised",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f), or choose another disk",
    errno.EROFS: "choose a folder that can be written",
    errno.EACCES: "choose a folder that can be written, or have its permissions changed",
    errno.EPERM: "choose a folder that can be written, or have its permissions changed",
    errno.ENOTDIR: "a file stands where a folder is needed: move it, or choose another folder",
    errno.EEXIST: "a file stands where a folder is needed: move it, or choose another folder",
    errno.EISDIR: "a folder stands where a file is needed: move it, or choose another folder",
    errno.ELOOP: "a link stands where a file is needed: remove it, or choose another folder",
    errno.ENOENT: "its folder was deleted, or another run works in it: start again",
    errno.ENAMETOOLONG: "choose a folder with a shorter path",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.ENFILE: "close other programs: the system has no more open files",
    errno.EIO: "the disk is failing: choose another",
}
_written: set[str] = set()  # what this process committed, by absolute path
_beside: ContextVar[bool] = ContextVar("whether others work in the same folders", default=False)


class NotAlone(Exception):  # noqa: N818, nothing is wrong: the caller starts again, alone
    """Something would have to be made that one process makes alone, and others are at work."""


@contextmanager
def beside_others() -> Iterator[None]:
    """Inside the block others may be writing in the same folders: nothing is swept away."""
    before = _beside.set(True)
    try:
        yield
    finally:
        _beside.reset(before)


def is_beside_others() -> bool:
    """Whether this is inside such a block."""
    return _beside.get()


def check_alone() -> None:
    """Raise NotAlone inside such a block."""
    if _beside.get():
        raise NotAlone


def canonical_json(value: Any) -> bytes:
    """JSON whose bytes depend on the value alone: sorted keys, UTF-8, a newline at the end."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, indent=1)
    return (text + "\n").encode()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        sha = hashlib.sha256()
        while block := file.read(1 << 20):
            sha.update(block)
    return sha.hexdigest()


def signature(path: Path) -> tuple[int, ...]:
    """What changes when a file is written or replaced: device, inode, size and times."""
    state = path.stat()
    return (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)


def unchanged_digest(path: Path) -> str:
    """`file_digest`, computed once a process for as long as the file's signature stays."""
    key = (os.path.abspath(path), *signature(path))
    if key not in _digests:
        _digests[key] = file_digest(path)
    return _digests[key]


_digests: dict[tuple[Any, ...], str] = {}


@contextmanager
def storing(*places: Path) -> Iterator[None]:
    """Turn what a disk refuses while `places` are written into one StoreError.

    Full, read-only, no permission, too large: the error names the first place, the fault and the
    fix. An OSError about a file elsewhere passes through.
    """
    try:
        yield
    except OSError as problem:
        if problem.errno not in _REFUSALS or not _concerns(problem, places):
            raise
        raise StoreError(
            f"it cannot be written ({os.strerror(problem.errno)})",
            place=str(places[0]),
            fix=_REFUSALS[problem.errno] + "; finished work is kept",
        ) from problem


def _concerns(problem: OSError, places: Sequence[Path]) -> bool:
    """Whether the error is about one of the places, or does not say what it is about."""
    if problem.filename is None:
        return True
    name = Path(os.path.abspath(os.fsdecode(problem.filename)))
    for place in (Path(os.path.abspath(place)) for place in places):
        if name == place or place in name.parents or name in place.parents:
            return True
    return False


def temporary_path(path: Path) -> Path:
    """A name beside `path` for something half-written, with the ending of `path`.

    `sweep` deletes a file of that name, where the folder carries our mark.
    """
    return path.with_name(f".{path.stem[:40]}{TEMPORARY}{uuid.uuid4().hex}{path.suffix}")


@contextmanager
def committing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; when the block ends well, the file there becomes `path`.

    Where the block or the disk fails, `path` is as it was and nothing is left over. Raises
    StoreError for a disk that is full or refuses to be written.
    """
    temporary = temporary_path(path)
    with storing(path, temporary):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
            _written.add(os.path.abspath(path))
            flush_folder(path.parent)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def commit_bytes(path: Path, content: bytes) -> None:
    """Write a small file, whole or not at all."""
    with committing(path) as temporary:
        temporary.write_bytes(content)


def flush_folder(folder: Path) -> None:
    """Have the disk hold the names in a folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def has_mark(folder: Path) -> bool:
    """Whether we made this folder: it carries our mark, as a file of its own and no link."""
    mark = folder / MARK
    return mark.is_file() and not mark.is_symlink()


def own(folder: Path, what: str) -> None:
    """Make a folder ours, or see that it is: absent, empty, or with our mark.

    what: it is to be, for messages and the mark. Raises StoreError where it is a link or holds
    anything of somebody else; nothing in it is touched then.
    """
    for place in (folder, folder.parent):
        if place.is_symlink() and has_mark(place.parent):
            raise StoreError(
                "it is a link, and what it points to is not ours to write",
                place=str(place),
                fix="remove the link, or choose another run folder",
            )
    with storing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        there = sorted(path.name for path in folder.iterdir())
        if there and not has_mark(folder):  # in this order: a run beside this one marks it first
            raise StoreError(
                f"the folder holds things that smartx did not write (such as {there[0]!r}), "
                f"so it is not taken as a {what}",
                place=str(folder),
                fix="choose another folder; nothing was changed in this one",
            )
        write_mark(folder, what)


def write_mark(folder: Path, what: str) -> None:
    """Mark a folder that is known to be ours, where it is not, or its mark is damaged.

    In place: a temporary file could be swept away by another run, and the name alone is the mark.
    """
    mark, content = folder / MARK, canonical_json({"smartx": what})
    if has_mark(folder) and mark.read_bytes() == content:
        return
    descriptor = os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.truncate()
        file.flush()
        os.fsync(descriptor)
    flush_folder(folder)


def sweep(folder: Path) -> None:
    """Delete what a killed run left half-written in a folder with our mark; not beside others."""
    if _beside.get() or not has_mark(folder):
        return
    for path in folder.glob(f".*{TEMPORARY}*"):
        if path.is_file() and not path.is_symlink():
            path.unlink(missing_ok=True)


def discard(folder: Path) -> None:
    """Take back what this process committed in a folder of ours, and the folder if it is empty."""
    sweep(folder)
    for path in list(folder.iterdir()) if has_mark(folder) else []:
        if path.name != MARK and os.path.abspath(path) in _written:
            path.unlink(missing_ok=True)
    with suppress(OSError):
        if [path.name for path in folder.iterdir()] == [MARK]:
            (folder / MARK).unlink()
            folder.rmdir()
