"""Brings rows into group order without holding all of their text in memory.

Rows arrive in source order and go to a file beside the corpus; only a few numbers per row stay in
memory. When all have arrived, the place of every row is known, and the text follows in buckets of
bounded size.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from smartx.corpus.duplicates import repeats, row_digests
from smartx.corpus.extra import EXTRA
from smartx.corpus.normalise import TEXT, TURNS

ARRIVAL = pa.schema(
    [
        ("prompt", TEXT),
        ("response", TEXT),
        ("messages", TURNS),
        ("extra", EXTRA),
        ("origin_file", pa.int32()),
        ("origin_row", pa.int64()),
        ("source_position", pa.int64()),
    ]
)
ORIGIN = ["origin_file", "origin_row", "source_position"]
PLACED = pa.schema([("row_id", pa.int64()), ("group_id", pa.int32()), *ARRIVAL])
BUCKET_BYTES = 128 << 20
_BUCKETS = 256  # open files at most
Name = tuple[str, str, str]  # source, task, template


@dataclass(frozen=True)
class Order:
    """Where every row goes.

    names: of the groups, in codepoint order.  sizes: (g,) int64 rows.
    group_id: (n,) int32 and row_id: (n,) int64, both by arrival; -1 for a row that is left out.
    bounds: rising row ids at which a new bucket starts, the number of rows last.
    again, first: (k,) int64, arrivals that say what an earlier one says, and the first of those.
    """

    names: list[Name]
    sizes: NDArray[np.int64]
    group_id: NDArray[np.int32]
    row_id: NDArray[np.int64]
    bounds: list[int]
    again: NDArray[np.int64]
    first: NDArray[np.int64]

    @property
    def rows(self) -> int:
        """How many rows have a place."""
        return self.bounds[-1]


class Arrivals:
    """The rows as they arrive, kept in a file of the folder until they are placed; then `close`."""

    def __init__(
        self, folder: Path, *, rows_per_file: int, bucket_bytes: int = BUCKET_BYTES
    ) -> None:
        self._folder, self._rows_per_file, self._bucket_bytes = folder, rows_per_file, bucket_bytes
        self._ids: dict[Name, int] = {}
        self._groups: list[NDArray[np.int32]] = []
        self._sizes: list[NDArray[np.int64]] = []
        self._digests: list[NDArray[np.uint64]] = [np.empty((0, 2), dtype=np.uint64)]
        self._files: list[Path] = []
        self._path, self._writer = self._new_file(ARRIVAL)

    def add(self, rows: pa.RecordBatch, names: tuple[pa.Array, pa.Array, pa.Array]) -> None:
        """More rows (schema ARRIVAL) with their source, task and template."""
        self._groups.append(self._group_ids(names))
        size = np.asarray(pc.binary_length(rows.column("prompt")), dtype=np.int64)
        size = size + np.asarray(pc.binary_length(rows.column("response")), dtype=np.int64)
        talk = rows.column("messages").is_valid().to_numpy(zero_copy_only=False)
        more = pc.fill_null(pc.binary_length(rows.column("extra")), 0)
        self._sizes.append(np.where(talk, 2 * size, size) + np.asarray(more, dtype=np.int64) + 64)
        texts = (rows.column(name) for name in ("prompt", "response", "messages"))
        self._digests.append(row_digests(*texts))
        self._writer.write_batch(rows)

    def order(self, *, drop_repeats: bool = False) -> Order:
        """Rows by group, groups by codepoint order of their names, arrival order inside a group.

        drop_repeats: of rows with the same words only the first has a place.
        """
        self._writer.close()
        again, first = repeats(np.concatenate(self._digests))
        self._digests.clear()
        arrived = np.concatenate(self._groups) if self._groups else np.empty(0, np.int32)
        kept = np.ones(len(arrived), dtype=np.bool_)
        kept[again if drop_repeats else again[:0]] = False
        counts = np.bincount(arrived[kept], minlength=len(self._ids))
        names = sorted(name for name, number in self._ids.items() if counts[number])
        rank = np.full(len(self._ids), -1, dtype=np.int32)
        rank[[self._ids[name] for name in names]] = np.arange(len(names), dtype=np.int32)
        group_id = np.where(kept, rank[arrived], np.int32(-1)) if len(arrived) else arrived
        arrivals = np.flatnonzero(kept)
        arrivals = arrivals[np.argsort(group_id[arrivals], kind="stable")]
        row_id = np.full(len(arrived), -1, dtype=np.int64)
        row_id[arrivals] = np.arange(len(arrivals), dtype=np.int64)
        sizes = np.bincount(group_id[arrivals], minlength=len(names)).astype(np.int64)
        bounds = self._bucket_bounds(arrivals)
        return Order(names, sizes, group_id, row_id, bounds, again, first)

    def origins(self, arrivals: NDArray[np.int64]) -> pa.Table:
        """Where some arrivals came from. arrivals: rising.  Columns ORIGIN."""
        options = pa.ipc.IpcReadOptions(
            included_fields=[ARRIVAL.get_field_index(name) for name in ORIGIN]
        )
        found, done = [], 0
        with (
            pa.OSFile(str(self._path)) as file,
            pa.ipc.open_stream(file, options=options) as stream,
        ):
            for batch in stream:
                start, stop = np.searchsorted(arrivals, [done, done + batch.num_rows])
                found.append(batch.take(pa.array(arrivals[start:stop] - done)))
                done += batch.num_rows
        return pa.Table.from_batches(found).select(ORIGIN)

    def placed(self, order: Order) -> Iterator[pa.Table]:
        """All rows (schema PLACED) in row_id order: one table of whole output files per bucket."""
        buckets = len(order.bounds) - 1
        if buckets == 1:
            yield _sorted(pa.Table.from_batches(self._with_ids(order), PLACED))
            return
        with ExitStack() as closing:
            files = [self._new_file(PLACED) for _ in range(buckets)]
            for _, writer in files:
                closing.enter_context(writer)
            for batch in self._with_ids(order):
                row_id = batch.column("row_id").to_numpy()
                bucket = np.searchsorted(order.bounds, row_id, side="right") - 1
                for place in np.unique(bucket):
                    files[place][1].write_batch(
                        batch.take(pa.array(np.flatnonzero(bucket == place)))
                    )
        for path, _ in files:
            with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as stream:
                yield _sorted(stream.read_all())
            path.unlink()

    def close(self) -> None:
        """Delete the files, also where the disk takes no more."""
        with suppress(OSError, pa.ArrowException):
            self._writer.close()
        for path in self._files:
            path.unlink(missing_ok=True)

    def _new_file(self, schema: pa.Schema) -> tuple[Path, pa.RecordBatchStreamWriter]:
        path = self._folder / f".arrivals.tmp.{uuid.uuid4().hex}.arrow"
        self._files.append(path)
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        return path, pa.ipc.new_stream(str(path), schema, options=options)

    def _group_ids(self, names: tuple[pa.Array, pa.Array, pa.Array]) -> NDArray[np.int32]:
        """The number of each row's group, in order of first arrival."""
        encoded = [column.dictionary_encode() for column in names]
        words = [column.dictionary.to_pylist() for column in encoded]
        codes = [column.indices.to_numpy().astype(np.int64) for column in encoded]
        mixed = (codes[0] * len(words[1]) + codes[1]) * len(words[2]) + codes[2]
        values, first, inverse = np.unique(mixed, return_index=True, return_inverse=True)
        ids = np.empty(len(values), dtype=np.int32)
        for value in np.argsort(first):
            row = first[value]
            name = (words[0][codes[0][row]], words[1][codes[1][row]], words[2][codes[2][row]])
            ids[value] = self._ids.setdefault(name, len(self._ids))
        return ids[inverse]

    def _bucket_bounds(self, arrivals: NDArray[np.int64]) -> list[int]:
        """Cut the rows into at most _BUCKETS runs of whole output files, of bounded bytes each."""
        rows = len(arrivals)
        starts = np.arange(0, rows, self._rows_per_file)
        sizes = np.concatenate(self._sizes)[arrivals] if rows else np.empty(0, np.int64)
        files = np.add.reduceat(sizes, starts) if rows else sizes
        limit = max(self._bucket_bytes, int(files.sum()) // (_BUCKETS // 2))
        bounds, held = [0], 0
        for start, size in zip(starts.tolist(), files.tolist(), strict=True):
            if held and held + size > limit:
                bounds.append(start)
                held = 0
            held += size
        return [*bounds, rows]

    def _with_ids(self, order: Order) -> Iterator[pa.RecordBatch]:
        done = 0
        with pa.OSFile(str(self._path)) as file, pa.ipc.open_stream(file) as stream:
            for batch in stream:
                part = slice(done, done + batch.num_rows)
                ids = [pa.array(order.row_id[part]), pa.array(order.group_id[part])]
                placed = pa.RecordBatch.from_arrays([*ids, *batch.columns], schema=PLACED)
                here = order.row_id[part] >= 0
                yield placed if here.all() else placed.filter(pa.array(here))
                done += batch.num_rows


def _sorted(table: pa.Table) -> pa.Table:
    return table.take(pa.array(np.argsort(table.column("row_id").to_numpy())))
