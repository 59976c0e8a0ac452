"""Many rows of a corpus in any order, piece by piece: each file of the corpus is read once.

The rows are read as they lie, strewn over files beside the result, one for some adjacent pieces,
and each of those is brought into order in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from smartx.corpus.corpus import Corpus

_FILES = 128  # open at once, at most
_HELD_BYTES = 64 << 20  # of rows that wait to be strewn
_PLACE = "place"


def pieces(
    corpus: Corpus, row_ids: NDArray[np.int64], piece_rows: int, folder: Path
) -> Iterator[pa.Table]:
    """`corpus.rows` of row_ids[:piece_rows], of the next piece_rows, and so on.

    folder: takes files of the size of the rows, which are gone when the last piece has been taken.
    Memory: the rows of a piece, or of every 128th part of all rows.
    """
    count = -(-len(row_ids) // piece_rows)
    if count <= 1:
        yield corpus.rows(row_ids)
        return
    file_rows = piece_rows * -(-count // _FILES)
    paths = [folder / f".pieces-{n:05d}.arrow" for n in range(-(-len(row_ids) // file_rows))]
    try:
        _strew(corpus, row_ids, file_rows, paths)
        for path in paths:
            with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as stream:
                table = stream.read_all()
            path.unlink()
            order = np.argsort(table[_PLACE].to_numpy())
            table = table.drop_columns([_PLACE])
            for start in range(0, len(order), piece_rows):
                yield table.take(pa.array(order[start : start + piece_rows])).combine_chunks()
    finally:
        for path in paths:
            path.unlink(missing_ok=True)


def _strew(corpus: Corpus, row_ids: NDArray[np.int64], file_rows: int, paths: list[Path]) -> None:
    """Write every row, with its place among `row_ids`, to the file of that place."""
    rising = np.argsort(row_ids, kind="stable")
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    writers: list[pa.RecordBatchStreamWriter] = []
    done = 0
    with ExitStack() as closing:
        for table in _gathered(corpus.rising(row_ids[rising])):
            places = rising[done : done + table.num_rows]
            done += table.num_rows
            table = table.append_column(_PLACE, pa.array(places))
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
