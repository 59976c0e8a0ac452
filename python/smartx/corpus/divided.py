"""Ingest in parts: files of the sources as units of work, which are read here or elsewhere.

A unit is a file, or some small ones that follow each other. What has to be known of all files
first is how each is read (`layouts.py`, by the first rows of each): one process finds it out and
writes it down. Parts stand in a folder of RUN/corpus of their own, gone when the corpus is
finished. It is named by the names, sizes and times of the files, since the digests of the files,
which name the corpus, are taken where they are read. One process puts the corpus together of the
parts, in the order of the files.

A file is never cut: from which row on a late column has a role, and which layouts it has, depends
on the rows before.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

from smartx.corpus.columns import Layout
from smartx.corpus.corpus import SCHEMA, STAGE, Corpus
from smartx.corpus.ingest import Ingestion
from smartx.corpus.layouts import Look, look_at
from smartx.corpus.part import Part, PartWriter, put_behind
from smartx.corpus.reading import Reading
from smartx.corpus.room import LEAST_BYTES, Room
from smartx.corpus.sources import SourceFile
from smartx.errors import StoreError
from smartx.files import (
    MARK,
    canonical_json,
    check_alone,
    has_mark,
    is_beside_others,
    own,
    storing,
    sweep,
)
from smartx.progress import Progress, Silent, step
from smartx.store import MANIFEST, Sidecar, Stage, folder_of, key_of, read_manifest
from smartx.units import Divide, Unit

MOST_BYTES = 64 << 20  # of text in files that are read together, about; a larger file is alone
LEAST = 1 << 20  # together, where there are few bytes
MANY, MOST_FILES = 64, 1_024  # units where there are enough bytes; files of one
_BYTES_A_SECOND = 20e6  # of text
_PACKED = 4  # bytes of text in a byte of a packed or binary file, about
_SIZE = 2  # in a signature
_LOOKS = "looks.json"
Span = tuple[int, int]  # files first..last-1


def ingested(
    wanted: Ingestion,
    folder: Path,
    *,
    divide: Divide | None = None,
    memory: int | None = None,
    progress: Progress | None = None,
) -> Corpus:
    """The corpus that is wanted, in RUN/corpus/ID: made of the parts that are there, or have been
    made by `divide`, or in one go.

    folder: RUN/corpus.  memory: bytes for this process.
    """
    progress = progress or Silent()
    parts = Parts(wanted, folder, memory)
    if not _stands(wanted, folder):
        if divide is not None and len(parts.units()) > 1:
            parts.prepare()
            divide(parts)
        if parts.begun():
            parts.complete(progress)
            wanted.know(parts.digests())
            place = folder_of(folder, wanted.key)
            corpus = wanted.into(place, memory=memory, progress=progress, gather=parts.gather)
            parts.clear()
            return corpus
    corpus = wanted.into(folder_of(folder, wanted.key), memory=memory, progress=progress)
    parts.clear()
    return corpus


def _stands(wanted: Ingestion, folder: Path) -> bool:
    """Whether the corpus is there. The sources are hashed only where one like it is."""
    sizes = [(f.name, s[_SIZE]) for f, s in zip(wanted.files, wanted.signatures, strict=True)]
    parameters = json.loads(canonical_json(wanted.parameters))
    for path in sorted(folder.glob(f"*/{MANIFEST}")):
        try:
            found = read_manifest(path)
            named = [(source["name"], source["bytes"]) for source in found["sources"]]
            alike = found["parameters"] == parameters and named == sizes
        except (StoreError, LookupError, TypeError):
            continue
        if alike and path.parent == folder_of(folder, wanted.key):
            return Stage(STAGE, path.parent).is_done(wanted.key)
    return False


class Parts:
    """The parts of a corpus; implements smartx.units.Divided.

    A unit of several files that ends whoever makes it is split into one for each:
    "ingest-00012" into "ingest-00012.00000" and so on.
    """

    name = "ingest"

    def __init__(self, wanted: Ingestion, folder: Path, memory: int | None) -> None:
        """folder: RUN/corpus.  memory: for the process that makes parts."""
        self._wanted = wanted
        self._room = Room() if memory is None else Room(memory)
        self._above = folder

    @cached_property
    def key(self) -> str:
        """Names what is read and how. Files are the same while their sizes and times are."""
        wanted = self._wanted
        each = zip(wanted.files, wanted.signatures, strict=True)
        files = [[file.name, file.format, file.compression, *_same(file, s)] for file, s in each]
        parameters = {**wanted.parameters, "files": files, "parts": 1}
        return key_of("ingest parts", SCHEMA, parameters, {})

    @property
    def folder(self) -> Path:
        """Where the parts stand."""
        return folder_of(self._above, self.key)

    @cached_property
    def _spans(self) -> dict[str, Span]:
        """Cut by the bytes of the files alone."""
        sizes = [
            (s[_SIZE] + 1) * (_PACKED if _is_packed(file) else 1)
            for file, s in zip(self._wanted.files, self._wanted.signatures, strict=True)
        ]
        most = min(MOST_BYTES, max(LEAST, sum(sizes) // MANY))
        spans, first, held = [], 0, 0
        for number, size in enumerate(sizes):
            if number > first and (held + size > most or number - first == MOST_FILES):
                spans.append((first, number))
                first, held = number, 0
            held += size
        spans.append((first, len(sizes)))
        return {f"{self.name}-{n:05d}": span for n, span in enumerate(spans)}

    @cached_property
    def _looks(self) -> list[Look]:
        """How each file is read."""
        looks = json.loads((self.folder / _LOOKS).read_bytes())
        return [_look(look) for look in looks]

    def prepare(self) -> None:
        """Look at the first rows of every file, where nobody did. Raises NotAlone beside others,
        and CorpusError for a file that is not understood.
        """
        sidecar = Sidecar(self.folder / _LOOKS, self.key)
        if sidecar.whole_part() is not None:
            return
        check_alone()
        wanted = self._wanted
        looks = look_at(wanted.files, wanted.signatures, wanted.options, self._room)
        own(self.folder, "corpus stage")
        content = canonical_json([_told(look) for look in looks])
        with storing(self.folder):
            sweep(self.folder)
            sidecar.commit(len(looks), lambda path: _written(path, content))
        vars(self).pop("_looks", None)

    def begun(self) -> bool:
        """Whether any part may be there."""
        return Sidecar(self.folder / _LOOKS, self.key).whole_part() is not None

    def units(self) -> list[Unit]:
        """The parts, in order."""
        return [self._unit(name, span) for name, span in self._spans.items()]

    def done(self, unit: Unit) -> bool:
        """Whether the part is there, in smaller ones perhaps."""
        return bool(self._whole(unit.name))

    def make(self, unit: Unit, advance: Callable[[int], None]) -> None:
        """Read the files of a part. advance: told of bytes."""
        first, last = self._span(unit.name)
        wanted, looks = self._wanted, self._looks[first:last]
        own(self.folder, "corpus stage")

        def read(reading: Reading) -> Mapping[str, str]:
            digests = {}
            for number, look in enumerate(looks, first):
                file, before = wanted.files[number], wanted.signatures[number]
                digests[file.name] = wanted.digest_of(file)
                reading.read(number, file, look, before)
            return digests

        PartWriter(self._part(unit.name), self._room, wanted.counter).write(
            wanted.options, read, advance
        )

    def split(self, unit: Unit) -> list[Unit]:
        """The parts of single files; none of one that is of a single file."""
        return [self._unit(name, span) for name, span in self._smaller(unit.name).items()]

    def close(self) -> None:
        """Nothing is open."""

    def complete(self, progress: Progress) -> None:
        """Make the parts here that are not there."""
        missing = [unit for unit in self.units() if not self.done(unit)]
        if missing:
            total = sum(self._bytes(*self._span(unit.name)) for unit in missing)
            with step(progress, "ingest", total, "bytes") as advance:
                for unit in missing:
                    self.make(unit, advance)

    def digests(self) -> dict[str, str]:
        """SHA-256 of every source, by name, as whoever read it found. All parts are there."""
        found: dict[str, str] = {}
        for _, facts in self._each():
            found.update(facts["digests"])
        return found

    def gather(self, reading: Reading) -> None:
        """Have a reading go through all parts, in order."""
        total = self._bytes(0, len(self._wanted.files))
        with step(reading.progress, "put together", total, "bytes") as advance:
            for name, facts in self._each():
                first, last = self._span(name)
                files = dict(enumerate(self._wanted.files[first:last], first))
                put_behind(self._part(name), facts, files, reading)
                advance(self._bytes(first, last))

    def clear(self) -> None:
        """Delete all parts, once the corpus is finished; not beside others."""
        if is_beside_others() or not has_mark(self.folder):
            return
        with storing(self.folder):
            sweep(self.folder)
            names = (one for whole in self._spans for one in (whole, *self._smaller(whole)))
            sidecar = Sidecar(self.folder / _LOOKS, self.key)
            for path in (p for name in names for p in self._part(name).files()):
                path.unlink(missing_ok=True)
            sidecar.path.unlink(missing_ok=True)
            sidecar.part.unlink(missing_ok=True)
            if [path.name for path in self.folder.iterdir()] == [MARK]:
                (self.folder / MARK).unlink()
                self.folder.rmdir()

    def _each(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """All parts in order, with what their sidecars say, one at a time. Raises StoreError."""
        for name in self._spans:
            whole = self._whole(name)
            if not whole:
                fault, fix = "a part of the corpus was lost", "run the same command again"
                raise StoreError(fault, place=str(self._part(name).sidecar), fix=fix)
            yield from whole.items()

    def _whole(self, name: str) -> dict[str, dict[str, Any]]:
        """What is there of a unit, by name: itself, or all smaller ones, or nothing."""
        facts = self._part(name).facts()
        if facts is not None:
            return {name: facts}
        smaller = {one: self._part(one).facts() for one in self._smaller(name)}
        found = {one: facts for one, facts in smaller.items() if facts is not None}
        return found if len(found) == len(smaller) else {}

    def _part(self, name: str) -> Part:
        keyed = key_of("ingest part", 1, {"part": name}, {"parts": self.key})
        return Part(self.folder, name, keyed)

    def _span(self, name: str) -> Span:
        whole = name.partition(".")[0]
        return self._spans[name] if name == whole else self._smaller(whole)[name]

    def _smaller(self, name: str) -> dict[str, Span]:
        if name not in self._spans:
            return {}
        first, last = self._spans[name]
        if last - first < 2:
            return {}
        return {f"{name}.{n - first:05d}": (n, n + 1) for n in range(first, last)}

    def _bytes(self, first: int, last: int) -> int:
        return sum(signature[_SIZE] for signature in self._wanted.signatures[first:last])

    def _unit(self, name: str, span: Span) -> Unit:
        files = self._wanted.files[slice(*span)]
        signatures = self._wanted.signatures[slice(*span)]
        text = sum(
            s[_SIZE] * (_PACKED if _is_packed(file) else 1)
            for file, s in zip(files, signatures, strict=True)
        )
        return Unit(name, text / _BYTES_A_SECOND, LEAST_BYTES)


def _is_packed(file: SourceFile) -> bool:
    return file.compression is not None or file.format in ("parquet", "arrow")


def _same(file: SourceFile, signature: Sequence[int]) -> list[Any]:
    """What is the same of a file wherever it is seen, and another when it is written.

    Not the number of the device, which every machine gives itself.
    """
    return [file.hub, signature[_SIZE]] if file.hub else list(signature[1:])


def _told(look: Look) -> dict[str, Any]:
    return {"names": look.names, "unseen": sorted(look.unseen), "layout": asdict(look.layout)}


def _look(told: Mapping[str, Any]) -> Look:
    layout = Layout(**{**told["layout"], "why": tuple(told["layout"]["why"])})
    return Look(tuple(told["names"]), frozenset(told["unseen"]), layout)


def _written(path: Path, content: bytes) -> None:
    path.write_bytes(content)
