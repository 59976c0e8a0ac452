"""The rows that `smartx.select` chose of arrays, to be read as those of a mixture are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from smartx.errors import InputError
from smartx.mixture.frames import Frames
from smartx.mixture.mixture import compare
from smartx.mixture.shares import Comparison, Shares


@dataclass(frozen=True, eq=False, repr=False)
class Selection(Frames):
    """The rows of a mixture.

    indices: (k,) int64, rows of X, in the order in which the mixture has them.
    ranks: (k,) int32, place of each in the ranking of its unit, 0 is best.
    gains: (k,) float64, its marginal gain there.  copies: (k,) int32, how often it came before.
    tasks: (k,) int64, the task of each, as a place in `names`.
    names: (source, task) of the M tasks, in codepoint order.
    budgets: (M,) int64 rows taken of each task.  weights: (M,) float64, the law's shares, which sum
    to 1.  capacities: (M,) int64 rows that each task has.

    >>> import smartx
    >>> chosen = smartx.select(tasks=["sums"] * 6 + ["odes"] * 2, budget=4, preset="equal")
    >>> chosen
    Selection of 4 rows of 8, in 2 tasks
      task  rows  of  share
      odes     2   2  50.0%
      sums     2   6  50.0%
    >>> chosen.to_arrow(["index", "task"]).num_rows
    4
    """

    indices: NDArray[np.int64]
    ranks: NDArray[np.int32]
    gains: NDArray[np.float64]
    copies: NDArray[np.int32]
    tasks: NDArray[np.int64]
    names: list[tuple[str, str]]
    budgets: NDArray[np.int64]
    weights: NDArray[np.float64]
    capacities: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.indices)

    def __bool__(self) -> bool:
        return True

    def to_arrow(self, columns: Sequence[str] | None = None) -> pa.Table:
        """The chosen rows in order: index, source, task, rank, gain and copy of each.

        columns: which of these, None for all. Raises InputError for any other.
        """
        sources, tasks = ([name[place] for name in self.names] for place in (0, 1))
        table = pa.table(
            {
                "index": self.indices,
                "source": pa.array(sources, pa.string()).take(pa.array(self.tasks)),
                "task": pa.array(tasks, pa.string()).take(pa.array(self.tasks)),
                "rank": self.ranks,
                "gain": self.gains,
                "copy": self.copies,
            }
        )
        if missing := [name for name in columns or () if name not in table.column_names]:
            fix = f"there are: {', '.join(table.column_names)}"
            raise InputError(f"there is no column {missing[0]!r}", place="columns", fix=fix)
        return table.select(table.column_names if columns is None else list(columns))

    def compare(self, other: Any) -> Comparison:
        """Tasks and rows beside those of another selection of the same rows, or of a mixture.

        >>> import smartx
        >>> tasks = ["sums"] * 6 + ["odes"] * 2
        >>> fair = smartx.select(tasks=tasks, budget=4, preset="equal")
        >>> plain = smartx.select(tasks=tasks, budget=4, preset="proportional")
        >>> fair.compare(plain).to_arrow().to_pydict()["there"]
        [1, 3]
        """
        return compare(self, other)

    def shares(self) -> Shares:
        """What each task got, as it is displayed."""
        return Shares("Selection", self.names, self.budgets, self.capacities)

    def __repr__(self) -> str:
        return self.shares().text()

    def _repr_html_(self) -> str:
        return self.shares().html()
