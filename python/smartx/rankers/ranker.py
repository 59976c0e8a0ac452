"""What a ranker is: it orders the rows of a group so that every prefix is a selection."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from smartx.engine import NOMINAL, Speed


class Ranker(Protocol):
    """A ranker is a frozen dataclass with these members, named in `strategies.RANKERS`."""

    @property
    def name(self) -> str:
        """The name by which configurations and manifests know it."""

    @property
    def needs_embeddings(self) -> bool:
        """Whether it looks at vectors. One that does not never makes anyone embed."""

    def parameters(self) -> dict[str, Any]:
        """Everything that its order depends on besides the rows."""

    def seconds(
        self, sizes: NDArray[np.int64], dimensions: int, speed: Speed = NOMINAL
    ) -> NDArray[np.float64]:
        """(g,) about how long groups of these sizes take, each above 0.

        speed: of a machine, its threads together; NOMINAL: one thread of docs/performance.md.
        """

    def memory(self, sizes: NDArray[np.int64], dimensions: int, threads: int) -> int:
        """Peak bytes of ranking groups of these sizes, besides the rows themselves."""

    def engine(self, rows: int) -> str:
        """The way in which a group of that many rows is ranked, in a word for a plan."""

    def rank(
        self,
        rows: NDArray[np.int16] | None,
        sizes: NDArray[np.int64],
        first_row: int,
        *,
        threads: int,
    ) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Rank adjacent groups, each by itself and completely.

        rows: (n, d) int16 Q12, the groups one after another; None where embeddings are not needed.
        sizes: (g,) int64, rows of each group, summing to n.  first_row: row id of the first row.
        Returns order (n,) int32, places inside the group, best first, group after group; and gains
        (n,) float64, aligned with the order.
        """
