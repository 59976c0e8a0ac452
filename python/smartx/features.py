"""Features of the rows from files, kept in the run folder in the order of the corpus.

    RUN/features/ID/manifest.json  values-*.npy

A file has one entry for every row of the sources, in their order, as a file of vectors has; or it
is a table of its own. ID names the corpus, the file's content and what it is taken for.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from smartx.corpus import Corpus
from smartx.corpus.numbers import numbers_of
from smartx.embed.embeddings import RowsFile
from smartx.embed.npy import write_npy
from smartx.embed.vector_files import VectorsSpec, check_head, opened
from smartx.engine import quantize
from smartx.errors import ConfigError, InputError, VectorsError
from smartx.files import unchanged_digest
from smartx.needs import InMemory, Need
from smartx.progress import Progress, Silent, step
from smartx.store import FileEntry, Sidecar, Stage, folder_of, key_of

SCHEMA = 1  # raised when the same file gives another feature
STAGE = "features"
SHARD_ROWS = 65_536
TYPES: Mapping[str, type[np.generic]] = {
    "vectors": np.int16,
    "matrix": np.float32,
    "column": np.float64,
    "table": np.float32,
}


@dataclass(frozen=True)
class FeatureFile:
    """Where a feature comes from: an .npy file, or a column of a Parquet file."""

    path: Path
    column: str | None = None


def feature_files(given: list[str]) -> dict[str, FeatureFile]:
    """NAME=FILE or NAME=FILE:COLUMN, by name. Raises ConfigError for anything else."""
    files: dict[str, FeatureFile] = {}
    for one in given:
        name, sign, place = one.partition("=")
        if not sign or not name.strip() or not place:
            raise ConfigError(
                f'"{one}" is not of the form NAME=FILE',
                place="feature",
                fix="write NAME=FILE.npy, or NAME=FILE.parquet:COLUMN",
            )
        if name.strip() in files:
            raise ConfigError(f'"{name.strip()}" is given twice', place="feature")
        path, colon, column = place.rpartition(":")
        whole = not colon or os.path.exists(place)
        files[name.strip()] = FeatureFile(Path(place if whole else path), None if whole else column)
    return files


@dataclass(frozen=True, eq=False)
class StoredFeature:
    """A feature in the run folder; what it holds is read when it is asked for."""

    folder: Path
    manifest: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """Names the content."""
        return str(self.manifest["digest"])

    @property
    def dimensions(self) -> int:
        """Values of a row."""
        return int(self.manifest["dimensions"])

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        """Rows start..stop-1, or all of a table. Raises StoreError for a damaged file."""
        kind, count = self.manifest["parameters"]["kind"], int(self.manifest["rows"])
        if kind == "table":
            start, stop = 0, count
        if not 0 <= start <= stop <= count:
            raise InputError(f"rows {start}..{stop} are not within 0..{count}")
        pieces = [np.empty((0, self.dimensions), dtype=TYPES[kind])]
        for number, entry in enumerate(self.manifest["files"]):
            begin = number * SHARD_ROWS
            first, last = max(start, begin), min(stop, begin + entry["rows"])
            if first < last:
                file = self.folder / entry["name"]
                shard = RowsFile(file, FileEntry(**entry), TYPES[kind], self.dimensions)
                pieces.append(shard.read(first - begin, last - begin))
        values = np.concatenate(pieces) if len(pieces) > 2 else pieces[-1]
        return values[:, 0] if kind == "column" else values

    def take(self, places: NDArray[np.int64]) -> NDArray[Any]:
        """(k, d): rows at these places, in this order. Raises StoreError as `rows` does."""
        dtype = TYPES[self.manifest["parameters"]["kind"]]
        taken = np.empty((len(places), self.dimensions), dtype=dtype)
        shards = places // SHARD_ROWS
        for shard in np.unique(shards).tolist():
            entry = FileEntry(**self.manifest["files"][shard])
            file = RowsFile(self.folder / entry.name, entry, dtype, self.dimensions)
            own = np.flatnonzero(shards == shard)
            taken[own] = file.take(places[own] - shard * SHARD_ROWS)
        return taken


def kept_feature(
    corpus: Corpus,
    need: Need,
    file: FeatureFile | None,
    folder: Path,
    *,
    progress: Progress | None = None,
) -> StoredFeature:
    """The feature that is needed, from folder/ID; it is made first where it is not there.

    file: None: a column of the corpus.  folder: the run's `features`.
    Raises VectorsError, InputError for a file that does not fit the corpus, or a column that is not
    there or holds no numbers.
    """
    stage, key, parameters, inputs = _stage(corpus, need, file, folder)
    if stage.reuse(key):
        return StoredFeature(stage.folder, stage.manifest(SCHEMA))
    stage.keep_parts(key, lambda _: key)
    stage.begin()
    if need.kind in ("vectors", "matrix") and file is None:
        raise missing(need)
    if need.kind in ("vectors", "matrix") and file is not None and not _counts(need, file):
        entries, width, rows = _shards(corpus, need, file, stage, key, progress or Silent())
    else:
        whole = numbers_of(corpus, need.name) if file is None else _array(file)
        values = _placed(corpus, need, file, whole)
        width, rows = values.shape[1], len(values)
        entries = [
            Sidecar(stage.folder / shard_name(number), key).commit(
                len(piece), partial(write_npy, piece)
            )
            for number, piece in enumerate(
                values[start : start + SHARD_ROWS] for start in range(0, rows, SHARD_ROWS)
            )
        ]
    content = "".join(entry.sha256 for entry in entries)
    digest = hashlib.sha256(content.encode()).hexdigest()
    facts = {"digest": digest, "dimensions": width, "rows": rows}
    stage.finish(
        key=key, schema=SCHEMA, parameters=parameters, inputs=inputs, files=entries, facts=facts
    )
    return StoredFeature(stage.folder, stage.manifest(SCHEMA))


def feature_there(
    corpus: Corpus, need: Need, file: FeatureFile | None, folder: Path
) -> StoredFeature | None:
    """The same if it is there already; `kept_feature` looks closer."""
    stage, key, _, _ = _stage(corpus, need, file, folder)
    return StoredFeature(stage.folder, stage.manifest(SCHEMA)) if stage.is_done(key) else None


def missing(need: Need) -> ConfigError:
    """What is raised where nobody said where a feature comes from."""
    return ConfigError(
        f'a feature "{need.name}" is needed ({_WORDS[need.kind]}) and not given',
        place="feature",
        fix=f"give `feature` {need.name}=FILE.npy, or {need.name}=FILE.parquet:COLUMN",
    )


_WORDS = {
    "vectors": "vectors of another encoder, one a row",
    "matrix": "a matrix, one line a row",
    "column": "a number a row: a column of the sources, or a file",
    "table": "a table that is not aligned with the rows",
}


def _stage(
    corpus: Corpus, need: Need, file: FeatureFile | None, folder: Path
) -> tuple[Stage, str, dict[str, Any], dict[str, str]]:
    parameters: dict[str, Any] = {"name": need.name, "kind": need.kind}
    inputs = {"corpus": corpus.digest} if need.kind != "table" else {}
    if file is not None:
        parameters["column"] = file.column
        try:
            inputs["file"] = unchanged_digest(file.path)
        except OSError as problem:
            fault = f"it cannot be read ({problem.strerror})"
            raise InputError(fault, place=os.fspath(file.path), fix="check the path") from None
    key = key_of(STAGE, SCHEMA, parameters, inputs)
    return Stage(STAGE, folder_of(folder, key)), key, parameters, inputs


def shard_name(number: int) -> str:
    """Name of the file that holds rows number * SHARD_ROWS and following."""
    return f"values-{number:05d}.npy"


def _shards(
    corpus: Corpus, need: Need, file: FeatureFile, stage: Stage, key: str, progress: Progress
) -> tuple[list[FileEntry], int, int]:
    """Vectors or a matrix, a shard at a time: they may be larger than memory."""
    spec, rows, entries = VectorsSpec(file.path, file.column), corpus.num_rows, []
    _check_column(spec)
    told = step(progress, f"feature {need.name}", rows, "rows")
    with opened(spec, unchanged_digest(file.path), stage.folder) as source, told as advance:
        _check_count(corpus, file, source.rows.num_rows)
        for number, start in enumerate(range(0, rows, SHARD_ROWS)):
            stop = min(start + SHARD_ROWS, rows)
            sidecar = Sidecar(stage.folder / shard_name(number), key)
            entry = sidecar.whole_part()
            if entry is None:
                places = corpus.source_positions(start, stop)
                made: NDArray[Any] = source.take(places)
                if need.kind == "matrix":
                    made = _float32(made)
                _check_finite(file, made, places)
                if need.kind == "vectors" and made.dtype != np.int16:
                    made = quantize(made)
                entry = sidecar.commit(stop - start, partial(write_npy, made))
            entries.append(entry)
            advance(stop - start)
        return entries, source.rows.width, rows


def _counts(need: Need, file: FeatureFile) -> bool:
    """Whether it is a matrix of whole numbers or yes and no, as labels are, in an .npy file."""
    if need.kind != "matrix" or file.path.suffix.lower() == ".parquet":
        return False
    try:
        kind = np.load(file.path, mmap_mode="r", allow_pickle=False).dtype
    except (OSError, ValueError):
        return False  # said where it is read
    return bool(kind.kind in "biu" and kind != np.int16)


def _array(file: FeatureFile) -> NDArray[Any]:
    """A file as a whole: one number, or a list of them, a row."""
    place = os.fspath(file.path)
    try:
        if file.path.suffix.lower() != ".parquet":
            return np.asarray(np.load(file.path, allow_pickle=False))
        names = pq.read_schema(file.path).names
        if file.column not in names:
            asked = f'"{file.column}" is no column of it' if file.column else "no column is named"
            raise InputError(
                f"{asked}; there are: {', '.join(names)}",
                place=place,
                fix="write NAME=FILE.parquet:COLUMN",
            )
        column = pq.read_table(file.path, columns=[file.column])[file.column].combine_chunks()
        if pa.types.is_nested(column.type):
            return np.array(column.to_pylist(), dtype=np.float64)
        return np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False))
    except (OSError, ValueError, pa.ArrowException) as problem:
        if isinstance(problem, InputError):
            raise
        line = (str(problem).splitlines() or [""])[0][:200]
        raise InputError(f"it cannot be read ({line})", place=place) from None


def _placed(
    corpus: Corpus, need: Need, file: FeatureFile | None, whole: NDArray[Any]
) -> NDArray[Any]:
    """A column in the order of the corpus as (n, 1), a matrix of counts, or a table as it is."""
    place = need.name if file is None else os.fspath(file.path)
    if need.kind == "matrix" and whole.ndim == 2 and file is not None:
        _check_count(corpus, file, len(whole))
        return whole[corpus.source_positions(0, corpus.num_rows)].astype(np.float32)
    if whole.dtype.kind not in "biuf" or whole.ndim not in (1, 2) or 0 in whole.shape:
        what = f"{whole.dtype} of shape {whole.shape}"
        raise InputError(f"it holds {what}; numbers are needed", place=place)
    if need.kind == "table":
        table = _float32(whole.reshape(len(whole), -1))
        _check_finite(file or FeatureFile(Path(place)), table, np.arange(len(table)))
        return table
    if whole.ndim == 2 and whole.shape[1] != 1:
        raise InputError(f"one number a row is needed, and it has {whole.shape[1]}", place=place)
    values = whole.reshape(-1, 1).astype(np.float64)
    if file is None:
        return values
    _check_count(corpus, file, len(values))
    return values[corpus.source_positions(0, corpus.num_rows)]


def _check_count(corpus: Corpus, file: FeatureFile, count: int) -> None:
    if count != corpus.num_source_rows:
        raise InputError(
            f"it has {count:,} rows, and the sources have {corpus.num_source_rows:,}",
            place=os.fspath(file.path),
            fix="give one for every row of the sources, in their order",
        )


def _float32(values: NDArray[Any]) -> NDArray[np.float32]:
    """As float32; what is too large for it becomes infinite."""
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


def _check_finite(file: FeatureFile, values: NDArray[Any], rows: NDArray[np.int64]) -> None:
    """rows: of the file, that the values are of."""
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(bad):
        raise InputError(
            f"row {rows[bad].min():,} holds numbers that are not finite, or too large for float32"
            f" ({len(bad):,} such rows so far; rows are counted from 0)",
            place=os.fspath(file.path),
            fix="repair these rows, or drop them from file and sources",
        )


def _check_column(spec: VectorsSpec) -> None:
    """Raise InputError where a Parquet file has no such column of lists of floats."""
    try:
        check_head(spec)
    except VectorsError as problem:
        fix = problem.fix.replace("pass `vectors_column` NAME", "write NAME=FILE.parquet:COLUMN")
        raise VectorsError(problem.fault, place=problem.place, fix=fix) from None


def in_memory(need: Need, values: Any, rows: int) -> InMemory:
    """A feature that is given as an array, with the type of its kind.

    rows: that there are. Raises InputError for an array of another shape.
    """
    array = np.asarray(values)
    wanted = {"column": 1}.get(need.kind, 2)
    aligned = need.kind != "table"
    if array.dtype.kind not in "biuf" or array.ndim != wanted or (aligned and len(array) != rows):
        raise InputError(
            f"an array of {wanted} dimensions"
            + (f" and {rows:,} rows" if aligned else "")
            + f" is needed, not {array.dtype} of shape {array.shape}",
            place=f"features[{need.name!r}]",
        )
    if need.kind == "vectors" and array.dtype != np.int16:
        return InMemory(quantize(array))
    dtype = np.int32 if need.kind == "tokens" else TYPES[need.kind]
    return InMemory(np.ascontiguousarray(array.astype(dtype)), table=not aligned)
