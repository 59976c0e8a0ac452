"""Which files were asked for: names, folders and globs become one ordered list of source files."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from smartx.corpus.folders import NOT_DATA, hugging_face_files
from smartx.corpus.hub import Hub, fetch, hub_name
from smartx.errors import CorpusError, InputError

# What each ending says: (format, compression). The longest ending that fits counts.
ENDINGS: dict[str, tuple[str, str | None]] = {
    ".parquet": ("parquet", None),
    ".arrow": ("arrow", None),
    ".feather": ("arrow", None),
    **{
        f".{ending}{packed}": (kind, compression)
        for ending, kind in (
            ("jsonl", "jsonl"),
            ("ndjson", "jsonl"),
            ("json", "json"),
            ("csv", "csv"),
            ("tsv", "tsv"),
        )
        for packed, compression in (("", None), (".gz", "gzip"), (".zst", "zstd"))
    },
}
_SHARD = re.compile(r"[-_.](?:part[-_.]?)?\d{1,6}(?:[-_.]of[-_.]\d{1,6})?$")
_WILD = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class SourceFile:
    """One file to read.

    path: as it was given, for messages.  name: free of the machine's folders, for manifests.
    label: the name of its split or data set, where it is part of one.
    hub: NAME@COMMIT of the data set that was fetched for it, or "".
    """

    path: Path
    name: str
    format: str
    compression: str | None
    label: str = ""
    hub: str = ""

    @property
    def default_name(self) -> str:
        """Source and task of rows that do not say: the data set, or the file without numbers."""
        if self.label:
            return self.label
        stem = self.path.name[: -len(_ending(self.path.name) or "") or None]
        return _SHARD.sub("", stem) or stem


def find_sources(
    sources: Sequence[str | Path], note: Callable[[str], None], hub: Hub | None = None
) -> list[SourceFile]:
    """The files behind `sources`, in the order given; files of a folder or glob are sorted by name.

    A file reached twice is read once. Raises CorpusError for what is missing or unsupported.
    """
    if isinstance(sources, (str, Path)):
        sources = [sources]
    found: dict[Path, _Found] = {}
    for source in sources:
        for file in _expand(source, note, hub):
            if file.path.resolve() in found:
                note(f"{file.path} is named twice among the sources; it is read once")
            found.setdefault(file.path.resolve(), file)
    if not found:
        raise InputError("no sources were given", fix="name at least one file, folder or glob")
    files = list(found.values())
    names = _names_below_common_folder([file.path for file in files])
    return [
        SourceFile(file.path, name, *_format(file.path), file.label, file.hub)
        for file, name in zip(files, names, strict=True)
    ]


@dataclass(frozen=True)
class _Found:
    path: Path
    label: str = ""
    hub: str = ""


def _format(path: Path) -> tuple[str, str | None]:
    ending = _ending(path.name)
    if ending is None:
        raise CorpusError(path, 0, "this kind of file is not supported", fix=_supported_list())
    return ENDINGS[ending]


def _expand(source: str | Path, note: Callable[[str], None], hub: Hub | None) -> list[_Found]:
    path = Path(source)
    if path.is_dir():
        return _folder(source, path, note)
    if path.exists():
        if not path.is_file():
            raise CorpusError(path, 0, "it is neither a file nor a folder", fix="name a file")
        _format(path)
        return [_Found(path)]
    if _WILD.search(str(source)):
        return _supported(source, map(Path, glob.glob(os.fspath(source), recursive=True)))
    if hub_name(str(source)) and _ending(path.name) is None:
        fetched = fetch(str(source), hub)
        note(f"{source}: read from the Hub at {fetched.origin}")
        if not any(fetched.folder.rglob("*.parquet")):
            raise CorpusError(
                source,
                0,
                f"the data set has no Parquet files (at {fetched.origin})",
                fix=f"most have a copy in Parquet: {fetched.origin.partition('@')[0]}"
                "@refs/convert/parquet",
            )
        files = _folder(source, fetched.folder, note)
        name = fetched.origin.partition("@")[0]
        own = fetched.folder.resolve().name  # a commit, which says nothing
        return [
            replace(file, hub=fetched.origin, label=name if file.label == own else file.label)
            for file in files
        ]
    raise CorpusError(path, 0, "there is no such file or folder", fix="check the name")


def _folder(source: str | Path, folder: Path, note: Callable[[str], None]) -> list[_Found]:
    splits = hugging_face_files(folder, note)
    if splits is not None:
        return [_Found(file.path, file.label) for file in splits]
    return _supported(source, (p for p in folder.rglob("*") if not _hidden(p, folder)))


def _supported(source: str | Path, candidates: Iterable[Path]) -> list[_Found]:
    found = [
        path
        for path in candidates
        if path.name not in NOT_DATA and _ending(path.name) is not None and path.is_file()
    ]
    if not found:
        raise CorpusError(source, 0, "it holds no supported file", fix=_supported_list())
    return [_Found(path) for path in sorted(found, key=lambda path: path.as_posix())]


def _supported_list() -> str:
    plain = [ending for ending, (_, compression) in ENDINGS.items() if compression is None]
    return f"give files that end in {', '.join(plain)} (text ones also with .gz or .zst)"


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
