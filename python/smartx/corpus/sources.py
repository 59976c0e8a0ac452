"""Which files were asked for: names, folders and globs become one ordered list of source files."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from smartx.errors import CorpusError, InputError

# What each ending says: (format, compression). The longest ending that fits counts.
ENDINGS: dict[str, tuple[str, str | None]] = {
    ".parquet": ("parquet", None),
    ".jsonl": ("jsonl", None),
    ".jsonl.gz": ("jsonl", "gzip"),
    ".jsonl.zst": ("jsonl", "zstd"),
    ".ndjson": ("jsonl", None),
    ".ndjson.gz": ("jsonl", "gzip"),
    ".ndjson.zst": ("jsonl", "zstd"),
}
_SHARD = re.compile(r"[-_.](?:part[-_.]?)?\d{1,6}(?:[-_.]of[-_.]\d{1,6})?$")
_WILD = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class SourceFile:
    """One file to read.

    path: as it was given, for messages.  name: free of the machine's folders, for manifests.
    """

    path: Path
    name: str
    format: str
    compression: str | None

    @property
    def default_name(self) -> str:
        """Source and task of rows that do not say: the file's name without shard numbers."""
        stem = self.path.name[: -len(_ending(self.path.name) or "") or None]
        return _SHARD.sub("", stem) or stem


def find_sources(sources: Sequence[str | Path], note: Callable[[str], None]) -> list[SourceFile]:
    """The files behind `sources`, in the order given; files of a folder or glob are sorted by name.

    A file reached twice is read once. Raises CorpusError for what is missing or unsupported.
    """
    if isinstance(sources, (str, Path)):
        sources = [sources]
    paths: dict[Path, Path] = {}
    for source in sources:
        for path in _expand(source):
            if path.resolve() in paths:
                note(f"{path} is named twice among the sources; it is read once")
            paths.setdefault(path.resolve(), path)
    if not paths:
        raise InputError("no sources were given", fix="name at least one file, folder or glob")
    names = _names_below_common_folder(list(paths))
    return [
        SourceFile(path, name, *ENDINGS[_ending(path.name) or ""])
        for path, name in zip(paths.values(), names, strict=True)
    ]


def _expand(source: str | Path) -> list[Path]:
    path = Path(source)
    if path.is_dir():
        return _supported(source, (p for p in path.rglob("*") if not _hidden(p, path)))
    if path.exists():
        if not path.is_file():
            raise CorpusError(path, 0, "it is neither a file nor a folder", fix="name a file")
        if _ending(path.name) is None:
            raise CorpusError(path, 0, "this kind of file is not supported", fix=_supported_list())
        return [path]
    if _WILD.search(str(source)):
        return _supported(source, map(Path, glob.glob(os.fspath(source), recursive=True)))
    raise CorpusError(path, 0, "there is no such file or folder", fix="check the name")


def _supported(source: str | Path, candidates: Iterable[Path]) -> list[Path]:
    found = [path for path in candidates if path.is_file() and _ending(path.name) is not None]
    if not found:
        raise CorpusError(source, 0, "it holds no supported file", fix=_supported_list())
    return sorted(found, key=lambda path: path.as_posix())


def _supported_list() -> str:
    return "give files that end in " + ", ".join(ENDINGS)


def _hidden(path: Path, below: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(below).parts)


def _ending(name: str) -> str | None:
    fits = [
        ending for ending in ENDINGS if name.lower().endswith(ending) and len(name) > len(ending)
    ]
    return max(fits, key=len, default=None)


def _names_below_common_folder(paths: Sequence[Path]) -> list[str]:
    common = Path(os.path.commonpath([path.parent for path in paths]))
    return [path.relative_to(common).as_posix() for path in paths]
