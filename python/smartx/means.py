"""The mean vector of every task: what laws over tasks look at. Computed once for a corpus and its
vectors, and kept in the run folder as exact sums.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from smartx.embed.npy import open_npy, write_npy
from smartx.engine import sum_rows
from smartx.needs import Feature
from smartx.progress import Progress, Silent, step
from smartx.store import Sidecar, Stage, folder_of, key_of

if TYPE_CHECKING:
    from smartx.corpus import Corpus

SCHEMA = 1  # raised when the same vectors give another file
STAGE, SUMS = "means", "sums.npy"
CHUNK = 65_536  # rows read at a time


class Runs(Protocol):
    """Anything that says where its units begin and how many rows they hold: Tasks, Ground."""

    @property
    def start(self) -> NDArray[np.int64]:
        """(M,) first row id of each unit."""

    @property
    def rows(self) -> NDArray[np.int64]:
        """(M,) rows of each unit."""


def kept_task_means(
    corpus: Corpus, embeddings: Feature, folder: Path, *, progress: Progress | None = None
) -> NDArray[np.float64]:
    """`task_means` from the sums in folder/ID, which are made first where they are not there.

    folder: the run's `means`. ID names the corpus and the vectors: reading these takes longer than
    the rest of a mixture, so it is done once for each content of the two.
    """
    tasks = corpus.groups.tasks()
    inputs = {"corpus": corpus.digest, "embeddings": embeddings.digest}
    key = key_of(STAGE, SCHEMA, {}, inputs)
    stage = Stage(STAGE, folder_of(folder, key))
    path = stage.folder / SUMS
    if not stage.reuse(key):
        stage.begin()
        sums = task_sums(embeddings, tasks, progress=progress)
        entry = Sidecar(path, key).commit(len(sums), partial(write_npy, sums))
        facts = {"digest": entry.sha256}
        stage.finish(
            key=key, schema=SCHEMA, parameters={}, inputs=inputs, files=[entry], facts=facts
        )
    return _means(open_npy(path).read(0, len(tasks)), tasks)


def task_means(
    embeddings: Feature, tasks: Runs, *, progress: Progress | None = None
) -> NDArray[np.float64]:
    """The plain mean of the stored rows of each task.

    Returns (M, d) float64 in Q12 units. The sums are whole numbers and hence exact; the one
    rounding is the division by the number of rows.
    """
    return _means(task_sums(embeddings, tasks, progress=progress), tasks)


def task_sums(
    embeddings: Feature, tasks: Runs, *, progress: Progress | None = None
) -> NDArray[np.int64]:
    """(M, d) the exact sum of the stored rows of each task."""
    sums = np.zeros((len(tasks.rows), embeddings.dimensions), dtype=np.int64)
    with step(progress or Silent(), "task means", int(tasks.rows.sum()), "rows") as advance:
        for place, (start, rows) in enumerate(
            zip(tasks.start.tolist(), tasks.rows.tolist(), strict=True)
        ):
            for first in range(start, start + rows, CHUNK):
                stop = min(first + CHUNK, start + rows)
                sums[place] += sum_rows(embeddings.rows(first, stop))
                advance(stop - first)
    return sums


def _means(sums: NDArray[np.int64], tasks: Runs) -> NDArray[np.float64]:
    means: NDArray[np.float64] = sums / tasks.rows[:, np.newaxis]
    return means
