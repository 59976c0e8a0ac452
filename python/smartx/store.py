"""Folders on disk that survive a crash: files appear whole or not at all, and a stage is done only
when it says so.

A file is written under a temporary name, flushed to disk, and renamed; the folder is flushed too. A
stage (corpus, embeddings, a ranking) is a folder whose `manifest.json` is written last and names
the key of everything that went into the stage and the size and SHA-256 of every file. A stage is
reused only when its key is the one that is wanted and its files hash to what the manifest says.
Inside an unfinished stage, a part (a shard of vectors, a piece of a ranking) counts as made only
while the sidecar beside it names its key and its digest. What a disk refuses is a StoreError.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smartx.errors import StoreError

MANIFEST = "manifest.json"
_TEMPORARY = ".tmp."
_SEAL = "seal"
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
    errno.ENOENT: "its folder was deleted, or another run works in it: start again",
    errno.ENAMETOOLONG: "choose a folder with a shorter path",
    errno.EIO: "the disk is failing: choose another",
}


def canonical_json(value: Any) -> bytes:
    """JSON whose bytes depend on the value alone: sorted keys, UTF-8, a newline at the end."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, indent=1)
    return (text + "\n").encode()


def sealed(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest with a digest of itself, so that damage to it shows."""
    return {**manifest, _SEAL: hashlib.sha256(canonical_json(dict(manifest))).hexdigest()}


def is_sealed(manifest: Mapping[str, Any]) -> bool:
    """Whether a manifest is as `sealed` gave it."""
    rest = {name: value for name, value in manifest.items() if name != _SEAL}
    return sealed(rest) == manifest


def key_of(
    stage: str, schema: int, parameters: Mapping[str, Any], inputs: Mapping[str, str]
) -> str:
    """The key of a stage: a digest of all that its output depends on.

    schema: raised when the code of the stage writes something else for the same input.
    inputs: digest by name of what the stage reads.
    """
    content = {
        "stage": stage,
        "schema": schema,
        "parameters": dict(parameters),
        "inputs": dict(inputs),
    }
    return hashlib.sha256(canonical_json(content)).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        sha = hashlib.sha256()
        while block := file.read(1 << 20):
            sha.update(block)
    return sha.hexdigest()


def unchanged_digest(path: Path) -> str:
    """`file_digest`, computed once a process for as long as the file's inode and times stay."""
    state = path.stat()
    place = (os.path.abspath(path), state.st_dev, state.st_ino, state.st_size)
    key = (*place, state.st_mtime_ns, state.st_ctime_ns)
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


@contextmanager
def committing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; when the block ends well, the file there becomes `path`.

    The temporary name keeps the ending of `path`, since some writers look at it. Where the block
    or the disk fails, `path` is as it was and nothing is left over. Raises StoreError for a disk
    that is full or refuses to be written.
    """
    temporary = path.with_name(f".{path.stem}{_TEMPORARY}{uuid.uuid4().hex}{path.suffix}")
    with storing(path, temporary):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
            _flush_folder(path.parent)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def commit_bytes(path: Path, content: bytes) -> None:
    """Write a small file, whole or not at all."""
    with committing(path) as temporary:
        temporary.write_bytes(content)


def sweep(folder: Path) -> None:
    """Delete what a killed run left half-written in `folder`."""
    for path in folder.glob(f".*{_TEMPORARY}*"):
        path.unlink(missing_ok=True)


@dataclass(frozen=True)
class FileEntry:
    """One file of a stage, as its manifest names it."""

    name: str
    bytes: int
    sha256: str
    rows: int

    @classmethod
    def of(cls, path: Path, rows: int) -> FileEntry:
        """The entry of a file that was just committed."""
        return cls(path.name, path.stat().st_size, file_digest(path), rows)


@dataclass(frozen=True)
class Sidecar:
    """The small file beside a part of an unfinished stage that says the part is whole.

    part: file of the part.  key: of everything that goes into the part.
    """

    part: Path
    key: str

    @property
    def path(self) -> Path:
        """The part's name and `.json`."""
        return self.part.with_name(self.part.name + ".json")

    def whole_part(self) -> FileEntry | None:
        """The part's entry if it is there, made with this key and unharmed."""
        try:
            content = json.loads(self.path.read_bytes())
            entry = FileEntry.of(self.part, content["rows"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return entry if content == self._content(entry) else None

    def commit(self, rows: int, write: Callable[[Path], None]) -> FileEntry:
        """Have `write` write the part at the path it is given, then write the sidecar."""
        with committing(self.part) as temporary:
            write(temporary)
        entry = FileEntry.of(self.part, rows)
        self.vouch(entry)
        return entry

    def vouch(self, entry: FileEntry) -> None:
        """Write the sidecar."""
        commit_bytes(self.path, canonical_json(self._content(entry)))

    def _content(self, entry: FileEntry) -> dict[str, Any]:
        return {"key": self.key, **vars(entry)}


@dataclass(frozen=True)
class Stage:
    """A folder that one stage writes. `name` says which stage, for messages and manifests."""

    name: str
    folder: Path

    @property
    def manifest_path(self) -> Path:
        """The file whose presence, with the right key, says that the stage is done."""
        return self.folder / MANIFEST

    def manifest(self, schema: int | None = None) -> dict[str, Any]:
        """The manifest of a finished stage.

        Raises StoreError if there is none that can be read, or none of the asked layout.
        """
        try:
            content = json.loads(self.manifest_path.read_bytes())
        except FileNotFoundError:
            raise StoreError(
                f"the {self.name} stage has not been finished here",
                place=str(self.folder),
                fix=f"run `smartx {self._command}` on this run folder first",
            ) from None
        except (ValueError, OSError) as problem:
            raise StoreError(
                f"its manifest cannot be read ({problem})",
                place=str(self.manifest_path),
                fix="delete the folder and run the stage again",
            ) from None
        if not isinstance(content, dict) or content.get("stage") != self.name:
            raise StoreError(
                f"it is not the manifest of a {self.name} stage",
                place=str(self.manifest_path),
                fix="choose another run folder",
            )
        if not is_sealed(content):
            raise StoreError(
                "its content is not what was written",
                place=str(self.manifest_path),
                fix=f"run `smartx {self._command}` again",
            )
        if schema is not None and content.get("schema") != schema:
            raise StoreError(
                f"its layout is {content.get('schema')}, and this version reads layout {schema}",
                place=str(self.manifest_path),
                fix=f"run `smartx {self._command}` again",
            )
        return content

    def is_done(self, key: str) -> bool:
        """Whether the stage finished with exactly this key and its files have their sizes.

        What reads such files compares their digests; work is skipped only after `reuse`.
        """
        return self._stands(key, _has_size)

    def reuse(self, key: str) -> bool:
        """Whether the stage finished with this key and every file hashes to what was written.

        If so, what a run that was killed at its very end left over is deleted. Each file is hashed
        once a process while it stays unchanged (about 1.7 GB/s).
        """
        if not self._stands(key, _is_whole):
            return False
        self.tidy()
        return True

    def _stands(self, key: str, check: Callable[[Path, Mapping[str, Any]], bool]) -> bool:
        try:
            manifest = self.manifest()
            return manifest.get("key") == key and all(
                check(self.folder / entry["name"], entry) for entry in manifest["files"]
            )
        except (StoreError, OSError, KeyError, TypeError):
            return False

    def tidy(self) -> None:
        """Delete files of a finished stage's folder that its manifest does not name."""
        named = {entry["name"] for entry in self.manifest()["files"]}
        with storing(self.folder):
            for path in self.folder.iterdir():
                if path.is_file() and path.name not in named and path.name != MANIFEST:
                    path.unlink(missing_ok=True)

    def keep_parts(self, key: str, part_key: Callable[[Mapping[str, Any]], str]) -> None:
        """If a finished stage with this key has lost or damaged a file, vouch for the others.

        part_key: the key of a part, given the manifest. To be called before `begin`.
        """
        try:
            manifest = json.loads(self.manifest_path.read_bytes())
            if manifest["key"] != key:
                return
            entries = [FileEntry(**entry) for entry in manifest["files"]]
            keyed = part_key(manifest)
        except (OSError, ValueError, KeyError, TypeError):
            return
        for entry in entries:
            Sidecar(self.folder / Path(entry.name).name, keyed).vouch(entry)

    def begin(self) -> None:
        """Make the folder ready for new work: withdraw the manifest, sweep half-written files."""
        with storing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self.manifest_path.unlink(missing_ok=True)
            sweep(self.folder)

    def finish(
        self,
        *,
        key: str,
        schema: int,
        parameters: Mapping[str, Any],
        inputs: Mapping[str, str],
        files: Sequence[FileEntry],
        facts: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Write the manifest, and delete files of an earlier run that it does not name."""
        manifest = {
            "stage": self.name,
            "schema": schema,
            "key": key,
            "parameters": dict(parameters),
            "inputs": dict(inputs),
            "files": [vars(entry) for entry in files],
            **facts,
        }
        manifest = sealed(manifest)
        commit_bytes(self.manifest_path, canonical_json(manifest))
        self.tidy()
        return manifest

    @property
    def _command(self) -> str:
        return {"corpus": "ingest", "embeddings": "embed", "ranking": "rank", "means": "mix"}.get(
            self.name, self.name
        )


def _is_whole(path: Path, entry: Mapping[str, Any]) -> bool:
    return _has_size(path, entry) and unchanged_digest(path) == str(entry["sha256"])


def _has_size(path: Path, entry: Mapping[str, Any]) -> bool:
    return path.stat().st_size == int(entry["bytes"])


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
