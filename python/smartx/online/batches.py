"""Which rows the next batch has: tasks by the policy, rows of a task in a seeded order.

What is drawn is decided where the policy is, in the process that trains; workers of a loader only
fetch the rows. (An IterableDataset would draw inside of workers, each with a policy that never
hears of a loss.)
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartx.draws import ONLINE_ROWS, draws_at
from smartx.errors import InputError
from smartx.online.policy import OnlineMixing, read_state, write_state

_SCHEMA = 1


class TaskBatches:
    """Batches of row numbers without end, in passes of whole turns: a `batch_sampler` for torch.

    A task gives its rows in a random order, all of them before any again, then in another order.
    The same rows, seed and losses give the same batches, also after `restore`.
    """

    drop_last = True  # every batch is full

    def __init__(
        self,
        mixing: OnlineMixing,
        tasks: NDArray[np.integer[Any]],
        *,
        batch_rows: int,
        batches_per_turn: int = 1,
    ) -> None:
        """tasks: (n,) the task of each row, as a place in `mixing.tasks`.

        batch_rows: of a batch.  batches_per_turn: batches between two updates of the policy, of
        all processes together.
        Raises InputError where a task has no row.
        """
        tasks = np.asarray(tasks, dtype=np.int64)
        sizes = np.bincount(tasks, minlength=len(mixing)) if len(tasks) else np.zeros(len(mixing))
        if len(sizes) != len(mixing) or not np.all(sizes > 0):
            empty = [n for n, size in zip(mixing.tasks, sizes, strict=False) if size == 0][:3]
            fault = f"rows have {len(sizes)} tasks, the policy {len(mixing)}; without rows: {empty}"
            raise InputError(fault, place="tasks", fix="give the policy the tasks of these rows")
        if batch_rows < 1 or batches_per_turn < 1:
            raise InputError("batch_rows and batches_per_turn are at least 1")
        self.mixing, self.batch_size, self.batches_per_turn = mixing, batch_rows, batches_per_turn
        self.tasks = tasks
        order = np.argsort(tasks, kind="stable")
        self._rows = np.split(order, np.cumsum(sizes)[:-1].astype(np.int64))
        self._digest = hashlib.sha256(tasks.astype("<i8").tobytes()).hexdigest()
        turns = max(1, len(tasks) // (batch_rows * batches_per_turn))
        self._pass = turns * batches_per_turn
        self.restart()

    def restart(self) -> None:
        """Before the first batch again. The policy stays as it is."""
        self.batch, self.skipped = 0, 0
        self._taken = np.zeros(len(self.mixing), dtype=np.int64)
        self._before: dict[int, NDArray[np.int64]] = {}  # what was taken when a turn began
        self._orders: dict[int, tuple[int, NDArray[np.int64]]] = {}

    def __len__(self) -> int:
        """Batches of a pass: as many rows as there are, in whole turns."""
        return self._pass

    def __iter__(self) -> Iterator[list[int]]:
        """The batches up to the end of the pass; before them as many as `skipped` says, which were
        trained on before and are not looked at.
        """
        skipped, self.skipped = self.skipped, 0
        for _ in range(skipped):
            yield [0] * self.batch_size
        end = (self.batch // self._pass + 1) * self._pass
        while self.batch < end:
            yield self._next()

    def _next(self) -> list[int]:
        turn, start = self.batch // self.batches_per_turn, self.batch * self.batch_size
        tasks = self.mixing.drawn(turn, start, start + self.batch_size)
        if turn not in self._before:
            kept = {t: taken for t, taken in self._before.items() if t >= self.mixing.turn}
            self._before = {**kept, turn: self._taken.copy()}
        self.batch += 1
        return [self._row(int(task)) for task in tasks]

    def _row(self, task: int) -> int:
        rows = self._rows[task]
        epoch, place = divmod(int(self._taken[task]), len(rows))
        if self._orders.get(task, (-1,))[0] != epoch:
            total = sum(map(len, self._rows))
            keys = draws_at(self.mixing.seed, ONLINE_ROWS, rows + epoch * total)
            self._orders[task] = (epoch, rows[np.argsort(keys, kind="stable")])
        self._taken[task] += 1
        return int(self._orders[task][1][place])

    def state(self) -> dict[str, Any]:
        """What goes on after the turns that are over, the policy with it, as JSON has it.

        Batches that a loader fetched ahead are not part of it: they are drawn again, as they were.
        """
        turn, batch = self.mixing.turn, self.mixing.turn * self.batches_per_turn
        taken = self._before.get(turn, self._taken if batch == self.batch else None)
        if taken is None:
            raise InputError(
                f"{turn} turns are over, and {self.batch} batches of {self.batches_per_turn} a "
                "turn were drawn",
                place="batches_per_turn",
                fix="call update once after as many batches, and save right after it",
            )
        return {
            "schema": _SCHEMA,
            "policy": self.mixing.state(),
            "rows": self._digest,
            "batch_rows": self.batch_size,
            "batches_per_turn": self.batches_per_turn,
            "taken": taken.tolist(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of the same rows, policy and batches. Raises InputError for others."""
        now = {"schema": _SCHEMA, "rows": self._digest, "batch_rows": self.batch_size}
        now["batches_per_turn"] = self.batches_per_turn
        if differ := [name for name, value in now.items() if state.get(name) != value]:
            raise InputError(
                f"the state that was kept differs in {', '.join(differ)}",
                place="online mixing",
                fix="go on with the rows and batches it was begun with, or begin anew",
            )
        self.mixing.restore(state["policy"])
        self.restart()
        self._taken = np.array(state["taken"], dtype=np.int64)
        self.batch = self.mixing.turn * self.batches_per_turn

    def save(self, path: Path | str) -> None:
        """Write the state as JSON, whole or not at all; after an update."""
        write_state(Path(path), self.state())

    def load(self, path: Path | str) -> None:
        """Go on from what `save` wrote. Raises StoreError where the file is missing or damaged."""
        self.restore(read_state(Path(path)))


def lag_of(batches_ahead: int, batches_per_turn: int) -> int:
    """The lag that a loader needs which draws so many batches before they are trained on.

    Of torch: workers x prefetch_factor; accelerate, and so Trainer, draws one more.
    """
    return -(-batches_ahead // batches_per_turn)
