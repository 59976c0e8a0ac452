"""The rows of a mixture folder, each with its task: what online mixing draws from."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from smartx.errors import InputError
from smartx.mixture import Mixture
from smartx.mixture.out import open_mixture
from smartx.online.policy import OnlineMixing
from smartx.swarm.units import called

if TYPE_CHECKING:
    import pyarrow as pa

SHARES = "shares"


class MixtureRows:
    """The rows of a mixture in its order, as objects: a map-style dataset for torch.

    They are held in memory. `datasets.load_dataset(folder, split="train")` has the same rows in the
    same order, and reads them from disk.
    """

    def __init__(self, mixture: Mixture | Path | str, columns: Sequence[str] | None = None) -> None:
        """columns: which of them, None for all. Raises StoreError where there is no mixture."""
        self.mixture = mixture if isinstance(mixture, Mixture) else open_mixture(mixture)
        self._columns = columns

    @cached_property
    def _table(self) -> pa.Table:
        return self.mixture.to_arrow(self._columns)

    def __len__(self) -> int:
        return len(self.mixture)

    def __getitem__(self, row: int) -> dict[str, Any]:
        if not 0 <= row < len(self):
            raise IndexError(row)
        return dict(self._table.slice(row, 1).to_pylist()[0])


def mixing_of(mixture: Mixture | Path | str, *, seed: int, prior: Any = None, **rule: Any) -> Any:
    """A policy over the tasks of a mixture that have rows in it.

    prior: None (the published rule, all equal), "shares" (the mixture's own: ours), or weights.
    rule: `rule`, `alpha`, `warmup`, `lag` of `OnlineMixing`.

    >>> import smartx
    >>> from smartx.online import mixing_of
    >>> rows = [{"prompt": f"{n} + 1", "response": f"{n + 1}", "task": "sums"} for n in range(9)]
    >>> rows += [{"prompt": f"spell {n}", "response": "?", "task": "words"} for n in range(9)]
    >>> mixture = smartx.run(rows, rows=8, preset="equal", out="mix")
    >>> mixing_of("mix", seed=0).tasks
    ('sums', 'words')
    """
    made = mixture if isinstance(mixture, Mixture) else open_mixture(mixture)
    held = [(name, int(n)) for name, n in zip(made.names, made.budgets, strict=True) if n > 0]
    if prior == SHARES:
        prior = [rows for _, rows in held]
    return OnlineMixing(called([name for name, _ in held]), seed=seed, prior=prior, **rule)


def tasks_of(
    mixing: OnlineMixing, sources: Sequence[str] | None, tasks: Sequence[str]
) -> NDArray[np.int64]:
    """(n,) the task of each row as a place in `mixing.tasks`.

    sources, tasks: (n,) the columns `source` and `task` of a mixture; rows may be left out.
    Raises InputError for a row of another task.
    """
    places = {name: place for place, name in enumerate(mixing.tasks)}
    pairs = (
        [("", task) for task in tasks]
        if sources is None
        else list(zip(sources, tasks, strict=True))
    )
    found = {pair: places.get(pair[1], places.get("/".join(pair), -1)) for pair in set(pairs)}
    if strange := [pair for pair, place in found.items() if place < 0]:
        raise InputError(
            f"rows are of task {strange[0][1]!r}, which the policy does not have",
            place="task",
            fix="make the policy of the mixture whose rows these are",
        )
    return np.array([found[pair] for pair in pairs], dtype=np.int64)
