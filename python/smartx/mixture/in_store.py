"""A mixture in an object store: its manifest, written last, is what makes it one.

Stores rename nothing, so that the mixture is made on a disk and sent object by object. Before the
first one goes our mark, which names all that may stand there until the manifest does: what a kill
leaves is known by it, and the next command replaces that. Where a mixture is replaced, its manifest
goes first, and until the new one is there no mixture stands. Objects that neither the mark nor a
manifest names are somebody else's, and where there are any nothing is touched.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from smartx.corpus.remote import RemotePath, at
from smartx.errors import InputError, StoreError
from smartx.files import MARK, canonical_json, storing
from smartx.mixture.mixture import Mixture
from smartx.mixture.out import building_beside, differences, recover, refuse_other
from smartx.progress import Progress, step
from smartx.store import MANIFEST, MIXTURE, read_manifest
from smartx.urls import as_os_error, is_web, shown

_READ_BYTES = 8 << 20
_FIX = "choose another folder for `out`, or empty this one"
_AGAIN = "check the credentials and the network, and run the same command again"
_MAKING = "mixture in the making"


class _Folder:
    """A folder of a store. names: of all objects in it, with their sizes."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.place = at(self.url)
        self.names = self._listed()
        self.manifest = self._manifest()

    @property
    def stray(self) -> list[str]:
        """Names that neither the manifest nor the mark of a mixture in the making explains."""
        known = {MARK, MANIFEST} if self.manifest or self.marked is not None else set()
        known |= {entry["name"] for entry in (self.manifest or {}).get("files", [])}
        return sorted(self.names.keys() - known - set(self.marked or ()))

    @property
    def marked(self) -> list[str] | None:
        """What the mark says may stand here; None without one."""
        if MARK not in self.names:
            return None
        with suppress(OSError, ValueError, TypeError, KeyError):
            mark = json.loads((self.place / MARK).read_bytes())
            if mark["smartx"] == _MAKING:
                return [str(name) for name in mark["files"]]
        return None

    def put_bytes(self, name: str, content: bytes) -> None:
        """Write a small object."""
        with _saying(self.place / name), as_os_error():
            self.place.store.system.pipe_file((self.place / name).key, content)

    def put(self, path: Path, name: str) -> None:
        """Send a file, and see that all of it arrived."""
        place, system = self.place / name, self.place.store.system
        with _saying(place), as_os_error():
            system.put_file(str(path), place.key)
            system.invalidate_cache(place.key)
            size = int(system.info(place.key)["size"])
            if size != path.stat().st_size:
                raise OSError(f"{size:,} of {path.stat().st_size:,} bytes arrived")

    def delete(self, name: str) -> None:
        """Delete an object, if it is there."""
        place = self.place / name
        with _saying(place), as_os_error(), suppress(FileNotFoundError):
            place.store.system.rm_file(place.key)

    def digest(self, name: str) -> str:
        """SHA-256 of an object."""
        sha = hashlib.sha256()
        with (self.place / name).open("rb") as file:
            while block := file.read(_READ_BYTES):
                sha.update(block)
        return sha.hexdigest()

    def _listed(self) -> dict[str, int]:
        key = self.place.key.rstrip("/")
        with _saying(self.place):
            found = self.place.store.below(key)
        told = self.place.store.known
        return {name[len(key) + 1 :]: int(told[name].get("size") or 0) for name in found}

    def _manifest(self) -> dict[str, Any] | None:
        if MANIFEST not in self.names:
            return None
        place: Any = self.place / MANIFEST
        try:
            found = read_manifest(place)
        except StoreError:
            return None
        return found if found.get("stage") == MIXTURE else None


@contextmanager
def _saying(place: RemotePath) -> Iterator[None]:
    """Turn what a store refuses into a StoreError."""
    try:
        yield
    except FileNotFoundError:
        fault, fix = "there is no such bucket or folder", "make the bucket first"
        raise StoreError(fault, place=str(place), fix=fix) from None
    except OSError as problem:
        fault = problem.strerror or str(problem)
        raise StoreError(f"the store refuses ({fault})", place=str(place), fix=_AGAIN) from None


def _opened(url: str) -> _Folder:
    """The folder of a URL. Raises InputError where something of somebody else stands there."""
    if is_web(url):
        fault = "a web server cannot be written"
        raise InputError(fault, place=shown(url), fix="name a store (s3://, gs://, az://)")
    if not url.partition("://")[2].strip("/"):
        fault = "no folder is named in it"
        raise InputError(fault, place=shown(url), fix="name one, such as s3://bucket/mix")
    folder = _Folder(url)
    if stray := folder.stray:
        what = "are not part of it" if folder.manifest else "are not of a mixture of smartx"
        raise InputError(
            f"{len(stray):,} objects in the folder {what} (first: {stray[0]!r})",
            place=str(folder.place),
            fix=_FIX,
        )
    return folder


def _mixture(place: Any, manifest: dict[str, Any]) -> Mixture:
    return Mixture(place, manifest)


def check_store(url: str, settings: dict[str, Any], *, overwrite: bool) -> None:
    """As `check_replaceable`, for the URL of a folder."""
    folder = _opened(url)
    if folder.manifest is not None and not overwrite:
        refuse_other(_mixture(folder.place, folder.manifest), settings)


def check_writable_store(url: str) -> None:
    """Raise InputError where something else stands there; StoreError where a first object cannot be
    written there and deleted.
    """
    folder, name = _opened(url), f"{MARK}-{uuid.uuid4().hex}"
    folder.put_bytes(name, b"")
    folder.delete(name)


def send(
    url: str,
    facts: dict[str, Any],
    build: Callable[[Path], dict[str, Any]],
    *,
    staging: Path,
    overwrite: bool,
    progress: Progress,
) -> Mixture:
    """Make a mixture beside `staging`, on a disk, and send it to a folder of a store.

    build: writes all files of it into a folder, and returns the manifest. Else as `write_mixture`.
    """
    recover(staging)
    folder = _opened(url)
    if folder.manifest is not None:
        if not overwrite:
            refuse_other(_mixture(folder.place, folder.manifest), facts)
        if _stands(folder, facts):
            progress.note(f"the mixture in {folder.place} is up to date")
            folder.delete(MARK)
            return _mixture(folder.place, folder.manifest)
    with storing(staging), building_beside(staging) as building:
        manifest = build(building)
        sizes = {str(entry["name"]): int(entry["bytes"]) for entry in manifest["files"]}
        with step(progress, "send", sum(sizes.values()), "bytes") as advance:
            _sent(folder, building, sizes, canonical_json(manifest), advance)
    return _mixture(at(folder.url), manifest)


def _sent(
    folder: _Folder,
    building: Path,
    sizes: Mapping[str, int],
    manifest: bytes,
    advance: Callable[[int], None],
) -> None:
    """Send all files; the manifest last."""
    former = folder.names.keys() - {MARK, MANIFEST}
    mark = {"smartx": _MAKING, "files": sorted({*former, *sizes})}
    folder.put_bytes(MARK, canonical_json(mark))
    folder.delete(MANIFEST)
    for name in sorted(former - sizes.keys()):
        folder.delete(name)
    for name, size in sizes.items():
        folder.put(building / name, name)
        advance(size)
    folder.put_bytes(MANIFEST, manifest)
    folder.delete(MARK)


def _stands(folder: _Folder, facts: dict[str, Any]) -> bool:
    """Whether the mixture there was made just so, and is whole."""
    manifest = folder.manifest
    if manifest is None or differences(manifest, facts):
        return False
    with suppress(OSError):
        return all(folder.digest(entry["name"]) == entry["sha256"] for entry in manifest["files"])
    return False
