"""Rows that say word for word what an earlier row says.

A row is known by 128 bits of BLAKE2b: 16 bytes of memory, and nobody can make two texts that share
them, so equal digests are equal texts.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from itertools import pairwise

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

_SIZE = 16


def row_digests(prompt: pa.Array, response: pa.Array, messages: pa.Array) -> NDArray[np.uint64]:
    """(n, 2) of texts (large_string) and turns: of the turns if there are any, else of both texts.

    The same words as two texts and as turns are different rows.
    """
    digests = []
    pairs = zip(_bytes_of(prompt), _bytes_of(response), strict=True)
    talks = messages.null_count < len(messages)
    turns = messages.to_pylist() if talks else [None] * len(messages)
    for (asked, answered), talk in zip(pairs, turns, strict=True):
        if talk is None:
            state = blake2b(len(asked).to_bytes(8, "little"), digest_size=_SIZE)
            state.update(asked)
            state.update(answered)
        else:
            state = blake2b(orjson.dumps(talk), digest_size=_SIZE, person=b"turns")
        digests.append(state.digest())
    return np.frombuffer(b"".join(digests), dtype="<u8").reshape(-1, 2)


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


def _bytes_of(texts: pa.Array) -> Iterator[memoryview]:
    """The bytes of each text, not copied."""
    _, offsets, data = texts.buffers()
    ends = np.frombuffer(offsets, dtype=np.int64)[texts.offset : texts.offset + len(texts) + 1]
    view = memoryview(data if data is not None else b"")
    bounds = ends.tolist()
    return (view[a:b] for a, b in pairwise(bounds))
