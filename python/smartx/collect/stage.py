"""A collected feature on disk, made in parts: what is done stays done where a run is killed.

    RUN/features/ID/manifest.json  values-*.npy    as features.py keeps those of files
                    part-*.npy  scratch            until these are whole

Parts hold PART_ROWS rows each, in the order of the corpus. Once all are there they are put together
as `StoredFeature` reads them, `current.json` names the folder for this corpus, and they go.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from smartx.corpus import Corpus
from smartx.embed.npy import open_npy, write_npy
from smartx.engine import quantize
from smartx.errors import InputError, ModelError, StoreError
from smartx.features import SCHEMA, SHARD_ROWS, STAGE, TYPES, StoredFeature, shard_name
from smartx.files import has_mark
from smartx.needs import Kind
from smartx.run_folder import FEATURES, collect
from smartx.store import FileEntry, Sidecar, Stage, folder_of, key_of

PART_ROWS = 256  # of a part: minutes of a small model on a CPU
_OWN_FILES = ("part-*.npy", "scratch-*")


@dataclass(frozen=True, eq=False)
class Collected:
    """A feature that is being collected, or was: `open_or_begin` says which.

    rows: of the corpus, or of the table.  part_rows: of a part; it divides SHARD_ROWS.
    """

    run: Path
    corpus: Corpus
    kind: Kind
    name: str
    key: str
    parameters: Mapping[str, Any]
    inputs: Mapping[str, str]
    rows: int
    part_rows: int
    stage: Stage
    _missing: set[int] = field(default_factory=set, repr=False)

    @classmethod
    def open_or_begin(
        cls,
        run: Path,
        corpus: Corpus,
        kind: Kind,
        name: str,
        parameters: Mapping[str, Any],
        inputs: Mapping[str, str],
        *,
        rows: int | None = None,
        part_rows: int = PART_ROWS,
        begin: bool = True,
    ) -> Collected:
        """The feature of this key under run/features: finished, half done or new.

        kind, name: as a ranker's `Need` has them.
        parameters: all that shapes the values besides, with `by`: which command made it.
        inputs: digest by name of what else was read, such as the model.
        rows: of a table (kind "table"), which is not aligned with the corpus.
        begin: no: only look whether it is finished; nothing is written.
        """
        told = {"name": name, "kind": kind, **parameters}
        given = dict(inputs) if kind == "table" else {**inputs, "corpus": corpus.digest}
        if SHARD_ROWS % part_rows:
            raise InputError(f"parts of {part_rows} rows do not fill {SHARD_ROWS:,} rows")
        key = key_of(STAGE, SCHEMA, {**told, "part_rows": part_rows}, given)
        stage = Stage(STAGE, folder_of(Path(run) / FEATURES, key))
        count = corpus.num_rows if rows is None else rows
        told["part_rows"] = part_rows
        made = cls(Path(run), corpus, kind, name, key, told, given, count, part_rows, stage)
        if begin:
            made._look()
        return made

    @property
    def done(self) -> bool:
        """Whether it is finished."""
        return self.stage.is_done(self.key)

    @property
    def parts(self) -> int:
        """How many parts there are in all."""
        return -(-self.rows // self.part_rows)

    def missing(self) -> list[int]:
        """Numbers of the parts that are yet to be made, rising."""
        return sorted(self._missing)

    def bounds(self, number: int) -> tuple[int, int]:
        """(start, stop): the rows of a part."""
        start = number * self.part_rows
        return start, min(start + self.part_rows, self.rows)

    def commit_part(self, number: int, values: NDArray[Any]) -> None:
        """Keep the values of the rows of a part, in their order; a part that is there stays.

        values: (k,) or (k, d) numbers; of kind "vectors" (k, d) of any length, made Q12 here.
        Raises ModelError where a value of a matrix, a table or of vectors is not finite; a column
        may have NaN where a row has no score. InputError for another number of rows.
        """
        if number not in self._missing:
            return
        start, stop = self.bounds(number)
        array = np.asarray(values)
        if len(array) != stop - start or array.ndim not in (1, 2):
            raise InputError(f"{array.shape} for part {number} of {stop - start:,} rows")
        array = array.reshape(len(array), -1)
        if self.kind != "column" and not np.isfinite(array).all():
            raise ModelError(
                f'"{self.name}" of rows {start:,} to {stop - 1:,} is not finite',
                place=str(self.parameters.get("by", "")),
                fix="use dtype float32, or another model",
            )
        if self.kind == "vectors" and array.dtype != np.int16:
            array = quantize(np.ascontiguousarray(array))
        typed = np.ascontiguousarray(array.astype(TYPES[self.kind], copy=False))
        self._part(number).commit(len(typed), partial(write_npy, typed))
        self._missing.discard(number)

    def scratch(self, name: str) -> Sidecar:
        """A file of one's own in the unfinished folder, such as of a checkpoint: it goes with the
        parts. `.whole_part()` says whether it is there, `.commit(rows, write)` makes it.
        """
        return Sidecar(self.stage.folder / f"scratch-{name}", self._part_key)

    def finish(
        self, facts: Mapping[str, Any] | None = None, *, named: bool = True
    ) -> StoredFeature:
        """Put the parts together; from here on rankers find it by its name.

        facts: what else the manifest is to say; the same for the same key.
        named: no: it is a form of another, which is what is found.
        """
        if not self.done:
            if self._missing:
                raise InputError(f"{len(self._missing)} parts of {self.name} are not there")
            entries = [self._shard(number) for number in range(-(-self.rows // SHARD_ROWS))]
            width = open_npy(self.stage.folder / entries[0].name).width
            content = "".join(entry.sha256 for entry in entries)
            digest = hashlib.sha256(content.encode()).hexdigest()
            told = {"digest": digest, "dimensions": width, "rows": self.rows}
            self.stage.finish(
                key=self.key,
                schema=SCHEMA,
                parameters=self.parameters,
                inputs=self.inputs,
                files=entries,
                facts={**told, "collected": dict(facts or {})},
            )
            self._tidy()
        if named:
            collect(self.run, self.corpus.digest, self.name, self.stage.folder)
        return StoredFeature(self.stage.folder, self.stage.manifest(SCHEMA))

    @property
    def _part_key(self) -> str:
        return key_of("collected part", SCHEMA, {"part_rows": self.part_rows}, {"stage": self.key})

    def _part(self, number: int) -> Sidecar:
        return Sidecar(self.stage.folder / f"part-{number:06d}.npy", self._part_key)

    def _shard_sidecar(self, shard: int) -> Sidecar:
        return Sidecar(self.stage.folder / shard_name(shard), self.key)

    def _look(self) -> None:
        """See which parts are there; of a finished feature whose files are damaged, which files."""
        if self.stage.reuse(self.key):
            self._tidy()
            return
        self.stage.keep_parts(self.key, lambda _: self.key)
        self.stage.begin()
        there = {
            number
            for shard in range(-(-self.rows // SHARD_ROWS))
            if self._shard_sidecar(shard).whole_part() is not None
            for number in self._of_shard(shard)
        }
        self._missing.update(
            number
            for number in range(self.parts)
            if number not in there and self._part(number).whole_part() is None
        )

    def _of_shard(self, shard: int) -> range:
        per = SHARD_ROWS // self.part_rows
        return range(shard * per, min((shard + 1) * per, self.parts))

    def _shard(self, shard: int) -> FileEntry:
        sidecar = self._shard_sidecar(shard)
        entry = sidecar.whole_part()
        if entry is None:
            paths = [self._part(number).part for number in self._of_shard(shard)]
            rows = min(SHARD_ROWS, self.rows - shard * SHARD_ROWS)
            entry = sidecar.commit(rows, partial(_joined, paths, rows))
        return entry

    def _tidy(self) -> None:
        """Delete what a feature needs only until it is finished."""
        if has_mark(self.stage.folder):
            for path in _own_files(self.stage.folder):
                path.unlink(missing_ok=True)


def _own_files(folder: Path) -> Iterator[Path]:
    for pattern in _OWN_FILES:
        for path in folder.glob(pattern):
            yield path.with_name(path.name + ".json")
            yield path


def _joined(paths: list[Path], rows: int, to: Path) -> None:
    """Parts behind each other as one .npy file. Raises StoreError where they have not one width."""
    first = open_npy(paths[0])
    head = {
        "descr": npy_format.dtype_to_descr(first.dtype),
        "fortran_order": False,
        "shape": (rows, first.width),
    }
    with to.open("wb") as file:
        npy_format.write_array_header_1_0(file, head)
        for path in paths:
            part = open_npy(path)
            if part.width != first.width:
                raise StoreError(
                    f"its rows have {part.width} values, and others {first.width}",
                    place=str(path),
                    fix="delete this folder, and collect again",
                )
            file.write(part.read(0, part.num_rows).view(np.uint8).data)
