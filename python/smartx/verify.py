"""Hash everything again: is what stands in a run folder, or in a mixture, what was written?"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smartx.errors import StoreError
from smartx.progress import Progress, Silent, step
from smartx.store import MANIFEST, canonical_json, is_sealed, key_of

_BLOCK = 1 << 22
_OURS = {"run.json", ".lock"}  # of a run folder; they are not results


@dataclass(frozen=True)
class Finding:
    """A file that is not as it should be, and how."""

    path: Path
    fault: str


@dataclass(frozen=True)
class Verified:
    """files, bytes: that were hashed.  faults: what is wrong.  notes: what is merely of interest.

    folders: the finished stages and mixtures that were looked at.
    """

    files: int
    bytes: int
    folders: tuple[Path, ...]
    faults: tuple[Finding, ...]
    notes: tuple[Finding, ...]


def verify_folder(folder: Path, progress: Progress | None = None) -> Verified:
    """Hash every file that the manifests below `folder` name, and look for files that none names.

    folder: of a run, of a mixture, or of one stage. Raises StoreError where it is none of these.
    """
    stages, notes = _stages(folder)
    faults: list[Finding] = []
    manifests: dict[Path, Mapping[str, Any]] = {}
    for stage in stages:
        manifest = _manifest(stage, faults)
        if manifest is not None:
            manifests[stage] = manifest
    total = sum(int(entry["bytes"]) for m in manifests.values() for entry in m["files"])
    hashed = files = 0
    with step(progress or Silent(), "verify", total, "bytes") as advance:
        for stage, manifest in manifests.items():
            for entry in manifest["files"]:
                path = stage / entry["name"]
                fault = _fault(path, entry, advance)
                files, hashed = files + 1, hashed + int(entry["bytes"])
                if fault:
                    faults.append(Finding(path, fault))
    for stage, manifest in manifests.items():
        faults += _foreign(stage, manifest)
    notes += _strangers(folder, manifests)
    return Verified(files, hashed, tuple(stages), tuple(faults), tuple(notes))


def _stages(folder: Path) -> tuple[list[Path], list[Finding]]:
    """Folders below `folder` with a manifest, and those of stages that were not finished."""
    if (folder / MANIFEST).is_file():
        return [folder], []
    known = [folder / name for name in ("corpus", "embeddings")]
    known += [path for name in ("means", "rankings") for path in sorted((folder / name).glob("*"))]
    there = [path for path in known if path.is_dir()]
    finished = [path for path in there if (path / MANIFEST).is_file()]
    if not there:
        raise StoreError(
            "it is neither the folder of a run nor a mixture",
            place=str(folder),
            fix="name a folder given to --run-dir or --out",
        )
    unfinished = [path for path in there if path not in finished and any(path.iterdir())]
    return finished, [Finding(path, "not finished") for path in unfinished]


def _manifest(stage: Path, faults: list[Finding]) -> Mapping[str, Any] | None:
    """The manifest, if it is good enough to go on; what is wrong with it is added to `faults`."""
    path = stage / MANIFEST
    try:
        content = path.read_bytes()
        manifest = json.loads(content)
        whole = is_sealed(manifest) and canonical_json(manifest) == content
        if "inputs" in manifest and "schema" in manifest and "key" in manifest:
            names = ("stage", "schema", "parameters", "inputs")
            whole = whole and key_of(*(manifest[name] for name in names)) == manifest["key"]
        str(manifest["digest"])
        for entry in manifest["files"]:
            (stage / entry["name"], int(entry["bytes"]), entry["sha256"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        faults.append(Finding(path, f"cannot be read ({problem})"))
        return None
    if not whole:
        faults.append(Finding(path, "damaged: it is not what was written"))
    return manifest if isinstance(manifest, dict) else None


def _fault(path: Path, entry: Mapping[str, Any], advance: Any) -> str:
    """What is wrong with a file, or nothing. Advances by the bytes that the manifest names."""
    told, sha, length = 0, hashlib.sha256(), int(entry["bytes"])
    try:
        if not path.is_file():
            return "missing"
        size = path.stat().st_size
        if size != length:
            return f"damaged: {size:,} bytes, and {length:,} were written"
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                sha.update(block)
                advance(len(block))
                told += len(block)
    except OSError as problem:
        return f"cannot be read ({problem.strerror})"
    finally:
        advance(max(0, length - told))
    return "" if sha.hexdigest() == entry["sha256"] else "damaged: its bytes have changed"


def _foreign(stage: Path, manifest: Mapping[str, Any]) -> Iterator[Finding]:
    named = {str(entry["name"]) for entry in manifest["files"]} | {MANIFEST}
    for path in sorted(stage.rglob("*")):
        if not path.is_dir() and path.relative_to(stage).as_posix() not in named:
            left = ".tmp." in path.name
            yield Finding(path, "half-written, left by a killed run" if left else "foreign")


def _strangers(folder: Path, manifests: Mapping[Path, Mapping[str, Any]]) -> Iterator[Finding]:
    """Stages made from another corpus or other vectors than those that stand there now."""
    corpus, vectors = manifests.get(folder / "corpus"), manifests.get(folder / "embeddings")
    for stage, manifest in manifests.items():
        inputs = manifest.get("inputs", {})
        for name, here in (("corpus", corpus), ("embeddings", vectors)):
            if here and here is not manifest and inputs.get(name, here["digest"]) != here["digest"]:
                yield Finding(stage, f"made from other {name} than stand there now")
