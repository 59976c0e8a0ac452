"""Many rows in any order, piece by piece: each file that holds them is read once.

The rows are read as they lie, strewn over files beside the result, one for some adjacent pieces,
and each of those is brought into order in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from smartx.files import temporary_path

_FILES = 128  # open at once, at most
_HELD_BYTES = 64 << 20  # of rows that wait to be strewn
Read = Callable[[NDArray[np.int64]], Iterator[pa.Table]]


def pieces(
    read: Read, keys: NDArray[np.int64], piece_rows: int, folder: Path
) -> Iterator[pa.Table]:
    """The rows of keys[:piece_rows], of the next piece_rows, and so on.

    read: given rising keys, tables that hold together a row for each, in this order.
    folder: takes files of the size of the rows, which are gone when the last piece has been taken.
    Memory: the rows of a piece, or of every 128th part of all rows.
    """
    count = -(-len(keys) // piece_rows)
    if count <= 1:
        yield in_order(read, keys)
        return
    rising = np.argsort(keys, kind="stable")
    file_rows = piece_rows * -(-count // _FILES)
    files = range(-(-len(keys) // file_rows))
    paths = [temporary_path(folder / f"pieces-{n:05d}.arrow") for n in files]
    try:
        _strew(read(keys[rising]), rising, file_rows, paths)
        for path in paths:
            with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as stream:
                table = stream.read_all()
            path.unlink()
            last = table.num_columns - 1
            order = np.argsort(table.column(last).to_numpy())
            table = table.remove_column(last)
            for start in range(0, len(order), piece_rows):
                yield table.take(pa.array(order[start : start + piece_rows])).combine_chunks()
    finally:
        for path in paths:
            path.unlink(missing_ok=True)


def in_order(read: Read, keys: NDArray[np.int64]) -> pa.Table:
    """The rows of all keys, in their order, in memory. read: see `pieces`."""
    rising = np.argsort(keys, kind="stable")
    table = pa.concat_tables(read(keys[rising]))
    return table.take(pa.array(np.argsort(rising))).combine_chunks()


def _strew(
    tables: Iterator[pa.Table], rising: NDArray[np.int64], file_rows: int, paths: list[Path]
) -> None:
    """Write every row, with its place in the result as the last column, to the file of that place.

    rising: the places of the rows, in the order of the tables.
    """
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    writers: list[pa.RecordBatchStreamWriter] = []
    done = 0
    with ExitStack() as closing:
        for table in _gathered(tables):
            places = rising[done : done + table.num_rows]
            done += table.num_rows
            table = table.append_column("place", pa.array(places))
            if not writers:
                for path in paths:
                    writer = pa.ipc.new_stream(str(path), table.schema, options=options)
                    writers.append(closing.enter_context(writer))
            file = places // file_rows
            order = np.argsort(file, kind="stable")
            table = table.take(pa.array(order))
            bounds = np.searchsorted(file[order], np.arange(len(paths) + 1))
            for number, writer in enumerate(writers):
                start, stop = int(bounds[number]), int(bounds[number + 1])
                if stop > start:
                    writer.write_table(table.slice(start, stop - start).combine_chunks())


def _gathered(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Larger tables of the same rows, so that few batches are written."""
    held: list[pa.Table] = []
    size = 0
    for table in tables:
        held.append(table)
        size += table.nbytes
        if size > _HELD_BYTES:
            yield pa.concat_tables(held)
            held, size = [], 0
    if held:
        yield pa.concat_tables(held)
