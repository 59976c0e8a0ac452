"""The embeddings of a corpus on disk: a Q12 row for each of its rows, read by place.

RUN/embeddings/ID of an encoder holds places.npy: where in the parts of RUN/vectors/ID a row lies.
Several encoders may have made the rows; then manifest["vectors"] is a list of them, and a place is
number of the encoder * 2^40 + number of its part * 65,536 + row.
Of a file of ready vectors it holds the rows themselves, in q12-*.npy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartx.corpus import Corpus
from smartx.embed.npy import NpyRows, open_npy
from smartx.embed.parts import ENCODER_PARTS, SHARD_ROWS, PartFile, Parts, number_of
from smartx.embed.parts import STAGE as VECTORS
from smartx.errors import InputError, StoreError
from smartx.files import unchanged_digest
from smartx.store import FileEntry, Stage, folder_of

STAGE = "embeddings"
SCHEMA = 2  # raised when the same texts and encoder give another embeddings folder
PLACES = "places.npy"
_AGAIN = "run `smartx embed` again; what is whole is kept"


def shard_name(number: int) -> str:
    """File of ready vectors, of the rows number * 65,536 and following."""
    return f"q12-{number:05d}.npy"


@dataclass(frozen=True)
class RowsFile:
    """Rows that a manifest names. Their file is compared with its digest before it is read."""

    path: Path
    entry: FileEntry
    dtype: type[np.generic]
    width: int

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows start..stop-1. Raises StoreError where the file is not what was written."""
        try:
            return self._rows().read(start, stop)
        except (OSError, ValueError) as problem:
            raise self._fault(problem) from None

    def take(self, places: NDArray[np.int64]) -> NDArray[Any]:
        """Rows at these places, in this order. Raises StoreError as `read` does."""
        first, last = int(places[0]), int(places[-1])
        if last - first == len(places) - 1 and bool((np.diff(places) == 1).all()):
            return self.read(first, last + 1)
        try:
            return self._rows().take(places)
        except (OSError, ValueError) as problem:
            raise self._fault(problem) from None

    def _rows(self) -> NpyRows:
        if unchanged_digest(self.path) != self.entry.sha256:
            raise ValueError("its bytes are not those that were written")
        rows = open_npy(self.path)
        shape = (rows.num_rows, rows.width)
        if rows.dtype != self.dtype or shape != (self.entry.rows, self.width):
            raise ValueError("it is not the array that the manifest names")
        return rows

    def _fault(self, problem: Exception) -> StoreError:
        return StoreError(f"it cannot be read ({problem})", place=str(self.path), fix=_AGAIN)


@dataclass(frozen=True, eq=False)
class Embeddings:
    """One Q12 row per row of the corpus.

    digest: names the vectors' content, row after row, however they were made and wherever they lie.
    manifest["parameters"] says what made them.
    """

    folder: Path
    manifest: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """Names the vectors."""
        return str(self.manifest["digest"])

    @property
    def num_rows(self) -> int:
        """Rows, as many as the corpus has."""
        return int(self.manifest["num_rows"])

    @property
    def dimensions(self) -> int:
        """Values of a row."""
        return int(self.manifest["dimensions"])

    def facts(self) -> dict[str, Any]:
        """What made the vectors, and what they lack, as the manifest of a mixture says it."""
        manifest, names = self.manifest, ("cut", "shared", "one_vector")
        seen = {name: manifest[name] for name in names if name in manifest}
        if "student" in manifest:
            last = manifest["student"]["curve"][-1]
            seen["student"] = {"learnt_from": last["rows"], **last["loss"]}
        if "made" in manifest:
            seen["made"] = {one["encoder"]: one["rows"] for one in manifest["made"]["encoders"]}
        return {**manifest["parameters"], "digest": self.digest, **seen}

    def rows(self, start: int, stop: int) -> NDArray[np.int16]:
        """Rows start..stop-1 as (stop - start, d) int16, a fresh array in C order.

        Raises StoreError where a file that they lie in is not what was written.
        """
        if not 0 <= start <= stop <= self.num_rows:
            raise InputError(f"rows {start}..{stop} are not within 0..{self.num_rows}")
        if "vectors" in self.manifest:
            return self._gathered(self.places(start, stop))
        return self._gathered(np.arange(start, stop))

    def take(self, row_ids: NDArray[np.int64]) -> NDArray[np.int16]:
        """The rows of these ids, in this order. Raises StoreError as `rows` does."""
        if not len(row_ids):
            return np.empty((0, self.dimensions), dtype=np.int16)
        if not 0 <= row_ids.min() <= row_ids.max() < self.num_rows:
            raise InputError(f"a row is not within 0..{self.num_rows - 1}")
        if "vectors" in self.manifest:
            return self._gathered(self._places_file().take(row_ids)[:, 0])
        return self._gathered(row_ids)

    def places(self, start: int, stop: int) -> NDArray[np.int64]:
        """Where in the parts of their encoders the vectors of rows start..stop-1 are."""
        places: NDArray[np.int64] = self._places_file().read(start, stop)[:, 0]
        return places

    def parts(self) -> list[Parts]:
        """The parts of its encoders that the run folder has, in which `places` lie."""
        vectors = self.folder.parent.parent / VECTORS
        keys = [str(encoder["key"]) for encoder in encoders_of(self.manifest)]
        return [Parts(folder_of(vectors, key), key) for key in keys]

    @property
    def hybrid(self) -> bool:
        """Whether a teacher embedded the rows of some tasks, and its student the others."""
        return "one_encoder" in self.manifest

    @cached_property
    def by_one_encoder(self) -> Embeddings:
        """Vectors of these rows by one encoder: of a hybrid those of its student, else these.

        For whoever compares rows with others that the teacher may not have embedded, by a cosine
        that equal texts are to reach. Raises StoreError where the student's are gone or others.
        """
        if not self.hybrid:
            return self
        student = self.manifest["one_encoder"]
        made = open_embeddings(folder_of(self.folder.parent, student["key"]))
        rows = [one.manifest["inputs"].get("corpus") for one in (made, self)]
        if (made.digest, rows[0]) != (student["digest"], rows[1]) or made.hybrid:
            raise StoreError(
                f"they are not the student's vectors that {self.folder.name} names",
                place=str(made.folder),
                fix=_AGAIN,
            )
        return made

    def _gathered(self, places: NDArray[np.int64]) -> NDArray[np.int16]:
        """The vectors at these places: in parts of an encoder, or of a file of ready ones."""
        parts = "vectors" in self.manifest
        files, inside = np.divmod(places, SHARD_ROWS if parts else self.manifest["shard_rows"])
        numbers = np.unique(files).tolist()
        if len(numbers) == 1:
            return self._held[numbers[0]].take(inside)
        rows = np.empty((len(places), self.dimensions), dtype=np.int16)
        for number in numbers:
            own = np.flatnonzero(files == number)
            rows[own] = self._held[number].take(inside[own])
        return rows

    def whole(self) -> bool:
        """Whether what it needs outside of the folder is what was written: parts of encoders, and
        the embeddings of a student.
        """
        if "vectors" not in self.manifest:
            return True
        keys = [str(encoder["key"]) for encoder in encoders_of(self.manifest)]

        def stands(number: int, file: RowsFile) -> bool:
            encoder, inside = divmod(number, ENCODER_PARTS)
            part = PartFile(file.path.parent, inside, keys[encoder]).whole()
            return part is not None and part.vectors == file.entry

        try:
            student = self.by_one_encoder
        except StoreError:
            return False
        return all(stands(*held) for held in self._held.items()) and (
            student is self or student.whole()
        )

    def _places_file(self) -> RowsFile:
        entry = FileEntry(**self.manifest["files"][0])
        return RowsFile(self.folder / entry.name, entry, np.int64, 1)

    @cached_property
    def _held(self) -> dict[int, RowsFile]:
        """The files of the vectors, by number."""
        held = [(self.folder, self.manifest["files"])]
        if "vectors" in self.manifest:
            vectors = self.folder.parent.parent / VECTORS
            encoders = encoders_of(self.manifest)
            held = [(folder_of(vectors, each["key"]), each["parts"]) for each in encoders]
        return {
            number * ENCODER_PARTS + number_of(entry["name"]): RowsFile(
                folder / entry["name"], FileEntry(**entry), np.int16, self.dimensions
            )
            for number, (folder, entries) in enumerate(held)
            for entry in entries
        }


def encoders_of(manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The key and the parts of each encoder in whose parts rows lie; none of ready vectors."""
    found = manifest.get("vectors", [])
    return [found] if isinstance(found, Mapping) else list(found)


def open_embeddings(folder: Path, corpus: Corpus | None = None) -> Embeddings:
    """Open a finished embeddings folder; its files are looked at when they are read.

    corpus: the one whose rows these are to be of.
    Raises StoreError if there is none, or it is damaged or belongs to another corpus.
    """
    stage = Stage(STAGE, Path(folder))
    manifest = stage.manifest(SCHEMA)
    if corpus is not None and manifest["inputs"].get("corpus") != corpus.digest:
        raise StoreError(
            "these are the vectors of another corpus",
            place=str(stage.folder),
            fix="run `smartx embed` for this one; what is whole is kept",
        )
    _check(manifest, stage)
    return Embeddings(stage.folder, manifest)


def _check(manifest: Mapping[str, Any], stage: Stage) -> None:
    """Raise StoreError where the manifest does not name what it should: a hostile one may not."""
    try:
        encoders = encoders_of(manifest)
        student = manifest.get("one_encoder", {"key": "0", "digest": ""})
        keys = [found["key"] for found in (*encoders, student)]
        names = [part["name"] for found in encoders for part in found["parts"]]
        if not all(key.isalnum() for key in keys) or any("/" in name for name in names):
            raise ValueError("it names files elsewhere")
        if "vectors" in manifest and not encoders:
            raise ValueError("it names no encoder")
        str(student["digest"]), str(manifest["digest"])
        int(manifest["num_rows"]), int(manifest["dimensions"])
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        raise StoreError(
            f"it is not the manifest of embeddings ({problem})",
            place=str(stage.manifest_path),
            fix=_AGAIN,
        ) from None
