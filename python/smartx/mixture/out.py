"""The folder of a mixture: what stands there, and how a new one takes its place in one step.

A mixture is built in a folder beside OUT that carries our mark. The old one steps aside, the new
one takes its name, and of the old one just the files that its manifest names are deleted. Whatever
a kill leaves, the next run puts right; what somebody else put there is never touched.

An export of a mixture is a folder of the same kind: `stage` says which of the two is meant.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from smartx.corpus.remote import at
from smartx.errors import InputError, StoreError
from smartx.files import MARK, TEMPORARY, canonical_json, file_digest, flush_folder
from smartx.mixture.mixture import Mixture as Mixture
from smartx.store import EXPORT, MANIFEST, MIXTURE, is_ours, read_manifest
from smartx.urls import is_url, was_url

_FIX = "choose another folder for `out`, or empty this one"
_A = {MIXTURE: "a mixture", EXPORT: "an export"}
# What follows from other settings: named in an error only where nothing else differs.
_FOLLOWS = (
    *("corpus_rows", "digest", "files", "groups", "inputs", "left_out", "most", "prior", "rows"),
    *("schema", "seal", "shares", "tasks", "tokens", "total", "trainers", "unit", "units", "value"),
)
_MADE_BY = {MIXTURE: "smartx mix", EXPORT: "smartx export"}


def open_mixture(folder: Path | str, *, stage: str = MIXTURE) -> Mixture:
    """The mixture in a folder, or at the URL of one. Raises StoreError if there is none.

    >>> import smartx
    >>> smartx.open_mixture("nowhere")
    Traceback (most recent call last):
    smartx.errors.StoreError: nowhere: it is not a mixture
      fix: make one with `smartx mix`
    """
    place: Any = at(folder) if isinstance(folder, str) and is_url(folder) else Path(folder)
    try:
        manifest = read_manifest(place / MANIFEST)
    except StoreError:
        manifest = {}
    if manifest.get("stage") != stage:
        raise StoreError(
            f"it is not {_A[stage]}", place=str(place), fix=f"make one with `{_MADE_BY[stage]}`"
        )
    return Mixture(place, manifest)


def check_out(out: Path, *, stage: str = MIXTURE) -> Mixture | None:
    """The mixture in `out`; None where `out` is absent or empty.

    Raises InputError for anything else: a link, a file, a folder that holds more than a mixture.
    """
    if was_url(out):
        fault, fix = "it is not written to an object store", "name a folder, and copy it there"
        raise InputError(fault, place=str(out), fix=fix)
    if not os.path.lexists(out):
        return None
    if out.is_symlink():
        raise InputError("it is a link", place=str(out), fix="name the folder that it points to")
    if not out.is_dir():
        raise InputError("it is not a folder", place=str(out), fix=_FIX)
    if not any(out.iterdir()):
        return None
    try:
        found = open_mixture(out, stage=stage)
    except StoreError:
        raise InputError(
            f"the folder is not empty and not {_A[stage]} of smartx", place=str(out), fix=_FIX
        ) from None
    _refuse_foreign(out, found.manifest)
    return found


def check_replaceable(
    out: Path, settings: dict[str, Any], *, overwrite: bool, stage: str = MIXTURE
) -> None:
    """Raise InputError where a mixture stands in `out` that was made otherwise.

    settings: facts of the mixture that is to stand there; those that the other one's manifest has
    too are compared. overwrite: it may be replaced.
    """
    found = check_out(out, stage=stage)
    if found is not None and not overwrite:
        refuse_other(found, settings, stage=stage)


def refuse_other(found: Mixture, settings: dict[str, Any], *, stage: str = MIXTURE) -> None:
    """Raise InputError where a mixture was made otherwise than with these settings."""
    there = found.manifest
    if differ := [name for name in differences(there, settings) if name in there]:
        what = ", ".join(causes(differ))
        raise InputError(
            f"another {stage} stands there ({there.get('rows', 0):,} rows; it differs in: {what})",
            place=str(found.folder),
            fix="choose another folder for `out`, or pass `overwrite` to replace it",
        )


def differences(manifest: dict[str, Any], settings: dict[str, Any]) -> list[str]:
    """Names of the settings that a manifest says otherwise."""
    asked = json.loads(canonical_json(settings))
    return sorted(name for name in asked if manifest.get(name) != asked[name])


def causes(differ: Sequence[str]) -> list[str]:
    """Of names of settings those that somebody chose; all where there are none."""
    return [name for name in differ if name not in _FOLLOWS] or [*differ]


def delete_mixture(folder: Path, *, stage: str = MIXTURE) -> None:
    """Delete a mixture that nothing takes the place of; one that holds more than itself stays."""
    if _is_mixture(folder, stage):
        with suppress(InputError):
            _refuse_foreign(folder, open_mixture(folder, stage=stage).manifest)
            _delete(folder, stage)


def stands(out: Path, settings: dict[str, Any], *, stage: str = MIXTURE) -> bool:
    """Whether a mixture made just so stands in `out`, every file of it as it was written."""
    found = check_out(out, stage=stage)
    if found is None or differences(found.manifest, settings):
        return False
    with suppress(OSError):
        return all(
            file_digest(out / entry["name"]) == entry["sha256"] for entry in found.manifest["files"]
        )
    return False


@contextmanager
def building_beside(out: Path) -> Iterator[Path]:
    """A new folder with our mark for a mixture that is to stand in `out`; gone if the block fails.

    To be put in place by `put_in_place`, inside the block.
    """
    building = _beside(out, uuid.uuid4().hex)
    building.mkdir(parents=True)
    try:
        (building / MARK).write_bytes(canonical_json({"smartx": "mixture in the making"}))
        yield building
    finally:
        shutil.rmtree(building, ignore_errors=True)


def put_in_place(building: Path, out: Path, *, stage: str = MIXTURE) -> None:
    """Let `building` become `out`. An old mixture steps aside; `recover` undoes that.

    Raises StoreError where `out` cannot be replaced, or somebody put anything into it meanwhile.
    """
    (building / MARK).unlink()
    _flush(building)
    old = _beside(out, "old")
    try:
        if check_out(out, stage=stage) is None:
            os.rename(building, out)  # an empty folder gives way, any other does not
        else:
            os.rename(out, old)
            _step_in(building, out, old, stage)
    except OSError as problem:
        raise StoreError(
            f"the folder cannot be put in place ({problem.strerror})",
            place=str(out),
            fix="choose a folder that is not a mount point and that nothing else writes to",
        ) from None
    _delete(old, stage)
    flush_folder(out.parent)


def _step_in(building: Path, out: Path, old: Path, stage: str) -> None:
    """Once the old mixture stands aside, nobody adds to it: a last look, then the new one."""
    try:
        _refuse_foreign(old, open_mixture(old, stage=stage).manifest)
        os.rename(building, out)
    except BaseException:
        if not os.path.lexists(out):
            os.rename(old, out)
        raise


def recover(out: Path, *, stage: str = MIXTURE) -> None:
    """Undo what a killed run left: an old mixture comes back, half-built folders go."""
    old = _beside(out, "old")
    with suppress(OSError):
        if not os.path.lexists(out) and _is_mixture(old, stage):
            os.rename(old, out)
    _delete(old, stage)
    for path in out.parent.glob(f"{_escaped(_beside(out, '').name)}*"):
        if path.is_symlink() or not path.is_dir() or path == old:
            continue
        if is_ours(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.rmdir()  # made, and killed before the mark was there


def _beside(out: Path, ending: str) -> Path:
    """A name beside `out` that belongs to its name alone."""
    own = hashlib.sha256(os.fsencode(out.name)).hexdigest()[:8]
    return out.with_name(f".{out.name[:24]}{TEMPORARY}{own}-{ending}")


def _escaped(name: str) -> str:
    return "".join(f"[{char}]" if char in "*?[" else char for char in name)


def _is_mixture(folder: Path, stage: str) -> bool:
    try:
        return not folder.is_symlink() and bool(open_mixture(folder, stage=stage))
    except StoreError:
        return False


def _refuse_foreign(folder: Path, manifest: dict[str, Any]) -> None:
    inside = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if not path.is_dir() or path.is_symlink()
    }
    foreign = sorted(inside - {entry["name"] for entry in manifest["files"]} - {MANIFEST})
    if foreign:
        raise InputError(
            f"what stands there would be replaced, and {len(foreign)} files in the folder "
            f"are not part of it (first: {foreign[0]!r})",
            place=str(folder),
            fix="move them away, or choose another folder for `out`",
        )


def _delete(old: Path, stage: str) -> None:
    """Delete a mixture that stepped aside: its files, the manifest last, then empty folders."""
    if not _is_mixture(old, stage):
        return
    names = [str(entry["name"]) for entry in open_mixture(old, stage=stage).manifest["files"]]
    with suppress(OSError):
        for name in [*names, MANIFEST]:
            (old / name).unlink(missing_ok=True)
        for folder in sorted({(old / name).parent for name in names}, reverse=True):
            folder.rmdir()
        if old.exists():
            old.rmdir()


def _flush(folder: Path) -> None:
    """Have the disk hold every file and folder below `folder`."""
    for root, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(root, name), "rb") as file:
                os.fsync(file.fileno())
        flush_folder(Path(root))
