"""A part of the work of embedding: some texts, and what makes their vectors.

Which texts are a part is planned beforehand (`plan.py`), whoever makes it and however fast. It is
made in pieces of about 20 seconds, and those of a part that takes longer are kept (`scraps.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from smartx.embed.parts import SHARD_ROWS, Part, PartFile

Advance = Callable[[int], None]
FIRST_ROWS = 256  # of the first piece, whose rate nobody knows
PIECE_SECONDS = 20.0  # a piece takes
KEPT_SECONDS = 10.0  # of work are kept, at least, where the part is not whole after them
_GROWTH = 8  # times the rows of the piece before it, at most


@dataclass(frozen=True)
class Work:
    """A part to make. rows: rising rows of the corpus, whose texts it holds.

    digests: (n, 2) of the texts.  own_system: those of the rows whose system prompt is embedded.
    """

    file: PartFile
    rows: NDArray[np.int64]
    digests: NDArray[np.uint64]
    own_system: NDArray[np.int64]


class Sizes:
    """How many rows a piece has: so many as take about 20 seconds, by the rate of those before."""

    def __init__(self) -> None:
        self.most = FIRST_ROWS

    def of(self, rows: int) -> int:
        """Rows of the next piece where so many are left to do: all pieces about as large."""
        return -(-rows // -(-rows // self.most))

    def took(self, rows: int, seconds: float) -> None:
        """A piece of so many rows took so long."""
        wanted = int(rows / max(seconds, 1e-3) * PIECE_SECONDS)
        self.most = max(16, min(wanted, _GROWTH * self.most, SHARD_ROWS))


class PartMaker(Protocol):
    """Makes parts, here or elsewhere."""

    def make(self, parts: Iterable[Work], advance: Advance) -> Iterator[tuple[Work, Part]]:
        """Make and commit these parts; gives each when it is whole, in any order.

        parts: asked for the next one only when somebody is free to make it.
        """
