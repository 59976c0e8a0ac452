"""Which files were asked for: names, folders and globs become one ordered list of source files."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from smartx.corpus.folders import NOT_DATA, hugging_face_files
from smartx.corpus.hub import Hub, fetch, hub_name
from smartx.corpus.names import Place, names_of, place_of, readable
from smartx.corpus.remote import Location, RemotePath, at, check_one_file, signature_of
from smartx.errors import CorpusError, InputError, plain
from smartx.store import is_ours
from smartx.urls import is_url, is_web

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
_WILD = re.compile(r"[*?\[]")
_NAMED = re.compile(r"([^=/\\*?\[]+)=(.+)", re.DOTALL)


@dataclass(frozen=True)
class SourceFile:
    """One file to read.

    path: as it was given, for messages; or an object of a store.
    name: free of the machine's folders, for manifests.
    label: the data set that it belongs to.  named: whether the caller gave the label.
    hub: NAME@COMMIT of the data set that was fetched for it, or "".
    """

    path: Location
    name: str
    format: str
    compression: str | None
    label: str = ""
    hub: str = ""
    named: bool = False


def find_sources(
    sources: Sequence[str | Path], note: Callable[[str], None], hub: Hub | None = None
) -> list[SourceFile]:
    """The files behind `sources`, in the order given; files of a folder or glob are sorted by name.

    NAME=SOURCE calls what is behind a source NAME. A file reached twice is read once. What is in
    run folders and mixtures of ours is passed over, unless it is named.
    Raises CorpusError for what is missing or unsupported.
    """
    if isinstance(sources, (str, Path)):
        sources = [sources]
    found: dict[Location, _Found] = {}
    for source in sources:
        for file in _expand(source, note, hub):
            if file.path.resolve() in found:
                note(plain(f"{file.path} is named twice among the sources; it is read once"))
            found.setdefault(file.path.resolve(), file)
    if not found:
        raise InputError("no sources were given", fix="name at least one file, folder or glob")
    files = list(found.values())
    paths = [_absolute(file.path) for file in files]
    places = [_place(file, path) for file, path in zip(files, paths, strict=True)]
    given = {file.called for file in files if file.called}
    own = {p for p, file in zip(places, files, strict=True) if not file.called}
    labels = names_of(own, given)
    return [
        SourceFile(
            file.path,
            name,
            *_format(file.path),
            file.called or labels[place],
            file.hub,
            named=bool(file.called),
        )
        for file, place, name in zip(files, places, _short_names(paths), strict=True)
    ]


@contextmanager
def watching(file: SourceFile, before: tuple[int, ...]) -> Iterator[None]:
    """Raise CorpusError where reading the file fails, or where it is not what it was any more.

    before: its signature when its digest was taken.
    """
    try:
        yield
    except CorpusError:
        _check_unchanged(file.path, before)  # which explains why it is not understood
        raise
    except OSError as problem:
        _check_unchanged(file.path, before)
        remote = isinstance(file.path, RemotePath) and problem.filename is None
        if remote or _is_about(problem, file.path):
            raise cannot_be_read(file.path, problem) from None
        raise
    _check_unchanged(file.path, before)


def _is_about(problem: OSError, path: Location) -> bool:
    return problem.filename is not None and os.fspath(problem.filename) == os.fspath(path)


def _check_unchanged(path: Location, before: tuple[int, ...]) -> None:
    try:
        now = signature_of(path, fresh=True)
    except FileNotFoundError:
        fault = "it was deleted while it was read"
        raise CorpusError(path, 0, fault, fix="put it back, and start again") from None
    except OSError as problem:
        if isinstance(path, RemotePath):
            raise cannot_be_read(path, problem) from None
        fault = "it was deleted while it was read"
        raise CorpusError(path, 0, fault, fix="put it back, and start again") from None
    if now != before:
        fault = "it changed while it was read"
        raise CorpusError(path, 0, fault, fix="start again when nothing writes to it")


def cannot_be_read(path: Location, problem: OSError) -> CorpusError:
    """The error for a file that the system refuses to read."""
    fault = f"it cannot be read ({problem.strerror})"
    if isinstance(path, RemotePath):
        return CorpusError(path, 0, fault, fix="check the URL, the credentials and the network")
    return CorpusError(path, 0, fault, fix="check its permissions, and the disk")


@dataclass(frozen=True)
class _Found:
    """A file. set_of, split: of the data set that it belongs to.  called: by the caller."""

    path: Location
    set_of: Location | None = None
    split: str = ""
    hub: str = ""
    called: str = ""


def _place(file: _Found, path: Location) -> Place:
    """What tells the file's data set from others: see names.py."""
    if file.set_of is None:
        stem = path.name[: -len(_ending(path.name) or "") or None]
        return place_of([readable(part) for part in path.parent.parts[1:]], readable(stem))
    folders = _absolute(file.set_of).parts[1:]
    above = (file.hub.partition("@")[0],) if file.hub else map(readable, folders)
    return (*above, file.split) if file.split else tuple(above)


def _format(path: Location) -> tuple[str, str | None]:
    ending = _ending(path.name)
    if ending is None:
        raise CorpusError(path, 0, "this kind of file is not supported", fix=_supported_list())
    return ENDINGS[ending]


def _expand(source: str | Path, note: Callable[[str], None], hub: Hub | None) -> list[_Found]:
    text = os.fspath(source)
    if is_url(text) and hub_name(text) is None:
        return _of_store(text, note)
    path = Path(source)
    if not text:
        raise InputError(
            "a source has an empty name", fix='name a file or folder ("." is this one)'
        )
    try:
        if path.is_dir():
            return _folder(source, path, note)
        if path.exists():
            if not path.is_file():
                raise CorpusError(path, 0, "it is neither a file nor a folder", fix="name a file")
            _format(path)
            return [_Found(path)]
    except OSError as problem:  # such as a name that is too long
        raise cannot_be_read(path, problem) from None
    matches = glob.glob(text, recursive=True) if _WILD.search(text) else []
    named = _NAMED.fullmatch(text)
    if named and not matches:
        return [replace(file, called=readable(named[1])) for file in _expand(named[2], note, hub)]
    if _WILD.search(text):
        return _supported(source, map(Path, matches), _fixed_part(text), note)
    if hub_name(text) and _ending(path.name) is None:
        return _fetched(text, note, hub)
    raise CorpusError(path, 0, "there is no such file or folder", fix="check the name")


def _of_store(url: str, note: Callable[[str], None]) -> list[_Found]:
    """The file, or the files of the folder or glob, that a URL names."""
    check_one_file(url)
    place = at(url)
    try:
        if _WILD.search(place.key) and not is_web(url):
            root = _fixed_part(place)
            files = [RemotePath(place.store, key) for key in place.store.matching(place.key)]
            if "/." not in place.key:  # as on a disk
                files = [path for path in files if not _is_hidden(path, root)]
            return _supported(str(place), files, root, note)
        if place.is_file():
            _format(place)
            return [_Found(place)]
        if not is_web(url) and place.is_dir():
            return _folder(str(place), place, note)
    except OSError as problem:
        raise cannot_be_read(place, problem) from None
    raise CorpusError(place, 0, "there is no such file or folder", fix="check the URL")


def _fetched(source: str, note: Callable[[str], None], hub: Hub | None) -> list[_Found]:
    """The files of a data set of the Hub."""
    fetched = fetch(source, hub)
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
    return [
        replace(f, hub=fetched.origin, set_of=f.set_of or fetched.folder, split=f.split)
        for f in files
    ]


def _folder(source: str | Path, folder: Location, note: Callable[[str], None]) -> list[_Found]:
    splits = hugging_face_files(folder, note)
    if splits is not None:
        found = [_Found(file.path, folder, file.split) for file in splits]
        return _not_ours(source, found, folder, note)
    return _supported(source, _below(folder, note), folder, note)


def _below(folder: Location, note: Callable[[str], None]) -> Iterator[Location]:
    """The files of a folder and those in it, hidden ones aside; what is not looked into is said."""
    if isinstance(folder, RemotePath):
        yield from (path for path in folder.below() if not _is_hidden(path, folder))
        return

    def unreadable(problem: OSError) -> None:
        note(plain(f"{problem.filename}: it cannot be read ({problem.strerror}) and is left out"))

    for name, folders, files in os.walk(folder, onerror=unreadable):
        here = Path(name)
        folders[:] = sorted(inner for inner in folders if not inner.startswith("."))
        for link in (here / inner for inner in folders if (here / inner).is_symlink()):
            note(plain(f"{link}: a link to a folder is not followed; name it to read it"))
        yield from (here / inner for inner in files if not inner.startswith("."))


def _is_hidden(path: Location, root: Location) -> bool:
    """Whether its name, or that of a folder below the root, begins with a dot."""
    return any(part.startswith(".") for part in path.parts[len(root.parts) :])


def _supported(
    source: str | Path, candidates: Iterable[Location], root: Location, note: Callable[[str], None]
) -> list[_Found]:
    """Of the candidates, all below the root, the files that can be read, sorted by name."""
    found = [
        _Found(path)
        for path in sorted(candidates, key=lambda path: path.as_posix())
        if path.name not in NOT_DATA and _ending(path.name) is not None and path.is_file()
    ]
    return _not_ours(source, found, root, note)


def _not_ours(
    source: str | Path, files: Sequence[_Found], root: Location, note: Callable[[str], None]
) -> list[_Found]:
    """The files that lie in no run folder or mixture of ours below the root, where nobody names
    them: a second run would read what the first one wrote.
    """
    known: dict[Location, bool] = {}
    kept = [file for file in files if not _is_inside_ours(file.path.parent, root, known)]
    left_out = sorted(str(folder) for folder, is_one in known.items() if is_one)
    if left_out:
        listed = ", ".join(left_out[:3]) + (" and others" if len(left_out) > 3 else "")
        said = f"left out of {source}: {listed} (smartx wrote it; name it to mix it)"
        note(plain(said))
    if not kept:
        raise CorpusError(source, 0, "it holds no supported file", fix=_supported_list())
    return kept


def _is_inside_ours(folder: Location, root: Location, known: dict[Location, bool]) -> bool:
    """Whether a folder below `root`, or one above it there, was made by smartx.

    known: takes what was found of each topmost one.
    """
    for part in reversed([folder, *folder.parents]):
        if part == root or root not in part.parents:
            continue
        if part not in known:
            known[part] = is_ours(part)
        if known[part]:
            return True
    return False


def _fixed_part(pattern: str | RemotePath) -> Location:
    """The folder that a glob starts from: what stands before the first wild card."""
    if isinstance(pattern, RemotePath):
        return next(place for place in pattern.parents if not _WILD.search(place.key))
    parts = Path(pattern).parts
    wild = next(i for i, part in enumerate(parts) if _WILD.search(part))
    return Path(*parts[:wild])


def _supported_list() -> str:
    plain = [ending for ending, (_, compression) in ENDINGS.items() if compression is None]
    return f"give files that end in {', '.join(plain)} (text ones also with .gz or .zst)"


def _ending(name: str) -> str | None:
    fits = [
        ending for ending in ENDINGS if name.lower().endswith(ending) and len(name) > len(ending)
    ]
    return max(fits, key=len, default=None)


def _absolute(path: Location) -> Location:
    """The path from the root on. Links stay as they are named, as far as they can."""
    if isinstance(path, RemotePath):
        return path
    return path.resolve() if ".." in path.parts else Path(os.path.abspath(path))


def _short_names(paths: Sequence[Location]) -> list[str]:
    """Names of files below the folder that they share, all different, free of odd bytes.

    Those of this machine share one, and so do those of stores.
    """
    names = [""] * len(paths)
    for kind in (Path, RemotePath):
        own = [i for i, path in enumerate(paths) if isinstance(path, kind)]
        for i, name in zip(own, _below_common([paths[i].parts for i in own]), strict=True):
            names[i] = name
    often = Counter(names)
    for name, path in zip(names, paths, strict=True):
        if often[name] > 1:
            fault = "its name is that of another source, once it is written as text"
            raise CorpusError(path, 0, fault, fix="rename it")
    return names


def _below_common(files: Sequence[tuple[str, ...]]) -> list[str]:
    """What of the parts of each file stands below the folders that all of them share."""
    folders = [file[:-1] for file in files]
    common = 0
    while folders and len({folder[: common + 1] for folder in folders}) == 1:
        if common == len(folders[0]):
            break
        common += 1
    return [readable("/".join(file[common:])) for file in files]
