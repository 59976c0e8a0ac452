"""Stages on disk: a folder is finished only when its manifest says so.

A stage (corpus, embeddings, a ranking) is a folder whose `manifest.json` is written last and names
the key of everything that went into the stage and the size and SHA-256 of every file. A stage is
reused only when its key is the one that is wanted and its files hash to what the manifest says.
Stages with other keys stand beside it in folders of their own, so nothing finished is ever
withdrawn. Inside an unfinished stage, a part (a shard of vectors, a piece of a ranking) counts as
made only while the sidecar beside it names its key and its digest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from smartx.errors import StoreError
from smartx.files import (
    MARK,
    canonical_json,
    check_alone,
    commit_bytes,
    committing,
    discard,
    file_digest,
    has_mark,
    own,
    storing,
    sweep,
    unchanged_digest,
    write_mark,
)

MANIFEST = "manifest.json"
MIXTURE = "mixture"  # the stage that stands in OUT
EXPORT = "export"  # a mixture's rows, written for one trainer
_ID = 16  # hex digits of a key that name a folder
_SEAL = "seal"
_COMMANDS = {
    "corpus": "ingest",
    "embeddings": "embed",
    "student": "embed",
    "tasks": "tasks",
    "ranking": "rank",
    "means": "mix",
    "features": "rank",
    "leave_out": "rank",
    "measures": "clean",
    "signatures": "clean",
    "warm_up": "features gradients",
}


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


def folder_of(parent: Path, key: str) -> Path:
    """Where the stage with this key stands among those of its kind."""
    return parent / key[:_ID]


def is_ours(folder: Path) -> bool:
    """Whether a folder is a run folder or a stage of ours, a mixture or an export of one."""
    if has_mark(folder):
        return True
    try:
        return read_manifest(folder / MANIFEST).get("stage") in (MIXTURE, EXPORT)
    except StoreError:
        return False


def read_manifest(path: Path) -> dict[str, Any]:
    """A manifest as it was sealed. Raises StoreError where it is missing, damaged or hostile."""
    try:
        content = json.loads(path.read_bytes())
        if not isinstance(content, dict):
            raise ValueError("it is not an object")
        whole = is_sealed(content)
        for entry in content.get("files", []):
            check_entry(entry)
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as problem:
        fault = problem.strerror if isinstance(problem, OSError) else str(problem)[:200]
        raise StoreError(
            f"its manifest cannot be read ({fault or type(problem).__name__})", place=str(path)
        ) from problem
    if not whole:
        raise StoreError("its content is not what was written", place=str(path))
    return content


def file_entries(folder: Path) -> list[dict[str, Any]]:
    """Name, bytes and digest of all files of a folder that is being built, in order of name."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MARK)
    return [
        {
            "name": path.relative_to(folder).as_posix(),
            "bytes": path.stat().st_size,
            "sha256": file_digest(path),
        }
        for path in paths
    ]


def check_entry(entry: Mapping[str, Any]) -> None:
    """Raise ValueError unless a file of a manifest lies inside the manifest's folder."""
    name = PurePosixPath(str(entry["name"]))
    if name.is_absolute() or ".." in name.parts or not name.parts:
        raise ValueError(f"it names {str(name)!r}, which is not inside the folder")
    int(entry["bytes"]), str(entry["sha256"])


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
        return cls(path.name, path.stat().st_size, unchanged_digest(path), rows)


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
            entry = FileEntry.of(self.part, int(content["rows"]))
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
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

    def withdraw(self) -> None:
        """Delete the sidecar, if it is one."""
        with suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
            content = json.loads(self.path.read_bytes())
            if content["name"] == self.part.name and content["key"]:
                self.path.unlink()

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
        again = f"run `smartx {_COMMANDS.get(self.name, self.name)}` again"
        try:
            content = read_manifest(self.manifest_path)
        except StoreError as problem:
            if isinstance(problem.__cause__, FileNotFoundError):
                raise StoreError(
                    f"the {self.name} stage has not been finished here",
                    place=str(self.folder),
                    fix=f"{again.removesuffix(' again')} on this run folder first",
                ) from None
            raise StoreError(problem.fault, place=problem.place, fix=again) from None
        if content.get("stage") != self.name:
            raise StoreError(
                f"it is not the manifest of a {self.name} stage",
                place=str(self.manifest_path),
                fix="choose another run folder",
            )
        if schema is not None and content.get("schema") != schema:
            raise StoreError(
                f"its layout is {content.get('schema')}, and this version reads layout {schema}",
                place=str(self.manifest_path),
                fix=again,
            )
        return content

    def is_done(self, key: str) -> bool:
        """Whether the stage finished with exactly this key and its files have their sizes.

        What reads such files compares their digests; work is skipped only after `reuse`.
        """
        return self._standing(key, _has_size) is not None

    def reuse(self, key: str) -> bool:
        """Whether the stage finished with this key and every file hashes to what was written.

        If so, what a run that was killed at its very end left over is deleted. Each file is hashed
        once a process while it stays unchanged (about 1.7 GB/s).
        """
        manifest = self._standing(key, _is_whole)
        if manifest is None:
            return False
        content = canonical_json(manifest)
        with storing(self.folder):
            write_mark(self.folder, self._what)
            if self.manifest_path.stat().st_size != len(content):  # a line end lost, say
                commit_bytes(self.manifest_path, content)
        self._tidy(manifest)
        return True

    @property
    def _what(self) -> str:
        return f"{self.name} stage"

    def _standing(
        self, key: str, check: Callable[[Path, Mapping[str, Any]], bool]
    ) -> dict[str, Any] | None:
        """The manifest of the stage with this key, if each of its files passes the check."""
        try:
            manifest = self.manifest()
            passes = (check(self.folder / entry["name"], entry) for entry in manifest["files"])
            return manifest if manifest.get("key") == key and all(passes) else None
        except (StoreError, OSError, KeyError, TypeError):
            return None

    def _tidy(self, manifest: Mapping[str, Any]) -> None:
        """Delete what a stage needs only until it is finished."""
        with storing(self.folder):
            sweep(self.folder)
            for entry in manifest["files"]:
                Sidecar(self.folder / entry["name"], manifest["key"]).withdraw()

    def keep_parts(self, key: str, part_key: Callable[[Mapping[str, Any]], str]) -> None:
        """If a finished stage with this key has lost or damaged a file, vouch for the others.

        part_key: the key of a part, given the manifest. To be called before `begin`.
        """
        try:
            manifest = self.manifest()
            if manifest["key"] != key:
                return
            entries = [FileEntry(**entry) for entry in manifest["files"]]
            keyed = part_key(manifest)
        except (StoreError, KeyError, TypeError):
            return
        for entry in entries:
            Sidecar(self.folder / entry.name, keyed).vouch(entry)

    def begin(self) -> None:
        """Make the folder ready for new work: ours, and without half-written files.

        Raises StoreError where the folder holds anything without our mark, or is a link; NotAlone
        beside others.
        """
        check_alone()
        own(self.folder, self._what)
        with storing(self.folder):
            sweep(self.folder)

    def abandon(self) -> None:
        """Take back what this process wrote into the stage, if it is not finished."""
        with suppress(OSError):
            if not self.manifest_path.exists():
                discard(self.folder)

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
        """Write the manifest: from here on the stage is finished."""
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
        self._tidy(manifest)
        return manifest


def _is_whole(path: Path, entry: Mapping[str, Any]) -> bool:
    return _has_size(path, entry) and unchanged_digest(path) == str(entry["sha256"])


def _has_size(path: Path, entry: Mapping[str, Any]) -> bool:
    return path.stat().st_size == int(entry["bytes"])
