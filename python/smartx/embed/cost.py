"""What embedding a corpus will take."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smartx.corpus import Corpus
from smartx.corpus.cost import row_sizes
from smartx.costs import BASE_BYTES, StagePlan
from smartx.embed.encoders import TABLE_ROWS
from smartx.embed.parts import SHARD_ROWS
from smartx.embed.plan import part_sizes

TORCH_BYTES = 900 << 20  # torch and a small encoder at work
FILE_BYTES = 40 << 20  # of a file of ready vectors, while it is read
_FOUND_BYTES = 24  # of each ready vector: its digest, and its place
_TOLD_BYTES = 160  # of each text: its digest and its vector's, while they are sorted
_KNOWN_BYTES = 48  # of these on disk
_SPECIAL = 2  # tokens that an encoder adds to every text
_BLOCK = 1 << 20  # rows whose tokens are read at once


@dataclass(frozen=True)
class Way:
    """A way to the vectors: by which encoder, in how many seconds, and what is lost by it."""

    name: str
    seconds: float
    loss: str


@dataclass(frozen=True)
class Vectors:
    """What is known of the vectors. seconds: to make them; None if not measured.

    devices: on which they are made at once, a process each if there are several.  source: the name
    of the encoder, or of the file of ready ones.  new: rows to embed (None: all of them).
    ways: this one and others, to choose from.
    """

    dimensions: int | None
    seconds: float | None
    encoder: bool
    done: bool
    devices: int = 1
    source: str = ""
    new: int | None = None
    ways: tuple[Way, ...] = ()

    def how(self, rows: int) -> str:
        """By what they are made, and at what rate, for people."""
        if not self.encoder:
            return self.source
        if self.seconds is None:
            return f"{self.source}, which is not here yet"
        rate = f"{(self.new or rows) / max(self.seconds, 1e-3):,.0f} rows/s"
        return f"{self.source}, {rate}" + (f", {self.new:,} new rows" if self.new else "")


def embed_cost(corpus: Corpus, vectors: Vectors, dimensions: int, folder: Path) -> StagePlan:
    """dimensions: of a vector, those that are assumed where they are not known."""
    if vectors.done:
        return StagePlan("embed", folder, 0.0, BASE_BYTES, 0, done=True, how=vectors.source)
    how, shard = vectors.how(corpus.num_rows), min(SHARD_ROWS, corpus.num_rows)
    maker, rows = BASE_BYTES + shard * 2 * dimensions, corpus.num_rows
    if not vectors.encoder:
        memory, disk = maker + FILE_BYTES + _FOUND_BYTES * rows, 2 * dimensions * rows
        return StagePlan("embed", folder, vectors.seconds, memory, disk, how=how)
    part = max(part_sizes(rows, TABLE_ROWS))  # as large as of any encoder
    maker = BASE_BYTES + TORCH_BYTES + part * (2 * dimensions + 3 * row_sizes(corpus).held)
    memory = maker + _TOLD_BYTES * rows
    if vectors.devices > 1:  # each makes vectors in a process of its own, beside this one
        memory = BASE_BYTES + vectors.devices * maker + _TOLD_BYTES * rows
    disk = (2 * dimensions + _KNOWN_BYTES) * rows
    return StagePlan("embed", folder, vectors.seconds, memory, disk, how=how)


def tokens_read(corpus: Corpus, window: int) -> NDArray[np.int64]:
    """(n,) that an encoder reads of each row, by the counts of the corpus. window: at most."""
    found = np.empty(corpus.num_rows, dtype=np.int64)
    for start in range(0, corpus.num_rows, _BLOCK):
        stop = min(start + _BLOCK, corpus.num_rows)
        found[start:stop] = corpus.token_counts(start, stop)[:, 0]
    return np.minimum(found + _SPECIAL, window)
