"""What finding tasks, and putting the rows under them, will take."""

from __future__ import annotations

from pathlib import Path

from smartx.corpus import Corpus
from smartx.corpus.cost import row_sizes
from smartx.costs import BASE_BYTES, StagePlan
from smartx.tasks.auto import ITERATIONS, AutoTasks

_LIBRARY_BYTES = 120 << 20  # scikit-learn, once loaded
_COPIES = 3  # of the sample, in float64
_FITTED = 8e9  # multiply-adds a second of one thread: products, and what is beside them
_ASSIGNED = 30e9  # multiply-adds a second: exact products
_COMPARED = 1e9  # centres a second that a row is compared with
_NAMED = 7_000  # texts a second whose words are counted
_MOVED = 60_000  # rows a second that are read, put in order and written
_ROW_BYTES = 60  # of a row: its task, its new place, while these are found
_WORD_BYTES = 6_000  # of a text whose words are counted
_STREWN_BYTES = 192 << 20


def tasks_cost(
    corpus: Corpus,
    asked: AutoTasks,
    dimensions: int,
    folder: Path,
    *,
    encoder: bool,
    threads: int,
    done: bool,
) -> StagePlan:
    """dimensions: of a vector.  encoder: it makes the vectors, which then are not written again."""
    rows, d = corpus.num_rows, dimensions
    clusters, sample = asked.clusters_of(rows), asked.sampled(rows)
    if done:
        how = f"{clusters:,} clusters"
        return StagePlan("tasks", folder, 0.0, BASE_BYTES, 0, done=True, how=how)
    how = f"{clusters:,} clusters by {sample:,} rows; from here on they are assumed to be equal"
    seconds = 2.0 + ITERATIONS * sample * clusters * d / _FITTED
    seconds += rows * clusters * (d / _ASSIGNED / threads + 1 / _COMPARED)
    seconds += sample / _NAMED + rows / _MOVED
    size = row_sizes(corpus, others=True)
    held = 8 * _COPIES * sample * d + 20 * clusters * d
    written = size.reading + _STREWN_BYTES + 4 * size.held * min(rows, 1 << 13)
    memory = BASE_BYTES + _LIBRARY_BYTES + _ROW_BYTES * rows
    memory += max(held, written, _WORD_BYTES * sample)
    disk = int(rows * (size.stored + 4 + (8 if encoder else 2 * d)))
    disk += rows * size.held if rows > 1 << 13 else 0  # strewn beside the result while it is made
    return StagePlan("tasks", folder, seconds, memory, disk, how=how)
