"""Folders on disk that survive a crash: files appear whole or not at all, and a stage is done only
when it says so.

A file is written under a temporary name, flushed to disk, and renamed; the folder is flushed too. A
stage (corpus, embeddings, a ranking) is a folder whose `manifest.json` is written last and names
the key of everything that went into the stage and the size and SHA-256 of every file. A stage is
reused only when its key is the one that is wanted and its files are as the manifest says.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smartx.errors import StoreError

MANIFEST = "manifest.json"
_TEMPORARY = ".tmp."


def canonical_json(value: Any) -> bytes:
    """JSON whose bytes depend on the value alone: sorted keys, UTF-8, a newline at the end."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, indent=1)
    return (text + "\n").encode()


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


@contextmanager
def committing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; when the block ends well, the file there becomes `path`.

    The temporary name keeps the ending of `path`, since some writers look at it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}{_TEMPORARY}{uuid.uuid4().hex}{path.suffix}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _flush_folder(path.parent)
    finally:
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
class Stage:
    """A folder that one stage writes. `name` says which stage, for messages and manifests."""

    name: str
    folder: Path

    @property
    def manifest_path(self) -> Path:
        """The file whose presence, with the right key, says that the stage is done."""
        return self.folder / MANIFEST

    def manifest(self) -> dict[str, Any]:
        """The manifest of a finished stage. Raises StoreError if there is none that can be read."""
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
        return content

    def is_done(self, key: str) -> bool:
        """Whether the stage finished with exactly this key and its files are all there."""
        try:
            manifest = self.manifest()
        except StoreError:
            return False
        return manifest.get("key") == key and all(
            _has_size(self.folder / entry["name"], entry["bytes"]) for entry in manifest["files"]
        )

    def begin(self) -> None:
        """Make the folder ready for new work: withdraw the manifest, sweep half-written files."""
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
        named = {entry.name for entry in files}
        commit_bytes(self.manifest_path, canonical_json(manifest))
        for path in self.folder.iterdir():
            if path.is_file() and path.name not in named and path.name != MANIFEST:
                path.unlink()
        return manifest

    @property
    def _command(self) -> str:
        return {"corpus": "ingest", "embeddings": "embed", "ranking": "rank"}.get(
            self.name, self.name
        )


def _has_size(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except OSError:
        return False


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
