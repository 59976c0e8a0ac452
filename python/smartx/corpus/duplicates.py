"""Rows that say word for word what an earlier row says.

A row is known by 128 bits of BLAKE2b: nobody can make two texts that share them, so equal digests
are equal texts.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from itertools import pairwise

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from smartx.corpus.records import Records

_SIZE = 16
_BYTES = pa.large_binary()
_NO_ROWS = np.empty(0, dtype=np.int64)
_NO_DIGESTS = np.empty((0, 2), dtype=np.uint64)


def row_digests(prompt: pa.Array, response: pa.Array, messages: pa.Array) -> NDArray[np.uint64]:
    """(n, 2) of texts (large_string) and turns: of the turns if there are any, else of both texts.

    The same words as two texts and as turns are different rows.
    """
    view, bounds = bytes_of(_with_length_ahead(prompt, response))
    digests = [blake2b(view[a:b], digest_size=_SIZE).digest() for a, b in pairwise(bounds)]
    if messages.null_count < len(messages):
        for place, talk in enumerate(messages.to_pylist()):
            if talk is not None:
                state = blake2b(orjson.dumps(talk), digest_size=_SIZE, person=b"turns")
                digests[place] = state.digest()
    return np.frombuffer(b"".join(digests), dtype="<u8").reshape(-1, 2)


def repeats_in(
    records: Records, most: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """`repeats` of all rows, in parts that each rise: about `most` rows are held at a time."""
    pieces = np.uint64(max(1, -(-records.count // most)))
    for piece in range(int(pieces)):
        places, digests, held = [_NO_ROWS], [_NO_DIGESTS], 0
        for start, chunk in records.chunks():
            own = np.flatnonzero(chunk["digest"][:, 0] % pieces == piece)
            places.append(own + start)
            digests.append(chunk["digest"][own])
            held += len(own)
            if held < most and start + len(chunk) < records.count:
                continue
            place, digest = np.concatenate(places), np.concatenate(digests)
            again, first = repeats(digest)
            yield place[again], place[first]
            places, digests = [np.delete(place, again)], [np.delete(digest, again, axis=0)]
            held = len(places[0])


def repeats(digests: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which rows repeat an earlier one, rising, and the first row that each of them repeats.

    digests: (n, 2).  Returns two (k,) arrays.
    """
    high, low = digests[:, 0], digests[:, 1]
    order = np.argsort(high, kind="stable")
    same = high[order][1:] == high[order][:-1]
    near = order[np.append(same, False) | np.insert(same, 0, False)] if len(order) else order
    near = near[np.lexsort((near, low[near], high[near]))]
    again = np.zeros(len(near), dtype=np.bool_)
    again[1:] = (digests[near][1:] == digests[near][:-1]).all(axis=1)
    starts = np.flatnonzero(~again)
    first = near[np.repeat(starts, np.diff(np.append(starts, len(near))))]
    found, origin = near[again], first[again]
    rising = np.argsort(found)
    return found[rising].astype(np.int64), origin[rising].astype(np.int64)


def _with_length_ahead(prompt: pa.Array, response: pa.Array) -> pa.Array:
    """Both texts as one, the prompt's length (8 bytes) ahead: so "ab", "c" is not "a", "bc"."""
    rows = len(prompt)
    lengths = np.asarray(pc.binary_length(prompt), dtype="<i8")
    ends = np.arange(rows + 1, dtype=np.int64) * 8
    ahead = pa.Array.from_buffers(_BYTES, rows, [None, pa.py_buffer(ends), pa.py_buffer(lengths)])
    texts = (ahead, prompt.cast(_BYTES), response.cast(_BYTES), pa.scalar(b"", _BYTES))
    return pc.binary_join_element_wise(*texts)


def bytes_of(texts: pa.Array) -> tuple[memoryview, list[int]]:
    """The bytes of all texts, not copied, and where each starts and the last one ends."""
    _, offsets, data = texts.buffers()
    ends = np.frombuffer(offsets, dtype=np.int64)[texts.offset : texts.offset + len(texts) + 1]
    return memoryview(data if data is not None else b""), ends.tolist()
