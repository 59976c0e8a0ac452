"""Files and folders of object stores, with as much of pathlib as reading sources needs.

What a store says of an object (its entity tag, a checksum, else its size and time) stands for its
content: objects are not read through only to be known. Where a store says none of that, the content
is hashed.
"""

from __future__ import annotations

import errno
import hashlib
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import total_ordering
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, TypeAlias, cast

import pyarrow as pa

from smartx.errors import InputError
from smartx.files import canonical_json, signature
from smartx.urls import as_os_error, filesystem, is_web, scheme_of, shown

BLOCK_BYTES = 8 << 20  # that are fetched together, of a file that is read from front to back
# Of what a store tells: names for the same content, the first that is there; and times, which are
# another whenever an object is written.
_MARKS = (
    *("ETag", "etag", "e_tag", "md5Hash", "content_md5", "Content-MD5", "Digest", "crc32c"),
    *("sha256", "blob_id", "checksum"),
)
_TIMES = ("LastModified", "last_modified", "Last-Modified", "updated", "mtime", "created")


@dataclass(eq=False)
class Store:
    """A file system of fsspec, and what it said of files."""

    scheme: str
    system: Any
    known: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    listed: set[str] = field(default_factory=set)

    def info(self, key: str, *, fresh: bool = False) -> Mapping[str, Any]:
        """What it says of an object. Raises OSError."""
        if key in self.known and not fresh:
            return self.known[key]
        if any(key.startswith(f"{folder}/") for folder in self.listed) and not fresh:
            raise FileNotFoundError(errno.ENOENT, "there is no such object", key)
        with as_os_error():
            if fresh:
                self.system.invalidate_cache(key)
            found: Mapping[str, Any] = self.system.info(key)
        self.known[key] = found
        return found

    def below(self, key: str) -> list[str]:
        """The files of a folder and those in it."""
        if key not in self.listed:
            with as_os_error():
                found = self.system.find(key, detail=True)
            # Some tools write an empty object where they mean a folder: its name ends with a slash.
            files = {str(n): info for n, info in found.items() if not str(n).endswith("/")}
            self.known.update({n: i for n, i in files.items() if i.get("type") != "directory"})
            self.listed.add(key)
        return sorted(name for name in self.known if name.startswith(f"{key}/"))

    def matching(self, pattern: str) -> list[str]:
        """The files that fit a glob."""
        with as_os_error():
            found = self.system.glob(pattern, detail=True)
        files = {str(n): info for n, info in found.items() if info.get("type") == "file"}
        self.known.update(files)
        return sorted(files)


@total_ordering
@dataclass(frozen=True, eq=False)
class RemotePath:
    """An object or a folder of a store. key: its path as fsspec has it."""

    store: Store
    key: str

    def __str__(self) -> str:
        return url_of(self.store.scheme, self.key)

    def __fspath__(self) -> str:
        """For messages: nothing of this machine has that name."""
        return str(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemotePath) and self._order == other._order

    def __lt__(self, other: RemotePath) -> bool:
        return self._order < other._order

    def __hash__(self) -> int:
        return hash(self._order)

    def __truediv__(self, name: str) -> RemotePath:
        return RemotePath(self.store, f"{self.key.rstrip('/')}/{name}")

    @property
    def _order(self) -> tuple[str, str]:
        return self.store.scheme, self.key

    @property
    def parts(self) -> tuple[str, ...]:
        """The scheme, and the folders and the name behind it."""
        return (f"{self.store.scheme}://", *filter(None, _bare(str(self)).split("/")))

    @property
    def name(self) -> str:
        """The last of its parts."""
        return PurePosixPath(_bare(str(self))).name

    @property
    def parent(self) -> RemotePath:
        """The folder that it is in."""
        return RemotePath(self.store, self.key.rstrip("/").rpartition("/")[0])

    @property
    def parents(self) -> list[RemotePath]:
        """All folders above it, the nearest first."""
        found, above = [], self.parent
        while above.key.strip("/"):
            found.append(above)
            above = above.parent
        return found

    def as_posix(self) -> str:
        """For sorting."""
        return self.key

    def resolve(self) -> RemotePath:
        """Itself: stores have no links."""
        return self

    def is_symlink(self) -> bool:
        """Never."""
        return False

    def is_file(self) -> bool:
        """Whether there is such an object."""
        try:
            return self.store.info(self.key).get("type") == "file"
        except FileNotFoundError:
            return False

    def is_dir(self) -> bool:
        """Whether there is anything below it."""
        return bool(self.below())

    def below(self) -> list[RemotePath]:
        """The files of this folder and those in it, sorted."""
        key = self.key.rstrip("/")
        return [RemotePath(self.store, name) for name in self.store.below(key)]

    def glob(self, pattern: str) -> Iterator[RemotePath]:
        """The files below it that fit a pattern."""
        translate = import_module("fsspec.utils").glob_translate
        fits = re.compile(translate(f"{self.key.rstrip('/')}/{pattern}"))
        return (path for path in self.below() if fits.match(path.key))

    def stat(self) -> Size:
        """Its size."""
        return Size(int(self.store.info(self.key).get("size") or 0))

    def signature(self, *, fresh: bool = False) -> tuple[int, ...]:
        """As `files.signature`: what is another when the object is.

        fresh: as it is now, and not when it was found.
        """
        told = _told(self.store.info(self.key, fresh=fresh))
        size = int(self.store.info(self.key).get("size") or 0)
        state = hashlib.sha256(canonical_json(told)).digest()
        return (0, 0, size, int.from_bytes(state[:8], "little"))

    def digest(self) -> str:
        """Names its content: a digest of what the store says that does, or of the bytes."""
        told = _told(self.store.info(self.key))
        if not any(name in told for name in (*_MARKS, *_TIMES)):
            sha = hashlib.sha256()
            with self.open("rb") as file:
                while block := file.read(BLOCK_BYTES):
                    sha.update(block)
            return sha.hexdigest()
        if not any(name in told for name in _MARKS):
            told["url"] = str(self)  # two objects may be of one size and time
        return hashlib.sha256(canonical_json(told)).hexdigest()

    def open(self, mode: str = "rb", *, cached: bool = True) -> BinaryIO:
        """The object, to be read. cached: from front to back, ahead of what is asked for."""
        assert mode == "rb"
        kind = "readahead" if cached else "none"
        with as_os_error():
            file = self.store.system.open(self.key, mode, block_size=BLOCK_BYTES, cache_type=kind)
        return cast(BinaryIO, _Reading(file))

    def read_bytes(self) -> bytes:
        """All of it. Raises OSError."""
        self.store.info(self.key)
        with as_os_error():
            return bytes(self.store.system.cat_file(self.key))


Location: TypeAlias = Path | RemotePath


@dataclass(frozen=True)
class Size:
    """What is asked of a `stat`."""

    st_size: int


class _Reading(io.RawIOBase):
    """An open object, all of whose errors are OSErrors without secrets."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        """So many bytes, as long as there are any."""
        with as_os_error():
            return bytes(self._file.read(size))

    def readinto(self, buffer: Any) -> int:
        """Into a buffer."""
        content = self.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def seek(self, place: int, whence: int = 0) -> int:
        """Go to a place."""
        with as_os_error():
            return int(self._file.seek(place, whence))

    def tell(self) -> int:
        """The place."""
        return int(self._file.tell())

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """Where the store can begin anywhere."""
        return bool(self._file.seekable())

    def close(self) -> None:
        """Give it back."""
        if not self.closed:
            self._file.close()
        super().close()


def at(url: str) -> RemotePath:
    """The place of a URL. Raises as `urls.filesystem` does."""
    system, key = filesystem(url)
    return RemotePath(Store(scheme_of(url), system), key)


def url_of(scheme: str, key: str) -> str:
    """The URL of a key, as it may be shown."""
    if "://" in key:  # of the web
        return shown(key)
    return f"{scheme}://{key.lstrip('/')}"


def check_one_file(url: str) -> None:
    """Raise InputError for a pattern on a web server, which cannot be asked what it has."""
    if is_web(url) and re.search(r"[*\[]", shown(url)):
        fault, fix = "a web server does not say what it has", "name each file"
        raise InputError(fault, place=shown(url), fix=fix)


def signature_of(path: Location, *, fresh: bool = False) -> tuple[int, ...]:
    """What changes when a file is written or replaced. fresh: asked of the store again."""
    return path.signature(fresh=fresh) if isinstance(path, RemotePath) else signature(path)


def for_arrow(path: Location) -> Any:
    """What pyarrow reads Parquet from: pieces of any place, none ahead of what it asks for."""
    return path.open("rb", cached=False) if isinstance(path, RemotePath) else path


def arrow_file(path: Location) -> pa.NativeFile:
    """What pyarrow reads Arrow from, front to back."""
    if isinstance(path, RemotePath):
        return pa.PythonFile(path.open("rb"), mode="r")
    return pa.OSFile(str(path))


def _bare(url: str) -> str:
    return url.partition("://")[2]


def _told(info: Mapping[str, Any]) -> dict[str, Any]:
    """The size of an object, and what stands for its content: the first mark, or the times."""
    marks = [name for name in _MARKS if info.get(name)][:1]
    names = marks or [name for name in _TIMES if info.get(name)][:1]
    return {"size": int(info.get("size") or 0), **{name: _plain(info[name]) for name in names}}


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        value = value.timestamp()
    if isinstance(value, bytes | bytearray):
        value = bytes(value).hex()
    return str(value)
