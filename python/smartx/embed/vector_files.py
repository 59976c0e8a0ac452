"""Files of ready vectors: an .npy file or a Parquet column, checked before they are used."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from smartx.embed.npy import NpyRows, open_npy
from smartx.embed.texts import text_digests
from smartx.errors import VectorsError
from smartx.files import signature, storing, temporary_path, unchanged_digest

TEXT_COLUMN = "prompt"  # of a Parquet file: what each vector is of
_CHUNK = 4_096  # rows copied at once
_CORNER = 512  # rows of a square file that are compared with its columns
_FLOATS: dict[pa.DataType, np.dtype[Any]] = {  # value types of a column of vectors
    pa.float16(): np.dtype(np.float16),
    pa.float32(): np.dtype(np.float32),
    pa.float64(): np.dtype(np.float64),
    pa.int16(): np.dtype(np.int16),
}


@dataclass(frozen=True, slots=True)
class VectorsSpec:
    """Ready vectors. path: .npy or .parquet.  column: of Parquet (None: the only one that fits)."""

    path: Path
    column: str | None = None


@dataclass(frozen=True)
class VectorsFile:
    """A file of vectors that is open. name: as it was given.  rows: its vectors, perhaps in a copy.

    state: of the file when its digest was taken.
    """

    name: Path
    rows: NpyRows
    state: tuple[int, ...]

    def take(self, positions: NDArray[np.int64]) -> NDArray[Any]:
        """The vectors at these places, in this machine's byte order."""
        try:
            vectors = self.rows.take(positions)
        except (OSError, ValueError) as problem:
            raise fault(self.name, f"it cannot be read ({problem})") from None
        return vectors.astype(vectors.dtype.newbyteorder("="), copy=False)

    def check_unchanged(self) -> None:
        """Raise VectorsError where the file is not the one whose digest was taken."""
        if _state(self.name) != self.state:
            raise fault(
                self.name,
                "it was changed while it was read",
                "run again when nobody writes it; what is finished is kept",
            )


def vectors_parameters(spec: VectorsSpec) -> dict[str, Any]:
    """Not where the file is: its digest names it."""
    return {"vectors": Path(spec.path).name, "column": spec.column}


def vectors_inputs(spec: VectorsSpec) -> dict[str, str]:
    """Digest of the file, taken once a process."""
    _state(Path(spec.path))
    try:
        return {"vectors": unchanged_digest(Path(spec.path))}
    except OSError as problem:
        raise fault(Path(spec.path), f"it cannot be read ({problem.strerror})") from None


def check_head(spec: VectorsSpec) -> None:
    """Raise VectorsError for what a file's head shows: no numbers, no such column."""
    path = Path(spec.path)
    if path.suffix.lower() != ".parquet":
        _checked(path, path)
        return
    try:
        schema = pq.read_schema(path)
    except (OSError, pa.ArrowException) as problem:
        raise fault(path, f"it cannot be read ({str(problem).splitlines()[0]})") from None
    _vector_column(path, schema, spec.column)


@contextmanager
def opened(spec: VectorsSpec, digest: str, folder: Path) -> Iterator[VectorsFile]:
    """Open a file and check its shape and type; a Parquet column is copied into `folder` for it.

    digest: the one that the vectors are known by. Raises VectorsError.
    """
    path = Path(spec.path)
    state = _state(path)
    if vectors_inputs(spec) != {"vectors": digest}:
        raise fault(path, "it was changed since the run began", "run again when nobody writes it")
    if path.suffix.lower() != ".parquet":
        if spec.column is not None:
            raise fault(path, "a column is named, and this is not a Parquet file")
        yield VectorsFile(path, _checked(path, path), state)
        return
    copy = temporary_path(folder / "column.npy")
    try:
        _column_to_npy(path, spec.column, copy)
        file = VectorsFile(path, _checked(path, copy), state)
        file.check_unchanged()
        yield file
    finally:
        copy.unlink(missing_ok=True)


def fault(path: Path, what: str, fix: str = "") -> VectorsError:
    """What is wrong with a file of vectors."""
    return VectorsError(what, place=os.fspath(path), fix=fix)


def _state(path: Path) -> tuple[int, ...]:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise fault(path, "it is not a regular file", "save the vectors in a file")
        return signature(path)
    except OSError as problem:
        raise fault(path, f"it cannot be read ({problem.strerror})") from None


def _checked(path: Path, copy: Path) -> NpyRows:
    try:
        rows = open_npy(copy)
        similarities = _are_similarities(rows)
    except OSError as problem:
        raise fault(path, f"it cannot be read ({problem.strerror})") from None
    except ValueError as problem:
        fix = "save it row by row: numpy.save(FILE, numpy.ascontiguousarray(X))"
        raise fault(path, str(problem), fix) from None
    if rows.dtype.newbyteorder("=") not in _FLOATS.values():
        raise fault(
            path,
            f"it holds {rows.dtype}; float16, float32, float64 or int16 Q12 is needed",
            "pass the encoder's floats (X.astype(numpy.float32)), or what smartx.quantize gave",
        )
    if similarities:
        raise fault(
            path,
            f"its {rows.width:,} x {rows.width:,} numbers are symmetric: these are similarities, "
            "not vectors",
            "give the vectors themselves; if these are vectors, save what smartx.quantize gives",
        )
    return rows


def _are_similarities(rows: NpyRows) -> bool:
    """Whether these are floats, as many rows as values, and their corner equals its transpose."""
    if rows.dtype.kind != "f" or not 1 < rows.num_rows == rows.width:
        return False
    size = min(rows.num_rows, _CORNER)
    corner = rows.read(0, size)[:, :size]
    return np.array_equal(corner, corner.T)


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
                        dtype = _FLOATS[array.type.value_type]
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
        raise fault(path, f"it cannot be read ({line})", fix) from None


def texts_beside(path: Path) -> NDArray[np.uint64] | None:
    """(n, 2) digests of the texts that a file has beside its vectors; None where it has none."""
    if path.suffix.lower() != ".parquet":
        return None
    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            names = file.schema_arrow.names
            kind = file.schema_arrow.field(TEXT_COLUMN).type if TEXT_COLUMN in names else pa.null()
            if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
                return None
            found = [np.empty((0, 2), dtype=np.uint64)]
            for batch in file.iter_batches(batch_size=_CHUNK, columns=[TEXT_COLUMN]):
                found.append(text_digests(batch.column(0).cast(pa.large_string()).fill_null("")))
    except (OSError, pa.ArrowException) as problem:
        raise fault(path, f"it cannot be read ({str(problem).splitlines()[0]})") from None
    return np.concatenate(found)


def _write_header(out: Any, dtype: np.dtype[Any], shape: tuple[int, int]) -> None:
    header = {"descr": dtype.str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(out, header)


def _vector_column(path: Path, schema: pa.Schema, column: str | None) -> str:
    found = [field.name for field in schema if _is_vector(field.type)]
    if column is None and len(found) == 1:
        return str(found[0])
    names = ", ".join(found) or "none"
    if column is None:
        raise fault(path, f"columns of vectors: {names}", "pass `vectors_column` NAME")
    if column not in found:
        raise fault(
            path,
            f'"{column}" is not a column of vectors (lists of floats); those are: {names}',
            "pass `vectors_column` NAME",
        )
    return column


def _is_vector(kind: pa.DataType) -> bool:
    is_list = (
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )
    return is_list and kind.value_type in _FLOATS


def _width(path: Path, array: pa.Array) -> int:
    if pa.types.is_fixed_size_list(array.type):
        return int(array.type.list_size)
    widths = array.drop_null().value_lengths().unique().to_pylist()
    if not widths or not widths[0]:
        raise fault(path, "its first vectors are empty")
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
            raise fault(
                path,
                f"row {row} (from 0) holds {lengths[wrong[0]]} values, and the first holds {width}",
            )
    values = present.flatten()
    if values.null_count:
        values = values.fill_null(np.nan if dtype.kind == "f" else 0)
    matrix[valid] = values.to_numpy(zero_copy_only=False).reshape(-1, width)
    return matrix
