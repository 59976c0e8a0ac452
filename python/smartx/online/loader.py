"""A torch DataLoader that draws by a policy, for training loops of one's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartx.errors import MissingPackageError
from smartx.online.batches import TaskBatches, lag_of
from smartx.online.policy import OnlineMixing

PREFETCH = 2  # batches that each worker of torch fetches ahead, where nothing is said


def loader_of(
    mixing: OnlineMixing,
    rows: Any,
    tasks: NDArray[np.integer[Any]],
    *,
    batch_rows: int,
    batches_per_turn: int = 1,
    workers: int = 0,
    collate: Callable[[Sequence[Any]], Any] | None = None,
) -> Any:
    """A torch DataLoader over a map-style dataset, whose `batch_sampler` is a `TaskBatches`.

    rows: of which `tasks` gives the task of each: `MixtureRows`, or a datasets.Dataset.
    workers: processes that fetch rows; what they fetch ahead is drawn by older probabilities, and
    the policy's `lag` is set so that it is always by equally old ones. collate: of torch.
    Raises MissingPackageError without torch.
    """
    try:
        from torch.utils.data import DataLoader
    except ImportError:
        raise MissingPackageError("torch", needed_for="a data loader", extra="embed") from None
    batches = TaskBatches(mixing, tasks, batch_rows=batch_rows, batches_per_turn=batches_per_turn)
    mixing.lag = max(mixing.lag, lag_of(workers * PREFETCH, batches_per_turn))
    ahead = {"prefetch_factor": PREFETCH} if workers else {}
    return DataLoader(rows, batch_sampler=batches, num_workers=workers, collate_fn=collate, **ahead)
