"""Brings rows into group order without holding all of their text in memory.

Rows arrive in source order and go to files beside the corpus: their text to one, a few numbers of
each to another. When all have arrived, the place of every row follows from the numbers, and the
text is put there in buckets of bounded size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from smartx.corpus.duplicates import repeats_in, row_digests
from smartx.corpus.records import Found, Records, chunks_of
from smartx.corpus.room import Room
from smartx.corpus.tokens import COLUMNS as TOKEN_COLUMNS
from smartx.corpus.tokens import TokenCounter, with_counts
from smartx.corpus.turns import TEXT, TURN, TURNS
from smartx.files import temporary_path

ARRIVAL = pa.schema(
    [
        ("prompt", TEXT),
        ("response", TEXT),
        ("messages", TURNS),
        ("origin_file", pa.int32()),
        ("origin_row", pa.int64()),
        ("source_position", pa.int64()),
    ]
)
COUNTED = pa.schema([*ARRIVAL, *((name, pa.int32()) for name in TOKEN_COLUMNS)])
_IDS = (("row_id", pa.int64()), ("group_id", pa.int32()))
_OPEN_BUCKETS = 128  # files that are written at the same time
_SPLIT_BYTES = 16 << 20  # rows that are spread over them at a time
_UNKNOWN = np.int32(-1)
Name = tuple[str, str, str]  # source, task, template


@dataclass(frozen=True)
class Order:
    """Where every row goes.

    names: of the groups, in codepoint order.  sizes: (g,) int64 rows.
    group_id: (m,) int32 by number of the group as it arrived; -1 for one without rows.
    kept: (n,) by arrival, whether the row has a place; None: all have.
    bounds: rising row ids at which a new bucket starts, the number of rows last.
    largest: bytes of the largest piece of the corpus.
    repeats: how many rows say what an earlier one says, kept or not.
    again, first: (k,) int64, rising: arrivals that are left out, and what each of them repeats.
    """

    names: list[Name]
    sizes: NDArray[np.int64]
    group_id: NDArray[np.int32]
    kept: NDArray[np.bool_] | None
    bounds: list[int]
    largest: int
    repeats: int
    again: NDArray[np.int64]
    first: NDArray[np.int64]

    @property
    def rows(self) -> int:
        """How many rows have a place."""
        return int(self.sizes.sum())


class Arrivals:
    """The rows as they arrive, kept in files of the folder until they are placed; then `close`.

    piece_rows: rows of the corpus that are written together.
    counter: rows have their numbers of tokens (schema COUNTED), by this one where they are added
    here.  path, records: the files of the text and of the numbers of what was added here.
    """

    def __init__(
        self, folder: Path, piece_rows: int, room: Room, counter: TokenCounter | None = None
    ) -> None:
        self._folder, self._piece_rows, self._room = folder, piece_rows, room
        self._counter = counter
        self._schema = ARRIVAL if counter is None else COUNTED
        self._placed = pa.schema([*(pa.field(*one) for one in _IDS), *self._schema])
        self._ids: dict[Name, int] = {}
        self._files: list[Path] = []
        self._adopted: list[tuple[Path, int]] = []
        self._stopped = False
        self.name_bytes = 0
        self.records = Records(self._new_path())
        self.path = self._new_path()
        self._writer = _stream(self.path, self._schema)

    @property
    def groups(self) -> int:
        """How many groups there are so far."""
        return len(self._ids)

    @property
    def names(self) -> list[Name]:
        """The groups so far, by number."""
        return list(self._ids)

    def add(self, rows: pa.RecordBatch, names: tuple[pa.Array, pa.Array, pa.Array]) -> None:
        """More rows (schema ARRIVAL) with their source, task and template."""
        texts = (rows.column(name) for name in ("prompt", "response", "messages"))
        self.records.add(
            rows.num_rows,
            {
                "group": self._group_numbers(names),
                "file": rows.column("origin_file").to_numpy(),
                "row": rows.column("origin_row").to_numpy(),
                "position": rows.column("source_position").to_numpy(),
                "bytes": _text_bytes(rows),
                "digest": row_digests(*texts),
            },
        )
        if self._counter is not None:
            rows = with_counts(rows, self._counter).cast(self._schema)
        self._writer.write_batch(rows)

    def adopt(self, text: Path, records: Path, rows: int, names: Sequence[Name], at: int) -> None:
        """More rows, from the files of other arrivals, whose first has the position `at`.

        names: of their groups, by number there. `text` is to stand until the rows are placed.
        """
        numbers = np.array([self._number_of(name) for name in names], dtype=np.int32)
        for _, chunk in chunks_of(records, rows):
            chunk["group"] = numbers[chunk["group"]]
            chunk["position"] += at
            self.records.append(chunk)
        self._adopted.append((text, at))

    def stop(self) -> None:
        """No more rows will come: the files are whole."""
        if not self._stopped:  # closing twice would write a second end
            self._stopped = True
            self._writer.close()
            self.records.close()

    def order(self, *, drop_repeats: bool = False) -> Order:
        """Rows by group, groups by codepoint order of their names, arrival order inside a group.

        drop_repeats: of rows with the same words only the first has a place.
        Raises ConfigError where the room is too small for it.
        """
        self.stop()
        kept, again, first, repeats = self._repeats(drop_repeats)
        counts = np.zeros(len(self._ids), dtype=np.int64)
        for start, chunk in self.records.chunks():
            here = slice(None) if kept is None else kept[start : start + len(chunk)]
            counts += np.bincount(chunk["group"][here], minlength=len(counts))
        names = sorted(name for name, number in self._ids.items() if counts[number])
        numbers = [self._ids[name] for name in names]
        group_id = np.full(len(self._ids), _UNKNOWN, dtype=np.int32)
        group_id[numbers] = np.arange(len(names), dtype=np.int32)
        sizes = counts[numbers]
        weights = self._piece_bytes(_Places(group_id, sizes, kept))
        largest = int(weights.max(initial=0))
        self._room.check_piece(largest)
        bounds = [*self._bucket_bounds(weights), int(sizes.sum())]
        return Order(names, sizes, group_id, kept, bounds, largest, repeats, again, first)

    def placed(self, order: Order) -> Iterator[pa.Table]:
        """All rows, with row_id and group_id first, in row_id order, in pieces of `piece_rows`."""
        runs = list(zip(order.bounds, order.bounds[1:], strict=False))
        if len(runs) == 1:
            yield from self._pieces(pa.Table.from_batches(self._with_ids(order), self._placed))
            return
        for first in range(0, len(runs), _OPEN_BUCKETS):
            some = runs[first : first + _OPEN_BUCKETS]
            for path in self._spread(order, [some[0][0], *(stop for _, stop in some)]):
                with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as stream:
                    table = stream.read_all()
                path.unlink()
                yield from self._pieces(table)
                del table

    def close(self) -> None:
        """Delete the files, also where the disk takes no more."""
        with suppress(OSError, pa.ArrowException):
            self.stop()
        with suppress(OSError):
            self.records.close()
        for path in self._files:
            path.unlink(missing_ok=True)

    def _new_path(self) -> Path:
        path = temporary_path(self._folder / "arrivals.arrow")
        self._files.append(path)
        return path

    def _group_numbers(self, names: tuple[pa.Array, pa.Array, pa.Array]) -> NDArray[np.int32]:
        """The number of each row's group, in order of first arrival."""
        encoded = [column.dictionary_encode() for column in names]
        words = [column.dictionary.to_pylist() for column in encoded]
        codes = [column.indices.to_numpy().astype(np.int64) for column in encoded]
        mixed = (codes[0] * len(words[1]) + codes[1]) * len(words[2]) + codes[2]
        found = pa.array(mixed).dictionary_encode()
        numbers = [self._group_number(words, code) for code in found.dictionary.to_pylist()]
        own: NDArray[np.int32] = np.array(numbers, dtype=np.int32)[found.indices.to_numpy()]
        return own

    def _group_number(self, words: list[list[str]], code: int) -> int:
        rest, template = divmod(code, len(words[2]))
        source, task = divmod(rest, len(words[1]))
        return self._number_of((words[0][source], words[1][task], words[2][template]))

    def _number_of(self, name: Name) -> int:
        number = self._ids.get(name)
        if number is None:
            number = self._ids[name] = len(self._ids)
            self.name_bytes += sum(map(len, name))
        return number

    def _repeats(
        self, drop: bool
    ) -> tuple[NDArray[np.bool_] | None, NDArray[np.int64], NDArray[np.int64], int]:
        """(which rows are kept, which are not, what those repeat, how many repeat another)."""
        count, pairs = 0, [np.empty((2, 0), dtype=np.int64)]
        for again, first in repeats_in(self.records, self._room.repeat_rows):
            count += len(again)
            if drop:
                self._room.check_repeats(count)
                pairs.append(np.stack([again, first]))
        both = np.concatenate(pairs, axis=1)
        both = both[:, np.argsort(both[0])]
        if not drop:
            return None, both[0], both[1], count
        kept = np.ones(self.records.count, dtype=np.bool_)
        kept[both[0]] = False
        return kept, both[0], both[1], count

    def _piece_bytes(self, places: _Places) -> NDArray[np.int64]:
        """The bytes of every piece of the corpus."""
        weights = np.zeros(-(-places.rows // self._piece_rows), dtype=np.int64)
        for start, chunk in self.records.chunks():
            _, row_id = places.of(start, chunk)
            here = row_id >= 0
            np.add.at(weights, row_id[here] // self._piece_rows, chunk["bytes"][here])
        return weights

    def _bucket_bounds(self, weights: NDArray[np.int64]) -> Iterator[int]:
        """Cut the pieces into runs that the room has space for."""
        yield 0
        held, limit = 0, self._room.bucket_bytes
        for piece, weight in enumerate(weights.tolist()):
            if held and held + weight > limit:
                yield piece * self._piece_rows
                held = 0
            held += weight

    def _spread(self, order: Order, bounds: list[int]) -> list[Path]:
        """Files of the rows between each two of the bounds, in no order. bounds: row ids."""
        paths = [self._new_path() for _ in bounds[1:]]
        with ExitStack() as stack:
            writers = [stack.enter_context(_stream(path, self._placed)) for path in paths]
            for rows in _gathered(self._with_ids(order, bounds[0], bounds[-1])):
                cuts = np.searchsorted(rows.column("row_id").to_numpy(), bounds)
                for writer, start, stop in zip(writers, cuts, cuts[1:], strict=False):
                    if start < stop:
                        writer.write_table(rows.slice(start, stop - start))
        return paths

    def _with_ids(
        self, order: Order, first: int = 0, stop: int | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Rows first..stop-1 in order of arrival, with row_id and group_id first."""
        places, done = _Places(order.group_id, order.sizes, order.kept), 0
        stop = order.rows if stop is None else stop
        for batch in self._batches():
            group, row_id = places.of(done, self.records.read(done, batch.num_rows))
            done += batch.num_rows
            columns = [pa.array(row_id), pa.array(group), *batch.columns]
            here = (row_id >= first) & (row_id < stop)
            if here.any():
                placed = pa.RecordBatch.from_arrays(columns, schema=self._placed)
                yield placed if here.all() else placed.filter(pa.array(here))

    def _batches(self) -> Iterator[pa.RecordBatch]:
        """All rows in order of arrival."""
        place = ARRIVAL.get_field_index("source_position")
        for path, at in [*self._adopted, (self.path, 0)]:
            with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as stream:
                for batch in stream:
                    columns = batch.columns
                    columns[place] = pc.add(columns[place], at)
                    yield pa.RecordBatch.from_arrays(columns, schema=self._schema)

    def _pieces(self, table: pa.Table) -> Iterator[pa.Table]:
        """The rows of a bucket, in order. A take from chunks would join them every time."""
        table = table.combine_chunks()
        order = np.argsort(table.column("row_id").to_numpy())
        for start in range(0, len(order), self._piece_rows):
            yield table.take(pa.array(order[start : start + self._piece_rows]))


class _Places:
    """Gives rows their places as they come by, in order of arrival and from the first one on."""

    def __init__(
        self,
        group_id: NDArray[np.int32],
        sizes: NDArray[np.int64],
        kept: NDArray[np.bool_] | None,
    ) -> None:
        self._group_id, self._kept, self.rows = group_id, kept, int(sizes.sum())
        self._next = np.cumsum(sizes) - sizes  # row id of the next row of each group

    def of(self, start: int, records: Found) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """group_id and row_id of the next rows; -1 for those that are left out."""
        group = self._group_id[records["group"]]
        if self._kept is not None:
            group = np.where(self._kept[start : start + len(group)], group, _UNKNOWN)
        order = np.argsort(group, kind="stable")
        order = order[np.searchsorted(group[order], 0) :]
        groups, begins, counts = np.unique(group[order], return_index=True, return_counts=True)
        row_id = np.full(len(group), -1, dtype=np.int64)
        row_id[order] = np.repeat(self._next[groups] - begins, counts) + np.arange(len(order))
        self._next[groups] += counts
        return group, row_id


def _stream(path: Path, schema: pa.Schema) -> pa.RecordBatchStreamWriter:
    return pa.ipc.new_stream(str(path), schema, options=pa.ipc.IpcWriteOptions(compression="lz4"))


def _gathered(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Batches joined to tables of some size, each in row_id order."""
    held: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        held.append(batch)
        size += batch.nbytes
        if size >= _SPLIT_BYTES:
            yield _sorted(held)
            held, size = [], 0
    if held:
        yield _sorted(held)


def _sorted(batches: list[pa.RecordBatch]) -> pa.Table:
    table = pa.Table.from_batches(batches).combine_chunks()
    return table.take(pa.array(np.argsort(table.column("row_id").to_numpy())))


def _text_bytes(rows: pa.RecordBatch) -> NDArray[np.int64]:
    """About how many bytes each row takes."""
    size = np.full(rows.num_rows, 64, dtype=np.int64)
    for name in ("prompt", "response"):
        size += _lengths(rows.column(name))
    messages = rows.column("messages")
    if messages.null_count < len(messages):
        turns = messages.flatten()
        ends = np.zeros(len(turns) + 1, dtype=np.int64)
        np.cumsum(24 + sum(_lengths(turns.field(i)) for i in range(len(TURN))), out=ends[1:])
        counts = pc.fill_null(pc.list_value_length(messages), 0).to_numpy()
        stop = np.cumsum(counts)
        size += ends[stop] - ends[stop - counts]
    return size


def _lengths(texts: pa.Array) -> NDArray[np.int64]:
    return np.asarray(pc.fill_null(pc.binary_length(texts), 0), dtype=np.int64)
