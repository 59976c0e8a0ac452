"""What is embedded of a row: what tells it from the others.

Of plain rows the prompt. Of a chat what the user said and what tools returned before the last
answer; the system prompt comes last, and only where no other row has the same: a long one at the
front would fill the encoder's window, and all vectors would be one. Where nothing is left, all
turns before the answer. A text is known by 128 bits of SHA-256, so equal digests are equal texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from hashlib import sha256
from itertools import chain, pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from smartx.corpus import Corpus
from smartx.corpus.ahead import one_ahead
from smartx.corpus.arrow_types import one_array
from smartx.corpus.duplicates import bytes_of

ALL_TURNS = "all"  # of EncoderSpec.turns: the prompt as it stands, for chats too
BLOCK_ROWS = 65_536  # texts held at a time
_ASKING = ("user", "tool", "function", "observation", "ipython")
_SYSTEM = ("system", "developer")
_ANSWER = "assistant"
_JOIN = "\n\n"
_TEXT = pa.large_string()


class Texts:
    """The texts of a corpus to embed, by row."""

    def __init__(
        self, corpus: Corpus, turns: str, own_system: NDArray[np.int64] | None = None
    ) -> None:
        """own_system: rising rows whose system prompt no other row has; None: look for them."""
        self._corpus, self._own_system = corpus, own_system
        self._chats = turns != ALL_TURNS and corpus.manifest.get("conversations") != 0

    @cached_property
    def own_system(self) -> NDArray[np.int64]:
        """Rising rows whose system prompt is embedded, since no other row has it."""
        if self._own_system is not None:
            return self._own_system
        return self._rows_with_own_system() if self._chats else np.empty(0, dtype=np.int64)

    def of(self, rows: NDArray[np.int64]) -> Iterator[pa.Array]:
        """The texts of rising rows (large_string), in several arrays."""
        columns = ("prompt", "messages") if self._chats else ("prompt",)
        start = 0
        for table in self._corpus.rising(rows, columns):
            own = rows[start : start + len(table)]
            start += len(table)
            texts = one_array(table.column("prompt")).cast(_TEXT)
            if self._chats:
                texts = self._told(texts, one_array(table.column("messages")), own)
            yield texts

    @cached_property
    def digests(self) -> NDArray[np.uint64]:
        """(n, 2) of every row's text."""
        return self.digests_of(None)

    def digests_of(self, rows: NDArray[np.int64] | None) -> NDArray[np.uint64]:
        """(n, 2) of the texts of rising rows, or of every row's (None)."""
        if rows is not None and "digests" in vars(self):
            return self.digests[rows]
        count = self._corpus.num_rows if rows is None else len(rows)
        found = np.empty((count, 2), dtype=np.uint64)
        start = 0
        blocks = (self.of(at if rows is None else rows[at]) for at in _blocks(count))
        for texts in one_ahead(chain.from_iterable(blocks)):
            found[start : start + len(texts)] = text_digests(texts)
            start += len(texts)
        return found

    def _told(self, prompts: pa.Array, chats: pa.Array, rows: NDArray[np.int64]) -> pa.Array:
        if chats.null_count == len(chats):
            return prompts
        asked = _said(chats, _ASKING)
        system = _said(chats, _SYSTEM)
        apart = pa.array(np.isin(rows, self.own_system, assume_unique=True))
        system = pc.if_else(apart, system, pa.scalar("", _TEXT))
        both = pc.binary_join_element_wise(asked, system, pa.scalar(_JOIN, _TEXT))
        texts = pc.if_else(_empty(system), asked, pc.if_else(_empty(asked), system, both))
        return pc.if_else(pc.or_(chats.is_null(), _empty(texts)), prompts, texts)

    def _rows_with_own_system(self) -> NDArray[np.int64]:
        rows, digests = [], []
        for block in _blocks(self._corpus.num_rows):
            start = int(block[0])
            for table in self._corpus.rising(block, ("messages",)):
                chats = one_array(table.column("messages"))
                if chats.null_count < len(chats):
                    system = _said(chats, _SYSTEM)
                    there = np.flatnonzero(~_flags(_empty(system)))
                    rows.append(there + start)
                    digests.append(text_digests(system.take(pa.array(there))))
                start += len(table)
        if not rows:
            return np.empty(0, dtype=np.int64)
        _, inverse, count = np.unique(
            np.concatenate(digests)[:, 0], return_inverse=True, return_counts=True
        )
        own: NDArray[np.int64] = np.concatenate(rows)[count[inverse] == 1]
        return own


def strings(texts: pa.Array) -> list[str]:
    """Python strings of a large_string array."""
    view, bounds = bytes_of(texts)
    return [str(view[a:b], "utf-8") for a, b in pairwise(bounds)]


def text_digests(texts: pa.Array) -> NDArray[np.uint64]:
    """(n, 2): the first 128 bits of SHA-256 of each text."""
    view, bounds = bytes_of(texts)
    digests = b"".join([sha256(view[a:b]).digest() for a, b in pairwise(bounds)])
    return np.frombuffer(digests, dtype="<u8").reshape(-1, 4)[:, :2].astype(np.uint64)


def _said(chats: pa.Array, speakers: Sequence[str]) -> pa.Array:
    """What these speakers said before the last answer, joined; "" where they said nothing."""
    sizes = pc.fill_null(pc.list_value_length(chats), 0).to_numpy(zero_copy_only=False)
    turns, chat = chats.flatten(), np.repeat(np.arange(len(chats)), sizes)
    roles, contents = turns.field("role"), turns.field("content").fill_null("")
    at = np.arange(len(turns))
    answers = np.flatnonzero(
        pc.equal(roles, _ANSWER).fill_null(False).to_numpy(zero_copy_only=False)
    )
    last = np.full(len(chats), -1, dtype=np.int64)
    np.maximum.at(last, chat[answers], answers)
    blank = pc.or_(pc.utf8_is_space(contents), _empty(contents))
    named = pa.array(speakers, pa.large_string())
    wanted = _flags(pc.is_in(roles, named)) & (at < last[chat]) & ~_flags(blank)
    counts = np.bincount(chat[wanted], minlength=len(chats))
    ends = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    said = pa.LargeListArray.from_arrays(pa.array(ends), contents.filter(pa.array(wanted)))
    return pc.binary_join(said, _JOIN).cast(_TEXT)


def _flags(array: pa.Array) -> NDArray[np.bool_]:
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype=np.bool_)


def _empty(texts: pa.Array) -> pa.Array:
    return pc.equal(pc.binary_length(texts), 0)


def _blocks(rows: int) -> Iterator[NDArray[np.int64]]:
    for start in range(0, rows, BLOCK_ROWS):
        yield np.arange(start, min(start + BLOCK_ROWS, rows), dtype=np.int64)
