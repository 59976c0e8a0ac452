"""Rank every group of a corpus, in bundles of adjacent groups, so that memory stays bounded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from smartx.errors import InputError
from smartx.progress import Progress, Silent, step
from smartx.rankers.ranker import Ranker
from smartx.rankers.rankings import (
    BLOCK_ROWS,
    PART_ROWS,
    STAGE,
    TABLE,
    Rankings,
    open_rankings,
    part_name,
)
from smartx.store import FileEntry, Stage, committing, key_of

if TYPE_CHECKING:
    from smartx.corpus import Corpus, Groups
    from smartx.embed import Embeddings

SCHEMA = 1
BUNDLE_ROWS = 65_536  # a bundle ends before it holds more rows than this,
BUNDLE_PAIRS = 1 << 28  # or more pairs of rows than this (about a second), unless it is one group
CURVE_POINTS = 20  # the curve of gains is taken at 0, 1/20, ... of every group's length

Ranked = tuple[NDArray[np.int32], NDArray[np.float64]]


def rank_corpus(
    corpus: Corpus,
    embeddings: Embeddings | None,
    ranker: Ranker,
    folder: Path,
    *,
    threads: int,
    progress: Progress | None = None,
) -> Rankings:
    """Rank all rows of all groups and write folder/ID, where ID names the parameters and the input.

    embeddings: may be None for a ranker that needs none.  folder: the run's `rankings`.
    Finished rankings of the same input are reused. Raises InputError where embeddings are missing
    or belong to another corpus, or where the ranker's answer is not an order of the rows.
    """
    progress = progress or Silent()
    used = _checked_embeddings(corpus, embeddings, ranker)
    parameters = {"ranker": ranker.name, **ranker.parameters()}
    inputs = {"corpus": corpus.digest, **({"embeddings": used.digest} if used else {})}
    key = key_of(STAGE, SCHEMA, parameters, inputs)
    stage = Stage(STAGE, folder / key[:16])
    if stage.is_done(key):
        progress.note(f"rank: reused the {ranker.name} rankings of {corpus.num_rows:,} rows")
        return open_rankings(stage.folder)
    stage.begin()
    written = _Writer(stage.folder)
    curve = _Curve()
    groups = corpus.groups
    cost = _cost(groups.rows, ranker)
    unit = "pairs" if ranker.needs_embeddings else "rows"
    with step(progress, f"rank ({ranker.name})", int(cost.sum()), unit) as advance:
        for first, last in bundles(groups.rows):
            start, stop = (
                int(groups.start[first]),
                int(groups.start[last - 1] + groups.rows[last - 1]),
            )
            order, gains = _ranked(ranker, used, groups.rows[first:last], start, stop, threads)
            written.add(_table(groups, first, last, order, gains))
            curve.add(groups.rows[first:last], gains)
            advance(int(cost[first:last].sum()))
    entries = written.finish()
    facts = {"digest": written.digest(), "rows": corpus.num_rows, "curve": curve.points()}
    stage.finish(
        key=key, schema=SCHEMA, parameters=parameters, inputs=inputs, files=entries, facts=facts
    )
    return open_rankings(stage.folder)


def bundles(sizes: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Cut groups into runs (first, last) small in rows and in pairs, or of one group."""
    first, rows, pairs = 0, 0, 0
    for group, size in enumerate(sizes.tolist()):
        if group > first and (rows + size > BUNDLE_ROWS or pairs + size * size > BUNDLE_PAIRS):
            yield first, group
            first, rows, pairs = group, 0, 0
        rows, pairs = rows + size, pairs + size * size
    if len(sizes):
        yield first, len(sizes)


def _checked_embeddings(
    corpus: Corpus, embeddings: Embeddings | None, ranker: Ranker
) -> Embeddings | None:
    if not ranker.needs_embeddings:
        return None
    if embeddings is None:
        raise InputError(
            f"the ranker {ranker.name} needs embeddings",
            place="embeddings",
            fix="run `smartx embed` first",
        )
    if embeddings.num_rows != corpus.num_rows:
        raise InputError(
            f"{embeddings.num_rows:,} vectors for a corpus of {corpus.num_rows:,} rows",
            place="embeddings",
            fix="run `smartx embed` again",
        )
    return embeddings


def _cost(sizes: NDArray[np.int64], ranker: Ranker) -> NDArray[np.int64]:
    return sizes * sizes if ranker.needs_embeddings else sizes


def _ranked(
    ranker: Ranker,
    embeddings: Embeddings | None,
    sizes: NDArray[np.int64],
    start: int,
    stop: int,
    threads: int,
) -> Ranked:
    """The ranker's answer for rows start..stop-1, checked to be an order of each group."""
    rows = embeddings.rows(start, stop) if embeddings else None
    order, gains = ranker.rank(rows, sizes, start, threads=threads, progress=Silent())
    begins = np.repeat(np.cumsum(sizes) - sizes, sizes)
    inside = len(order) == len(begins) == len(gains) and bool(
        ((order >= 0) & (order < np.repeat(sizes, sizes))).all()
    )
    if not inside or not (np.bincount(begins + order, minlength=len(begins)) == 1).all():
        raise InputError(
            f"the ranker {ranker.name} did not name every row of its groups exactly once",
            place=f"rows {start}..{stop - 1}",
        )
    return order, gains


def _table(
    groups: Groups, first: int, last: int, order: NDArray[np.int32], gains: NDArray[np.float64]
) -> pa.Table:
    sizes = groups.rows[first:last]
    begins = np.cumsum(sizes) - sizes
    columns: list[NDArray[Any]] = [
        np.repeat(groups.start[first:last], sizes) + order,
        np.repeat(np.arange(first, last, dtype=np.int32), sizes),
        (np.arange(len(order)) - np.repeat(begins, sizes)).astype(np.int32),
        gains,
    ]
    return pa.Table.from_arrays(
        [pa.array(column, field.type) for column, field in zip(columns, TABLE, strict=True)],
        schema=TABLE,
    )


class _Writer:
    """Cuts a stream of tables into files of PART_ROWS rows."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._waiting: list[pa.Table] = []
        self._rows = 0
        self._entries: list[FileEntry] = []
        self._shas = {"row_id": hashlib.sha256(), "gain": hashlib.sha256()}

    def add(self, table: pa.Table) -> None:
        for name, sha in self._shas.items():
            sha.update(table[name].to_numpy().tobytes())
        self._waiting.append(table)
        self._rows += table.num_rows
        while self._rows >= PART_ROWS:
            whole = pa.concat_tables(self._waiting)
            self._write(whole.slice(0, PART_ROWS))
            self._waiting = [whole.slice(PART_ROWS)]
            self._rows -= PART_ROWS

    def finish(self) -> list[FileEntry]:
        if self._rows:
            self._write(pa.concat_tables(self._waiting))
        return self._entries

    def digest(self) -> str:
        """Of the row ids and gains in order: the same however the stream was cut."""
        both = b"".join(sha.digest() for sha in self._shas.values())
        return hashlib.sha256(both).hexdigest()

    def _write(self, table: pa.Table) -> None:
        path = self._folder / part_name(len(self._entries))
        with committing(path) as temporary:
            pq.write_table(
                table.combine_chunks(),
                temporary,
                row_group_size=BLOCK_ROWS,
                compression="zstd",
                write_page_checksum=True,
                use_dictionary=["group_id"],
                store_schema=False,
            )
        self._entries.append(FileEntry.of(path, table.num_rows))


class _Curve:
    """How much of the groups' value their first rows hold: what a larger budget brings."""

    def __init__(self) -> None:
        self._held = np.zeros(CURVE_POINTS + 1)

    def add(self, sizes: NDArray[np.int64], gains: NDArray[np.float64]) -> None:
        if not gains.any():
            return
        parts = np.arange(CURVE_POINTS + 1)
        begin = 0
        for size in sizes.tolist():
            so_far = np.zeros(size + 1)
            np.cumsum(gains[begin : begin + size], out=so_far[1:])
            self._held += so_far[-(-parts * size // CURVE_POINTS)]
            begin += size

    def points(self) -> list[float]:
        """Value held by the first 0, 1/20, ..., 1 of every group (rounded up), summed."""
        return [float(value) for value in self._held]
