"""The embeddings of a corpus on disk: int16 Q12 rows in row_id order, read by place."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartx.embed.npy import NpyRows, open_npy
from smartx.errors import InputError, StoreError
from smartx.store import FileEntry, Stage

SCHEMA = 1  # raised when the same texts and encoder give another embeddings folder
SHARD_ROWS = 65_536
STAGE = "embeddings"


def shard_name(number: int) -> str:
    """File of the rows number * SHARD_ROWS and following."""
    return f"q12-{number:05d}.npy"


def content_digest(entries: Sequence[FileEntry]) -> str:
    """Names the vectors by what they are, not by how they were made: a digest over the shards'."""
    lines = "".join(f"{entry.rows} {entry.sha256}\n" for entry in entries)
    return hashlib.sha256(lines.encode()).hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class Embeddings:
    """One Q12 row per row of the corpus.

    digest: names the vectors' content.  manifest["parameters"] says what made them.
    """

    folder: Path
    digest: str
    num_rows: int
    dimensions: int
    manifest: dict[str, Any]
    shards: tuple[NpyRows, ...]
    starts: NDArray[np.int64]  # (shards + 1,) first row of each shard, and the number of rows

    def rows(self, start: int, stop: int) -> NDArray[np.int16]:
        """Rows start..stop-1 as (stop - start, d) int16, a fresh array in C order."""
        if not 0 <= start <= stop <= self.num_rows:
            raise InputError(f"rows {start}..{stop} are not within 0..{self.num_rows}")
        first = int(np.searchsorted(self.starts, start, side="right")) - 1
        parts = []
        for shard, at in zip(self.shards[first:], self.starts[first:].tolist(), strict=False):
            if at >= stop:
                break
            parts.append(self._read(shard, max(start - at, 0), min(stop - at, shard.num_rows)))
        if len(parts) == 1:
            return parts[0]
        return np.concatenate([np.empty((0, self.dimensions), np.int16), *parts])

    def _read(self, shard: NpyRows, start: int, stop: int) -> NDArray[np.int16]:
        try:
            return shard.read(start, stop)
        except (OSError, ValueError) as problem:
            raise StoreError(
                f"it cannot be read ({problem})",
                place=str(shard.path),
                fix="run `smartx embed` again; whole shards are kept",
            ) from None


def open_embeddings(folder: Path) -> Embeddings:
    """Open a finished embeddings folder. Raises StoreError if there is none or it is damaged."""
    stage = Stage(STAGE, Path(folder))
    manifest = stage.manifest(SCHEMA)
    entries = [FileEntry(**entry) for entry in manifest["files"]]
    shards = tuple(_open_shard(stage.folder / e.name, e, manifest["dimensions"]) for e in entries)
    starts = np.cumsum([0, *(shard.num_rows for shard in shards)], dtype=np.int64)
    return Embeddings(
        stage.folder,
        content_digest(entries),
        int(starts[-1]),
        manifest["dimensions"],
        manifest,
        shards,
        starts,
    )


def _open_shard(path: Path, entry: FileEntry, dimensions: int) -> NpyRows:
    try:
        shard = open_npy(path)
        if shard.dtype != np.int16 or (shard.num_rows, shard.width) != (entry.rows, dimensions):
            raise ValueError("it is not the array that the manifest names")
        if path.stat().st_size != entry.bytes:
            raise ValueError(f"it has not the {entry.bytes:,} bytes that the manifest names")
    except (OSError, ValueError) as problem:
        raise StoreError(
            str(problem), place=str(path), fix="run `smartx embed` again; whole shards are kept"
        ) from None
    return shard
