"""How long the rows of a corpus and of a mixture are, in tokens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smartx.report.material import Material

BLOCK = 1 << 18  # rows whose tokens are read at once
EDGES = np.unique([0, *np.ceil(2.0 ** (np.arange(46) / 2) - 1e-9).astype(np.int64).tolist()])


@dataclass(frozen=True, eq=False)
class Lengths:
    """corpus, mixture: (2, BINS) rows by the length of their prompt and of their response.

    Bin 0 is of rows without tokens, bin i of 2^((i - 1) / 2) tokens and more, as `edges` says.
    tasks: (m, 2) int64, tokens of all rows of the mixture, by task.
    counted: by which tokenizer; "" where tokens are estimated from bytes.
    """

    corpus: NDArray[np.int64]
    mixture: NDArray[np.int64]
    tasks: NDArray[np.int64]
    counted: str


def lengths(material: Material) -> Lengths:
    """Reads the token columns once, a block at a time. Rows that were taken twice count twice."""
    corpus, tasks = material.corpus, material.tasks
    bins = len(EDGES)
    found = np.zeros((2, 2, bins), dtype=np.int64)
    by_task = np.zeros((len(tasks), 2), dtype=np.int64)
    ids = np.sort(material.row_ids)
    for start in range(0, corpus.num_rows, BLOCK):
        stop = min(start + BLOCK, corpus.num_rows)
        counts = corpus.token_counts(start, stop).astype(np.int64)
        own = slice(*np.searchsorted(ids, [start, stop]))
        times = np.bincount(ids[own] - start, minlength=stop - start)
        task = np.searchsorted(tasks.start, np.arange(start, stop), side="right") - 1
        for column in (0, 1):
            place = np.searchsorted(EDGES, counts[:, column], side="right") - 1
            found[0, column] += np.bincount(place, minlength=bins)
            found[1, column] += _sums(place, times, bins)
            by_task[:, column] += _sums(task, counts[:, column] * times, len(tasks))
    told = corpus.manifest.get("tokens") or {}
    return Lengths(found[0], found[1], by_task, str(told.get("tokenizer") or ""))


def _sums(places: NDArray[np.int64], values: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Sums by place: of whole numbers below 2^53, hence exact."""
    return np.bincount(places, values, minlength=size).astype(np.int64)
