"""The files and folders that a configuration names, before any work: can they be read, can they be
written, and does one lie in another?
"""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import NoReturn

from smartx.config import RunConfig
from smartx.errors import ConfigError
from smartx.mixture.in_store import check_writable_store
from smartx.run_folder import NAMES
from smartx.urls import is_url, shown

_BELOW = 120  # characters of the longest path that is written below OUT or RUN
_LONGEST = 4_096  # bytes of a path that a system call takes


def refuse(field: str, fault: str, fix: str = "") -> NoReturn:
    """Raise ConfigError for a field."""
    raise ConfigError(fault, place=field, fix=fix)


def check_readable(field: str, path: Path) -> None:
    """Raise unless a file is there and opens; a pipe or a device would wait, or never end."""
    _is_utf8(field, path)
    try:
        plain = stat.S_ISREG(path.stat().st_mode)
        with path.open("rb") if plain else nullcontext():
            pass
    except (OSError, ValueError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else str(problem)
        refuse(field, f"{path} cannot be read ({reason})", "check the path")
    if not plain:
        refuse(field, f"{path} is not a file", "name a file on a disk")


def check_out_folder(config: RunConfig, out: Path | str) -> None:
    """Raise unless a mixture can take its place in `out`, and eats nothing that is read."""
    if isinstance(out, str):
        _not_eaten_in_store(config, out)
        check_writable_store(out)
        return
    real = _real("out", out)
    here = os.path.realpath(os.getcwd())
    if _inside(here, real):
        refuse(
            "out",
            "the mixture takes the place of its folder, and the working directory is in it",
            "name a folder that is not there yet, such as `out` mix",
        )
    if real in _mount_points() or os.path.ismount(real):
        refuse("out", f"{out} is a mount point, which cannot be replaced", "name a folder in it")
    _writable("out", real, f".{os.path.basename(real)}.tmp.")
    run = _real("run_dir", config.work_folder)
    if _inside(run, real):
        refuse(
            "out",
            f"the run folder {config.work_folder} is {'it' if run == real else 'inside'}, and the "
            "mixture would take its place",
            "give `out` and `run_dir` two folders",
        )
    first = os.path.relpath(real, run).split(os.sep)[0]
    if _inside(real, run) and first in NAMES:
        refuse("out", f"{out} is where a stage keeps its work", "name another folder")
    _not_eaten(config, real)


def _not_eaten(config: RunConfig, out: str) -> None:
    """Raise where something that is read lies in the folder that is replaced."""
    fields = ("sources", "leave_out", "trained")
    read = [(field, _fixed_part(one)) for field in fields for one in getattr(config, field)]
    for field in ("include_rows", "exclude_rows"):
        if getattr(config, field) is not None:
            read.append((field, getattr(config, field)))
    if config.vectors is not None:
        read.append(("vectors", str(config.vectors)))
    for field, path in read:
        if os.path.exists(path) and _inside(os.path.realpath(path), out):
            refuse(
                field,
                f"{path} is in {config.out}, which the mixture would replace",
                "give the mixture another folder in `out`",
            )


def _not_eaten_in_store(config: RunConfig, out: str) -> None:
    """Raise where a source lies in the folder of a store that is replaced."""
    for field in ("sources", "leave_out", "trained"):
        for one in getattr(config, field):
            url = one if is_url(one) else one.partition("=")[2]
            if is_url(url) and _inside(url.rstrip("/"), out.rstrip("/")):
                refuse(
                    field,
                    f"{shown(url)} is in {shown(out)}, which the mixture would replace",
                    "give the mixture another folder in `out`",
                )


def _fixed_part(source: str) -> str:
    """The folder of a glob, the path behind NAME=, or the source itself."""
    if not os.path.exists(source):
        source = source.partition("=")[2] or source
    while any(sign in source for sign in "*?[") and not os.path.exists(source):
        source = os.path.dirname(source)
    return source


def check_run_folder(config: RunConfig) -> None:
    """Raise unless the stages can write their work."""
    real = _real("run_dir", config.work_folder)
    if os.path.lexists(real) and not os.path.isdir(real):
        refuse("run_dir", f"{config.work_folder} is not a folder", "name another")
    _writable("run_dir", real, ".smartx.tmp.", inside=True)


def _real(field: str, path: Path) -> str:
    """The path without links. Raises where it is longer than the system takes."""
    absolute = os.path.abspath(path)
    length = len(os.fsencode(absolute))
    if length + _BELOW > _LONGEST:
        refuse(field, f"its path has {length:,} bytes, too many", "choose a shorter one")
    _is_utf8(field, path)
    return os.path.realpath(absolute)


def _is_utf8(field: str, path: Path) -> None:
    """Raise for a path that the libraries which read and write Parquet cannot be told."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        refuse(field, f"the path {path} is not UTF-8", "rename the file or folder")


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _writable(field: str, folder: str, prefix: str, *, inside: bool = False) -> None:
    """Make and remove a folder of the kind that will be made: permissions tell half of it only.

    inside: in the folder, where it is there; else beside it, or in the nearest above that is there.
    """
    place = folder if inside else os.path.dirname(folder)
    try:
        while not _exists(place):
            place = os.path.dirname(place)
        made = tempfile.mkdtemp(prefix=prefix, suffix="0" * 24, dir=place)  # as long as a UUID
    except (OSError, ValueError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else str(problem)
        refuse(field, f"{place} cannot be written ({reason})", "choose another folder")
    with suppress(FileNotFoundError):  # a run that works there may have swept it
        os.rmdir(made)


def _exists(path: str) -> bool:
    """Whether something is there. Raises OSError where that cannot be known."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _mount_points() -> set[str]:
    """Where this machine's file systems hang; also those that look like part of their parent."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines()
    except OSError:
        return set()
    return {line.split()[4].encode().decode("unicode_escape") for line in lines}
