"""What a ranker is: it orders the rows of a group so that every prefix is a selection."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from smartx.engine import NOMINAL, Speed
from smartx.options import Options


class Ranker(Options):
    """A ranker is a frozen dataclass of this kind. Its fields are its parameters; what `parameters`
    says is all that its order depends on besides the rows.

    name: by which configurations and manifests know it.
    needs_embeddings: whether it looks at vectors. One that does not never makes anyone embed.
    """

    name: ClassVar[str]
    needs_embeddings: ClassVar[bool] = True

    def seconds(
        self, sizes: NDArray[np.int64], dimensions: int, speed: Speed = NOMINAL
    ) -> NDArray[np.float64]:
        """(g,) about how long groups of these sizes take, each above 0; here: a look at each value.

        speed: of a machine, its threads together; NOMINAL: one thread of docs/performance.md.
        """
        return np.asarray(2e-9 * max(1, dimensions) / speed.greedy * sizes, dtype=np.float64)

    def memory(self, sizes: NDArray[np.int64], dimensions: int, threads: int) -> int:
        """Peak bytes of ranking groups of these sizes, besides the rows; here: float64 rows."""
        return 8 * max(1, dimensions) * int(sizes.max(initial=0))

    def engine(self, rows: int) -> str:
        """The way in which a group of that many rows is ranked, in a word for a plan."""
        return self.name

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
        raise NotImplementedError
