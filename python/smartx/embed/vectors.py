"""Ready vectors: an .npy file or a Parquet column, one vector per row of the sources in order.

A row that ingest dropped takes its vector with it, so the file fits whatever ingest kept.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from smartx.corpus import Corpus
from smartx.embed.npy import NpyRows, open_npy
from smartx.embed.places import place_of
from smartx.embed.shards import Advance, Shard, make_here
from smartx.engine.fixed_point import MAX_NORM2, quantize
from smartx.errors import VectorsError
from smartx.progress import Progress
from smartx.store import FileEntry, file_digest, storing

_CHUNK = 4_096  # rows gathered and quantised at once
_FLOATS = (pa.types.is_float16, pa.types.is_float32, pa.types.is_float64, pa.types.is_int16)


@dataclass(frozen=True, slots=True)
class VectorsSpec:
    """Ready vectors. path: .npy or .parquet.  column: of Parquet (None: the only one that fits)."""

    path: Path
    column: str | None = None


class VectorsSource:
    """Vectors from a file; implements smartx.embed.run.Source."""

    def __init__(self, spec: VectorsSpec) -> None:
        self._path, self._column = Path(spec.path), spec.column

    def parameters(self) -> dict[str, Any]:
        """Not where the file is: its digest names it."""
        return {"vectors": self._path.name, "column": self._column}

    def inputs(self) -> dict[str, str]:
        """Digest of the file."""
        try:
            return {"vectors": file_digest(self._path)}
        except OSError as problem:
            raise _fault(self._path, f"it cannot be read ({problem.strerror})") from None

    @contextmanager
    def open(
        self, corpus: Corpus, folder: Path, shards: int, progress: Progress
    ) -> Iterator[_ReadyShards]:
        """Check the file against the corpus; a Parquet column is copied to a temporary .npy."""
        del shards, progress
        if self._path.suffix.lower() == ".parquet":
            temporary = folder / f".vectors.tmp.{uuid.uuid4().hex}.npy"
            try:
                _column_to_npy(self._path, self._column, temporary)
                yield self._checked(corpus, temporary)
            finally:
                temporary.unlink(missing_ok=True)
        elif self._column is not None:
            raise _fault(self._path, "a column is named, and this is not a Parquet file")
        else:
            yield self._checked(corpus, self._path)

    def _checked(self, corpus: Corpus, path: Path) -> _ReadyShards:
        try:
            rows = open_npy(path)
        except OSError as problem:
            raise _fault(self._path, f"it cannot be read ({problem.strerror})") from None
        except ValueError as problem:
            fix = "save it row by row: numpy.save(FILE, numpy.ascontiguousarray(X))"
            raise _fault(self._path, str(problem), fix) from None
        if rows.dtype.kind != "f" and rows.dtype.newbyteorder("=") != np.int16:
            raise _fault(
                self._path,
                f"it holds {rows.dtype}; float16, float32, float64 or int16 Q12 is needed",
                "pass the encoder's floats (X.astype(numpy.float32)), or what smartx.quantize gave",
            )
        _check_count(self._path, rows.num_rows, corpus)
        return _ReadyShards(corpus, rows, self._path)


class _ReadyShards:
    """Makes shards by gathering rows of a file."""

    def __init__(self, corpus: Corpus, rows: NpyRows, path: Path) -> None:
        self._corpus, self._rows, self._path = corpus, rows, path
        self.made_by: dict[str, str] = {}

    def make(self, shards: Sequence[Shard], advance: Advance) -> Iterator[tuple[Shard, FileEntry]]:
        """Shard after shard."""
        return make_here(self, shards, advance)

    def shard(self, start: int, stop: int, advance: Advance) -> NDArray[np.int16]:
        """Row r of the corpus takes the vector at its place among all rows of the sources."""
        positions = self._corpus.source_positions(start, stop)
        made = np.empty((stop - start, self._rows.width), dtype=np.int16)
        for at in range(0, stop - start, _CHUNK):
            part = positions[at : at + _CHUNK]
            try:
                vectors = self._rows.take(part)
            except (OSError, ValueError) as problem:
                raise _fault(self._path, f"it cannot be read ({problem})") from None
            vectors = vectors.astype(vectors.dtype.newbyteorder("="), copy=False)
            self._check(vectors, part, start + at)
            made[at : at + _CHUNK] = vectors if vectors.dtype == np.int16 else quantize(vectors)
            advance(len(part))
        return made

    def _check(self, vectors: NDArray[Any], positions: NDArray[np.int64], first: int) -> None:
        if vectors.dtype == np.int16:
            norm = np.einsum("ij,ij->i", vectors, vectors, dtype=np.int64)
            kinds = {"zero": norm == 0, "longer than Q12 rows are": norm > MAX_NORM2}
        else:
            kinds = {
                "not finite": ~np.isfinite(vectors).all(axis=1),
                "zero": ~vectors.any(axis=1),
            }
        for kind, bad in kinds.items():
            if bad.any():
                at = int(np.argmax(bad))
                raise VectorsError(
                    f"the vector of this row is {kind}; it belongs to "
                    f"{place_of(self._corpus, first + at)}",
                    place=f"{os.fspath(self._path)}: row {positions[at]} (from 0)",
                    fix="embed that row again, or leave it out of the sources and the vectors",
                )


def _check_count(path: Path, count: int, corpus: Corpus) -> None:
    if count == corpus.num_source_rows:
        return
    fault = f"it holds {count:,} vectors, and the sources hold {corpus.num_source_rows:,} rows"
    if count == corpus.num_rows:
        dropped = corpus.num_source_rows - corpus.num_rows
        fault += f", of which ingest dropped {dropped:,}: vectors of the kept rows alone do not fit"
    raise _fault(path, fault, "give one vector for every row of the sources, in their order")


def _column_to_npy(path: Path, column: str | None, target: Path) -> None:
    """Copy a column of vectors to an .npy file, batch by batch. Null becomes an unusable vector."""
    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            name = _vector_column(path, file.schema_arrow, column)
            dtype, width, written = None, 0, 0
            with target.open("wb") as out:
                for batch in file.iter_batches(batch_size=_CHUNK, columns=[name]):
                    array = batch.column(0)
                    if not width:
                        width = _width(path, array)
                        dtype = np.dtype(array.type.value_type.to_pandas_dtype())
                        _write_header(out, dtype, (file.metadata.num_rows, width))
                    assert dtype is not None
                    values = _matrix(path, array, width, dtype, written).tobytes()
                    with storing(target.parent):
                        out.write(values)
                    written += len(array)
    except (OSError, pa.ArrowException) as problem:
        line = str(problem).splitlines()[0]
        # pyarrow before 26 cannot read a null among lists of fixed size
        fix = "write variable lists, or update pyarrow" if "lists to be of size" in line else ""
        raise _fault(path, f"it cannot be read ({line})", fix) from None


def _write_header(out: Any, dtype: np.dtype[Any], shape: tuple[int, int]) -> None:
    header = {"descr": dtype.str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(out, header)


def _vector_column(path: Path, schema: pa.Schema, column: str | None) -> str:
    found = [field.name for field in schema if _is_vector(field.type)]
    if column is None and len(found) == 1:
        return str(found[0])
    names = ", ".join(found) or "none"
    if column is None:
        raise _fault(path, f"columns of vectors: {names}", "pass --vectors-column NAME")
    if column not in found:
        raise _fault(
            path,
            f'"{column}" is not a column of vectors (lists of floats); those are: {names}',
            "pass --vectors-column NAME",
        )
    return column


def _is_vector(kind: pa.DataType) -> bool:
    is_list = (
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )
    return is_list and any(fits(kind.value_type) for fits in _FLOATS)


def _width(path: Path, array: pa.Array) -> int:
    if pa.types.is_fixed_size_list(array.type):
        return int(array.type.list_size)
    widths = array.drop_null().value_lengths().unique().to_pylist()
    if not widths or not widths[0]:
        raise _fault(path, "its first vectors are empty")
    return int(widths[0])


def _matrix(
    path: Path, array: pa.Array, width: int, dtype: np.dtype[Any], first: int
) -> NDArray[Any]:
    """(n, width) values of a list array; rows that are null are NaN, or zero among integers."""
    matrix = np.full((len(array), width), np.nan if dtype.kind == "f" else 0, dtype=dtype)
    valid = np.asarray(array.is_valid().to_numpy(zero_copy_only=False), dtype=bool)
    present = array.drop_null()
    if not pa.types.is_fixed_size_list(array.type):
        lengths = present.value_lengths().to_numpy(zero_copy_only=False)
        wrong = np.flatnonzero(lengths != width)
        if wrong.size:
            row = first + int(np.flatnonzero(valid)[wrong[0]])
            raise _fault(
                path,
                f"row {row} (from 0) holds {lengths[wrong[0]]} values, and the first holds {width}",
            )
    values = present.flatten()
    if values.null_count:
        values = values.fill_null(np.nan if dtype.kind == "f" else 0)
    matrix[valid] = values.to_numpy(zero_copy_only=False).reshape(-1, width)
    return matrix


def _fault(path: Path, fault: str, fix: str = "") -> VectorsError:
    return VectorsError(fault, place=os.fspath(path), fix=fix)
