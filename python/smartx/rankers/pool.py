"""What a ranker looks at: rows, unit after unit, and what is known of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from smartx.errors import InputError
from smartx.needs import TOKENS, VECTORS

if TYPE_CHECKING:
    from smartx.corpus import Groups

Per = Literal["template", "task", "corpus"]


@dataclass(frozen=True, eq=False)
class Units:
    """What is ranked by itself: the groups of a corpus, its tasks, or all of it.

    start, rows: (u,) int64, the row ids start..start+rows-1 of each.
    first_group: (u + 1,) int64, the groups of unit i are first_group[i]..first_group[i + 1] - 1.
    """

    start: NDArray[np.int64]
    rows: NDArray[np.int64]
    first_group: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    def of_groups(self, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """(u,) sums of what (g,) groups have."""
        so_far = np.concatenate([[0], np.cumsum(counts)])
        sums: NDArray[np.int64] = so_far[self.first_group[1:]] - so_far[self.first_group[:-1]]
        return sums


def units_of(groups: Groups, per: str) -> Units:
    """The units of a corpus. per: "template" (a unit is a group), "task" or "corpus"."""
    count = len(groups)
    if per == "template":
        return Units(groups.start, groups.rows, np.arange(count + 1))
    if per == "task":
        tasks = groups.tasks()
        return Units(tasks.start, tasks.rows, tasks.first_group)
    whole = [] if not count else [int(groups.rows.sum())]
    bounds = np.array([0, count] if count else [0], dtype=np.int64)
    return Units(np.zeros(len(whole), np.int64), np.array(whole, dtype=np.int64), bounds)


@dataclass(frozen=True, eq=False)
class Pool:
    """The rows that a ranker puts in order: units one after another, each by itself.

    sizes: (u,) int64, rows of each unit, summing to n.
    row_ids: (n,) int64, their numbers in the corpus, rising inside a unit: what draws go by.
    templates: (n,) int32, the template of each row, numbered from 0 inside its unit; those of one
    are adjacent.
    features: what is known of the rows, by `Need.key`.
    trained: (n,) bool, rows that a model was trained on before, or None. A ranker that can do so
    counts what a row adds to these; they are taken by nobody.
    """

    sizes: NDArray[np.int64]
    row_ids: NDArray[np.int64]
    templates: NDArray[np.int32]
    features: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    trained: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.row_ids)

    @property
    def vectors(self) -> NDArray[np.int16]:
        """(n, d) int16 Q12, of the run's own encoder."""
        return self.feature(VECTORS.key)

    @property
    def tokens(self) -> NDArray[np.int32]:
        """(n, 2) int32, tokens of prompt and response."""
        return self.feature(TOKENS.key)

    def feature(self, key: str) -> NDArray[Any]:
        """A feature by `Need.key`. Raises InputError where it was not given."""
        if key not in self.features:
            raise InputError(f'nothing is known of "{key}" of the rows', place="features")
        return self.features[key]

    def parts(self) -> Iterator[slice]:
        """Where the rows of each unit stand."""
        stop = 0
        for size in self.sizes.tolist():
            start, stop = stop, stop + size
            yield slice(start, stop)

    def begins(self) -> NDArray[np.int64]:
        """(n,) where the unit of each row begins."""
        return np.repeat(np.cumsum(self.sizes) - self.sizes, self.sizes)


def pool_of(
    sizes: NDArray[np.int64],
    features: Mapping[str, NDArray[Any]] | None = None,
    *,
    first_row: int = 0,
    templates: NDArray[np.int32] | None = None,
) -> Pool:
    """A pool of adjacent rows, each unit of one template where none are given."""
    count = int(sizes.sum())
    own = np.zeros(count, dtype=np.int32) if templates is None else templates
    return Pool(sizes, np.arange(first_row, first_row + count), own, features or {})
