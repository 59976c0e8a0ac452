"""A few numbers for every row, in the order of arrival, in a file instead of in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# group: by first arrival.  file, row, position: where it came from.  bytes: of its text, about.
# digest: of its words.
RECORD = np.dtype(
    [
        ("group", "<i4"),
        ("file", "<i4"),
        ("row", "<i8"),
        ("position", "<i8"),
        ("bytes", "<i8"),
        ("digest", "<u8", 2),
    ]
)
CHUNK_ROWS = 1 << 17  # 6 MiB
Found = NDArray[Any]  # (n,) RECORD


class Records:
    """Written row by row, then read as often as one likes."""

    def __init__(self, path: Path) -> None:
        self.path, self._file, self.count = path, path.open("wb"), 0

    def add(self, count: int, columns: Mapping[str, NDArray[Any]]) -> None:
        """`count` more rows. columns: by field of RECORD."""
        records = np.empty(count, dtype=RECORD)
        for name, values in columns.items():
            records[name] = values
        self.append(records)

    def append(self, records: Found) -> None:
        """More rows, as they are."""
        self._file.write(records.tobytes())
        self.count += len(records)

    def close(self) -> None:
        """No more rows will come."""
        self._file.close()

    def read(self, start: int, count: int) -> Found:
        """Rows start..start+count-1, as far as they are there."""
        return _read(self.path, start, count)

    def chunks(self) -> Iterator[tuple[int, Found]]:
        """All rows, in pieces of CHUNK_ROWS: (the first one's place, the rows)."""
        yield from chunks_of(self.path, self.count)

    def at(self, places: NDArray[np.int64]) -> Found:
        """The rows at some places, rising."""
        found = np.empty(len(places), dtype=RECORD)
        for start, chunk in self.chunks():
            first, last = np.searchsorted(places, [start, start + len(chunk)])
            if first < last:
                found[first:last] = chunk[places[first:last] - start]
        return found


def chunks_of(path: Path, count: int) -> Iterator[tuple[int, Found]]:
    """The first `count` rows of a file of them, in pieces of CHUNK_ROWS."""
    for start in range(0, count, CHUNK_ROWS):
        yield start, _read(path, start, min(CHUNK_ROWS, count - start))


def _read(path: Path, start: int, count: int) -> Found:
    return np.fromfile(path, dtype=RECORD, count=count, offset=start * RECORD.itemsize)
