"""A shard of embeddings: the unit of work, and how one is made and committed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from smartx.embed.npy import write_npy
from smartx.store import FileEntry, Sidecar

Advance = Callable[[int], None]


@dataclass(frozen=True)
class Shard:
    """Rows start..stop-1 of the corpus, and the part of the stage that holds their vectors."""

    start: int
    stop: int
    sidecar: Sidecar

    def commit(self, rows: NDArray[np.int16]) -> FileEntry:
        """Write the vectors. Whoever made them writes them, with this one protocol."""
        return self.sidecar.commit(len(rows), partial(write_npy, rows))


class Rows(Protocol):
    """Gives the Q12 rows of a range of the corpus."""

    def shard(self, start: int, stop: int, advance: Advance) -> NDArray[np.int16]:
        """(stop - start, d) int16; calls `advance` with rows done, stop - start in all."""


class ShardMaker(Protocol):
    """Makes shards, here or elsewhere."""

    @property
    def made_by(self) -> Mapping[str, str]:
        """What computes them (versions, device), for the manifest."""

    def make(self, shards: Sequence[Shard], advance: Advance) -> Iterator[tuple[Shard, FileEntry]]:
        """Make and commit these shards; gives each when it is whole, in any order."""


def make_here(
    rows: Rows, shards: Sequence[Shard], advance: Advance
) -> Iterator[tuple[Shard, FileEntry]]:
    """Shard after shard in this process."""
    for shard in shards:
        yield shard, shard.commit(rows.shard(shard.start, shard.stop, advance))
