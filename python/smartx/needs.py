"""What a strategy reads of the rows besides the sizes of tasks: features, by name.

A law or ranker says in `needs` which ones; a run finds them, and its rankings depend on exactly
those that are read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from smartx.options import Takes

Kind = Literal["vectors", "matrix", "column", "tokens", "table"]


@dataclass(frozen=True)
class Need:
    """A feature that a strategy reads.

    name: of a feature that was given (`feature` NAME=FILE), or of a column of the corpus that holds
    numbers; "" is the run's own: the vectors of its encoder, or the token counts.
    kind: "vectors": (n, d) int16 Q12, where cosines are meant.
    "matrix": (n, d) float32, where values matter: gradients, loss trajectories.
    "column": (n,) float64, NaN where a row has none: scores.
    "tokens": (n, 2) int32, of prompt and response.
    "table": (q, d) float32, not aligned with rows: query vectors, gradients of targets.
    """

    name: str
    kind: Kind

    @property
    def key(self) -> str:
        """By which the features of a pool or ground are found: its name, or that of the kind."""
        return self.name or self.kind


VECTORS = Need("", "vectors")
TOKENS = Need("", "tokens")


class Feature(Protocol):
    """Something known of every row of a corpus, or a table; read when it is needed."""

    @property
    def digest(self) -> str:
        """Names the content."""

    @property
    def dimensions(self) -> int:
        """Values of a row."""

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        """What rows start..stop-1 have; of a table all of it, whatever is asked for."""


@dataclass(frozen=True, eq=False)
class InMemory:
    """A feature that is an array, as its kind says.  table: not aligned with the rows."""

    values: NDArray[Any]
    digest: str = ""
    table: bool = False

    @property
    def dimensions(self) -> int:
        """Values of a row."""
        return int(self.values.shape[1]) if self.values.ndim > 1 else 1

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        """Rows start..stop-1, or the table."""
        return self.values if self.table else self.values[start:stop]


def names_of_features() -> Takes:
    """Names, joined by + in a text (a comma ends a parameter there), or a list of them."""

    def read(value: Any) -> tuple[str, ...]:
        names = value.split("+") if isinstance(value, str) else list(value)
        if not names or not all(isinstance(name, str) and name.strip() for name in names):
            raise ValueError
        return tuple(name.strip() for name in names)

    return Takes("names of features, joined by +", read)


def dimensions_of(needs: Sequence[Need], features: Mapping[str, Feature]) -> int:
    """Values that are read of every row, together: what the time of a ranking goes by."""
    aligned = [need for need in needs if need.kind in ("vectors", "matrix", "column")]
    return sum(features[need.key].dimensions for need in aligned if need.key in features)


def digest_of(row_ids: NDArray[np.int64]) -> str:
    """Of some rows of a corpus, for a key; nothing where there are none."""
    return hashlib.sha256(row_ids.astype("<i8").tobytes()).hexdigest() if len(row_ids) else ""
