"""What a report looks at beside a manifest: corpus, ranking and vectors, and what was taken."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from smartx.corpus import Corpus, Tasks
    from smartx.embed import Embeddings
    from smartx.rankers import Rankings

MAPPED_BYTES = 4 << 30  # of vectors, above which a mixture's own report has no maps


@dataclass(frozen=True, eq=False)
class Material:
    """Where the rows of a mixture came from.

    row_ids: int64, the rows of the corpus that it holds, in any order, maybe repeated.
    embeddings: of all rows; None where nothing looked at vectors, and then no map is drawn.
    """

    corpus: Corpus
    rankings: Rankings
    row_ids: NDArray[np.int64]
    embeddings: Embeddings | None = None

    @property
    def mapped(self) -> Embeddings | None:
        """The vectors, where looking at a sample of them is quick: all their files are hashed."""
        own = self.embeddings
        if own is None or 2 * own.num_rows * own.dimensions > MAPPED_BYTES:
            return None
        return own

    @cached_property
    def tasks(self) -> Tasks:
        """The tasks of the corpus, in the order that a manifest lists them."""
        return self.corpus.groups.tasks()

    @cached_property
    def picked(self) -> NDArray[np.bool_]:
        """(n,) by row id, whether the mixture holds the row."""
        picked = np.zeros(self.corpus.num_rows, dtype=np.bool_)
        picked[self.row_ids] = True
        return picked
