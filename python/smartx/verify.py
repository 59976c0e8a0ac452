"""Hash everything again: is what stands in a run folder, or in a mixture, what was written?"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smartx.errors import StoreError
from smartx.files import MARK, TEMPORARY, has_mark
from smartx.progress import Progress, Silent, step
from smartx.run_folder import STAGES, VECTORS, current
from smartx.store import EXPORT, MANIFEST, MIXTURE, check_entry, folder_of, key_of, read_manifest

_BLOCK = 1 << 22
_BESIDES = {MANIFEST, MARK}  # of a stage; they are not results


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

    folder: of a run, of a mixture, of a swarm of mixtures, or of one stage. Raises StoreError where
    it is none of these, or holds nothing that was finished.
    """
    folders, notes, faults = _looked_at(folder)
    held: dict[Path, list[Mapping[str, Any]]] = {}
    manifests: dict[Path, dict[str, Any]] = {}
    for place in folders:
        try:
            if place.parent.name == VECTORS:
                held[place] = _parts(place)
            else:
                manifest = read_manifest(place / MANIFEST)
                _check_key(place, manifest)
                manifests[place], held[place] = manifest, manifest["files"]
        except StoreError as problem:
            faults.append(Finding(Path(problem.place), problem.fault))
    total = sum(int(entry["bytes"]) for entries in held.values() for entry in entries)
    hashed = files = 0
    with step(progress or Silent(), "verify", total, "bytes") as advance:
        for place, entries in held.items():
            for entry in entries:
                fault = _fault(place / entry["name"], entry, advance)
                files, hashed = files + 1, hashed + int(entry["bytes"])
                if fault:
                    faults.append(Finding(place / entry["name"], fault))
    for stage, made in manifests.items():
        faults += _lost_parts(stage, made, held)
    for place, entries in held.items():
        faults += _foreign(place, {str(entry["name"]) for entry in entries})
    notes += _strangers(manifests)
    return Verified(files, hashed, tuple(folders), tuple(faults), tuple(notes))


def _looked_at(folder: Path) -> tuple[list[Path], list[Finding], list[Finding]]:
    """Finished stages and mixtures, notes of those that are not finished, and what is missing."""
    if (folder / MANIFEST).is_file() or folder.parent.name == VECTORS:
        return [folder], [], []
    run = folder.parent if folder.name in STAGES and not has_mark(folder) else folder
    if not has_mark(run):
        raise StoreError(
            "it is neither the folder of a run nor a mixture",
            place=str(folder),
            fix="name a folder given to `run_dir` or `out`",
        )
    kinds = STAGES if run == folder else (folder.name,)
    there = [path for kind in kinds for path in sorted((run / kind).glob("*")) if path.is_dir()]
    if run == folder:  # the mixtures of a swarm stand in its own folder
        there += sorted(path.parent for path in run.glob(f"*/{MANIFEST}"))
        if not there and not current(run):
            raise StoreError("nothing in it has a manifest to be held to", place=str(folder))
    finished = [p for p in there if (p / MANIFEST).is_file() or p.parent.name == VECTORS]
    meant = [run / stage / name for stage, name in current(run).items() if stage in kinds]
    lost = [Finding(path, "missing") for path in meant if path not in finished]
    missing = {finding.path for finding in lost}
    unfinished = [p for p in there if p not in finished and p not in missing and any(p.iterdir())]
    return finished, [Finding(path, "not finished") for path in unfinished], lost


def _check_key(stage: Path, manifest: Mapping[str, Any]) -> None:
    """Raise StoreError where a stage's key is not that of what it was made from."""
    names = ("stage", "schema", "parameters", "inputs")
    try:
        whole = isinstance(manifest["files"], list) and isinstance(manifest["inputs"], dict)
        if manifest["stage"] not in (MIXTURE, EXPORT):
            whole &= key_of(*(manifest[name] for name in names)) == manifest["key"]
    except (KeyError, TypeError, ValueError):
        whole = False
    if not whole:
        raise StoreError("damaged: it is not what was written", place=str(stage / MANIFEST))


def _parts(folder: Path) -> list[Mapping[str, Any]]:
    """Parts that stand for themselves, each with its sidecar, the sidecars, and the plan of parts
    that are yet to be made.
    """
    entries: list[Mapping[str, Any]] = []
    for path in sorted(folder.glob("*.json")):
        try:
            content = path.read_bytes()
            entry = json.loads(content)
            if path.name.startswith("plan-"):
                read_manifest(path)
            else:
                check_entry(entry)
                if path.name != f"{entry['name']}.json":
                    raise ValueError
                entries.append(entry)
        except (
            OSError,
            ValueError,
            KeyError,
            TypeError,
            OverflowError,
            RecursionError,
            StoreError,
        ):
            raise StoreError(f"{path.name} is damaged", place=str(path)) from None
        sha = hashlib.sha256(content).hexdigest()
        entries.append({"name": path.name, "bytes": len(content), "sha256": sha})
    return entries


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


def _lost_parts(
    stage: Path, manifest: Mapping[str, Any], held: Mapping[Path, list[Mapping[str, Any]]]
) -> Iterator[Finding]:
    """Parts that embeddings point into, or the embeddings of a student, that are gone."""
    try:
        found = manifest.get("vectors", [])
        encoders = [found] if isinstance(found, dict) else list(found)
        wanted_of = {
            _beside(stage, VECTORS, encoder["key"]): {
                str(part["name"]): str(part["sha256"]) for part in encoder["parts"]
            }
            for encoder in encoders
        }
        named = [manifest["one_encoder"]["key"]] if "one_encoder" in manifest else []
        students = [_beside(stage, stage.parent.name, key) for key in named]
        if "vectors" in manifest and not encoders:
            raise ValueError
    except (KeyError, TypeError, ValueError):
        yield Finding(stage / MANIFEST, "damaged: it is not what was written")
        return
    for folder in students:
        if not (folder / MANIFEST).is_file():
            yield Finding(folder, "missing")
    for folder, wanted in wanted_of.items():
        there = {str(entry["name"]): str(entry["sha256"]) for entry in held.get(folder, ())}
        for name, sha in wanted.items():
            if folder in held and name in there:
                if there[name] != sha:
                    yield Finding(folder / name, f"not the part that {stage} points into")
            elif folder in held or not (folder / name).is_file():
                yield Finding(folder / name, "missing")


def _beside(stage: Path, kind: str, key: str) -> Path:
    """The folder with this key, of another kind, in the run folder of a stage."""
    if not str(key).isalnum():
        raise ValueError
    return folder_of(stage.parent.parent / kind, str(key))


def _foreign(stage: Path, named: set[str]) -> Iterator[Finding]:
    for path in sorted(stage.rglob("*")):
        name = path.relative_to(stage).as_posix()
        if not path.is_dir() and name not in named | _BESIDES:
            left = TEMPORARY in path.name
            yield Finding(path, "half-written, left by a killed run" if left else "foreign")


def _strangers(manifests: Mapping[Path, Mapping[str, Any]]) -> Iterator[Finding]:
    """Stages made from a corpus or from vectors that do not stand there any more."""
    digests: dict[str, set[str]] = {"corpus": set(), "embeddings": set()}
    for manifest in manifests.values():
        digests.get(str(manifest["stage"]), set()).add(str(manifest.get("digest")))
    for stage, manifest in manifests.items():
        for name, there in digests.items():
            made_from = manifest.get("inputs", {}).get(name)
            what = "a corpus that stands" if name == "corpus" else "vectors that stand"
            if there and made_from is not None and made_from not in there:
                yield Finding(stage, f"made from {what} here no more")
