"""A part of the work of embedding: some texts, what makes them, and how many are a part.

A part takes about 20 seconds, by the rate of those before it, so a killed run loses no more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from smartx.embed.parts import SHARD_ROWS, Part, PartFile

Advance = Callable[[int], None]
FIRST_ROWS = 256  # of the first part, whose rate nobody knows
_SECONDS = 20.0  # a part takes
_GROWTH = 8  # times the rows of the one before it, at most


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
    """How many rows a part has: so many as take about 20 seconds."""

    def __init__(self, fixed: int | None) -> None:
        """fixed: only in tests."""
        self._fixed, self.rows = fixed is not None, fixed or FIRST_ROWS

    def took(self, rows: int, seconds: float) -> None:
        """A part of so many rows took so long."""
        if not self._fixed:
            wanted = int(rows / max(seconds, 1e-3) * _SECONDS)
            self.rows = max(16, min(wanted, _GROWTH * self.rows, SHARD_ROWS))


class PartMaker(Protocol):
    """Makes parts, here or elsewhere."""

    def make(
        self, work: Iterator[Work], sizes: Sizes, advance: Advance
    ) -> Iterator[tuple[Work, Part]]:
        """Make and commit these parts; gives each when it is whole, in any order.

        work: asked for the next one only when somebody is free to make it.
        """
