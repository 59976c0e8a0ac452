"""Plain .npy files of rows, read by place: checked headers, positioned reads, no memory map."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

# Rows that lie this close together on disk are fetched by one read (bytes).
_BRIDGE = 32 << 10
_READ_LIMIT = 32 << 20


@dataclass(frozen=True)
class NpyRows:
    """An (n, d) array in C order in an .npy file."""

    path: Path
    num_rows: int
    width: int
    dtype: np.dtype[Any]
    offset: int

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows start..stop-1. Raises ValueError if the file has become shorter."""
        count = (stop - start) * self.width
        offset = self.offset + start * self._row_bytes
        rows = np.fromfile(self.path, dtype=self.dtype, count=count, offset=offset)
        if len(rows) != count:
            raise ValueError(f"{self.path} ends before row {stop}")
        return rows.reshape(stop - start, self.width)

    def take(self, positions: NDArray[np.int64]) -> NDArray[Any]:
        """The rows at these places, in this order. Memory: the rows and one span of 32 MiB."""
        taken = np.empty((len(positions), self.width), dtype=self.dtype)
        order = np.argsort(positions, kind="stable")
        rising = positions[order]
        start = 0
        while start < len(rising):
            stop = self._end_of_span(rising, start)
            first = int(rising[start])
            rows = self.read(first, int(rising[stop - 1]) + 1)
            taken[order[start:stop]] = rows[rising[start:stop] - first]
            start = stop
        return taken

    @property
    def _row_bytes(self) -> int:
        return self.width * self.dtype.itemsize

    def _end_of_span(self, rising: NDArray[np.int64], start: int) -> int:
        """Where the places that one read fetches end: before a wide gap, or at its limit."""
        longest = max(1, _READ_LIMIT // self._row_bytes)
        near = int(np.searchsorted(rising, rising[start] + longest))
        gaps = np.flatnonzero(np.diff(rising[start:near]) * self._row_bytes > _BRIDGE)
        return start + int(gaps[0]) + 1 if gaps.size else near


def open_npy(path: Path) -> NpyRows:
    """Check the header of an .npy file and its size.

    Raises ValueError that says what is wrong: not .npy, Python objects, not two dimensions, Fortran
    order, cut off. OSError where it cannot be read.
    """
    with path.open("rb") as file:
        try:
            version = npy_format.read_magic(file)
            if version == (1, 0):
                shape, fortran, dtype = npy_format.read_array_header_1_0(file)
            elif version == (2, 0):
                shape, fortran, dtype = npy_format.read_array_header_2_0(file)
            else:
                raise ValueError(f"its .npy version {version} holds records, not numbers")
        except OSError:
            raise
        except Exception as problem:  # numpy evaluates the header as Python: anything may be wrong
            raise ValueError(f"it is not a readable .npy file ({_first_line(problem)})") from None
        offset = file.tell()
        size = os.fstat(file.fileno()).st_size
    if dtype.hasobject or dtype.kind not in "fiu" or dtype.itemsize > 8:
        raise ValueError(f"it holds {dtype}, not numbers of at most 64 bits")
    if len(shape) != 2 or not all(type(length) is int and length > 0 for length in shape):
        raise ValueError(f"its shape is {shape}; (rows, values) is needed")
    if fortran and 1 not in shape:
        raise ValueError("it is stored column by column (Fortran order), not row by row")
    needed = offset + shape[0] * shape[1] * dtype.itemsize
    if size < needed:
        raise ValueError(f"it is cut off: {size:,} bytes, and its header speaks of {needed:,}")
    return NpyRows(path, shape[0], shape[1], dtype, offset)


def write_npy(rows: NDArray[Any], path: Path) -> None:
    """Write rows as .npy version 1.0 in C order. Raises OSError with its number if a disk refuses.

    numpy's own writer does not say why it could not write all bytes.
    """
    rows = np.ascontiguousarray(rows)
    with path.open("wb") as file:
        npy_format.write_array_header_1_0(file, npy_format.header_data_from_array_1_0(rows))
        file.write(rows.reshape(-1).view(np.uint8).data)


def _first_line(problem: BaseException) -> str:
    return (str(problem).splitlines() or [type(problem).__name__])[0][:200]
