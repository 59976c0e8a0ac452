"""A finished mixture, to be read: its rows as frames, its tasks as arrays, its looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from smartx.corpus.remote import for_arrow
from smartx.errors import InputError, StoreError
from smartx.mixture.frames import Frames
from smartx.mixture.shares import Comparison, Shares, compared

_DATA = "data"


@dataclass(frozen=True, repr=False)
class Mixture(Frames):
    """A finished mixture: a folder that trainers load, and what stands in it.

    folder: where it lies; of one in an object store something that is read as a path is.
    manifest: as it stands there, every number of it.
    It is what `smartx.run` returns, and `smartx.open_mixture` for one that was made before.

    >>> import smartx
    >>> rows = [{"prompt": f"{n} + 1", "response": f"{n + 1}", "task": "sums"} for n in range(50)]
    >>> mixture = smartx.run(rows, rows=4, preset="random")
    >>> len(mixture), mixture.names, mixture.budgets
    (4, [('', 'sums')], array([4]))
    >>> mixture.to_arrow(["prompt", "completion"]).num_rows
    4
    >>> [rows[i]["prompt"] for i in mixture.indices] == mixture.to_arrow()["prompt"].to_pylist()
    True
    """

    folder: Path
    manifest: dict[str, Any]

    def __len__(self) -> int:
        return int(self.manifest.get("rows", 0))

    def __bool__(self) -> bool:
        return True

    def to_arrow(self, columns: Sequence[str] | None = None) -> pa.Table:
        """The rows in the order of the mixture, as an Arrow table.

        columns: which of them, None for all. Raises InputError for one that is not there, and
        StoreError where the files cannot be read.
        """
        paths = sorted((self.folder / _DATA).glob("*.parquet"))
        try:
            names = pq.read_schema(for_arrow(paths[0])).names if paths else []
            if missing := [name for name in columns or () if name not in names]:
                fix = f"there are: {', '.join(names)}"
                raise InputError(f"there is no column {missing[0]!r}", place="columns", fix=fix)
            tables = [pq.ParquetFile(for_arrow(path)).read(columns=columns) for path in paths]
            return pa.concat_tables(tables).select(columns or names)
        except (OSError, pa.ArrowException) as problem:
            raise StoreError(
                f"it cannot be read ({str(problem)[:200]})",
                place=str(self.folder),
                fix="make the mixture again; one without `out` is gone with the object that it was",
            ) from None

    @cached_property
    def indices(self) -> NDArray[np.int64]:
        """(k,) int64, where each row stood in what was given, from 0: `frame.iloc[indices]`.

        Several sources count one behind the other, dropped rows among them.
        """
        return self._numbers("smartx_index")

    @cached_property
    def row_ids(self) -> NDArray[np.int64]:
        """(k,) int64, the number of each row in the corpus, whose rows lie by task."""
        return self._numbers("smartx_row")

    @cached_property
    def ranks(self) -> NDArray[np.int32]:
        """(k,) int32, the place of each row in its ranking, 0 is best."""
        return self._numbers("smartx_rank")

    @cached_property
    def gains(self) -> NDArray[np.float64]:
        """(k,) float64, what each row added in its ranking."""
        return self._numbers("smartx_gain")

    @cached_property
    def tasks(self) -> NDArray[np.int64]:
        """(k,) int64, the task of each row, as a place in `names`."""
        place = {name: i for i, name in enumerate(self.names)}
        columns = (self.to_arrow([c]).column(0).to_pylist() for c in ("source", "task"))
        found = np.array([place[name] for name in zip(*columns, strict=True)], dtype=np.int64)
        found.flags.writeable = False
        return found

    @property
    def names(self) -> list[tuple[str, str]]:
        """(source, task) of the M tasks, in codepoint order."""
        return [(task["source"], task["task"]) for task in self.manifest["tasks"]]

    @property
    def budgets(self) -> NDArray[np.int64]:
        """(M,) int64, rows that each task got."""
        return self._of_tasks("rows", np.int64)

    @property
    def capacities(self) -> NDArray[np.int64]:
        """(M,) int64, rows that each task has."""
        return self._of_tasks("capacity", np.int64)

    @property
    def weights(self) -> NDArray[np.float64]:
        """(M,) float64, the share that the weight law asked for each task; they sum to 1."""
        return self._of_tasks("weight", np.float64)

    def compare(self, other: Any) -> Comparison:
        """Tasks and rows beside those of another mixture, or of what `smartx.select` gave.

        Rows are the same where they stood at the same place of the same sources.
        """
        return compare(self, other)

    def shares(self) -> Shares:
        """What each task got, as it is displayed."""
        return Shares("Mixture", self.names, self.budgets, self.capacities)

    def __repr__(self) -> str:
        return self.shares().text()

    def _repr_html_(self) -> str:
        return self.shares().html()

    def _numbers(self, column: str) -> NDArray[Any]:
        found = np.asarray(self.to_arrow([column]).column(0).to_numpy())
        found.flags.writeable = False
        return found

    def _of_tasks(self, name: str, kind: Any) -> NDArray[Any]:
        return np.array([task[name] for task in self.manifest["tasks"]], dtype=kind)


def compare(here: Any, there: Any) -> Comparison:
    """Two results side by side. Raises InputError where one is no mixture or selection."""
    if not (isinstance(there, Frames) and hasattr(there, "shares") and hasattr(there, "indices")):
        fault = f"{type(there).__name__} is neither a mixture nor a selection"
        raise InputError(fault, place="other", fix="give what smartx.run or smartx.select returned")
    sources = [_sources(one) for one in (here, there) if isinstance(one, Mixture)]
    same = all(found == sources[0] for found in sources)
    shared = len(np.intersect1d(here.indices, there.indices)) if same else None
    return compared(here.shares(), there.shares(), shared)


def _sources(mixture: Mixture) -> list[Any]:
    sources = mixture.manifest["sources"]
    return [source.get("sha256", source.get("fingerprint")) for source in sources]
