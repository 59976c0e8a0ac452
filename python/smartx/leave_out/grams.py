"""Rows that hold much of what an evaluation row says, word for word.

An evaluation row is known by its n-grams: the runs of n words of its prompt. Those that stand in
many evaluation rows are what its task always says (an instruction, examples ahead of the question),
and do not count; the others are its own. The score of a corpus row is the part of the words under
the evaluation row's own n-grams that lies under those of them that the corpus row holds too,
anywhere in its prompt and response. A prompt of less than n words is one run, which has to be there
as a whole; one of very few words is only ever found by equality.

Source: 13-grams, and that what collides often says nothing: GPT-3 (Brown et al. 2020, appendix C).
The part of the words that is covered, at least half: Tulu 3 (Lambert et al. 2024, section 3.2).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smartx.leave_out.words import Hashes, Words

_FILTER_BITS = (16, 27)  # least and most of the table that says what may be an n-gram
_SPARSE = 4  # places of that table for each n-gram, in bits
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Hits:
    """Pairs of a corpus row and an evaluation text. rows, texts: (k,).  scores: (k,) float64."""

    rows: Ints
    texts: Ints
    scores: NDArray[np.float64]


class GramIndex:
    """The own n-grams of evaluation texts, to be met by blocks of a corpus.

    without: how many texts have words enough and no n-gram of their own.  short: how many have too
    few words.
    """

    def __init__(self, texts: Words, *, n: int, least: int, common: int, share: float) -> None:
        """texts: all different.  n: words of an n-gram.  least: a text of less words is not looked
        for.  common: an n-gram in more texts than this is nobody's own.  share: least score of a
        hit, above 0.
        """
        self._share = share
        counts = texts.counts
        lengths = np.where(counts >= n, n, np.where(counts >= min(least, n), counts, 0))
        self.short = int((lengths == 0).sum())
        self._under = np.zeros(len(counts), dtype=np.int64)
        self._tables = []
        for length in np.unique(lengths[lengths > 0]).tolist():
            own = np.flatnonzero(lengths == length)
            table = _Table.of(texts.take(own), own, length, common)
            key = table.texts  # postings are sorted by n-gram: by text for once
            by_text = np.lexsort((table.places, key))
            for text, covered in _covered(key[by_text], table.places[by_text], length):
                self._under[text] = covered
            self._tables.append(table)
        self.without = int((self._under[lengths > 0] == 0).sum())

    def hits(self, block: Words) -> Hits:
        """Every pair whose score is at least the share, by (row, text)."""
        found = [Hits(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))]
        for table in self._tables:
            pairs, places = table.met(block, len(self._under))
            for pair, covered in _covered(pairs, places, table.length):
                row, text = np.divmod(pair, len(self._under))
                scores = covered / self._under[text]
                enough = scores >= self._share
                found.append(Hits(row[enough], text[enough], scores[enough]))
        rows, texts, scores = (
            np.concatenate([getattr(one, name) for one in found])
            for name in ("rows", "texts", "scores")
        )
        order = np.lexsort((texts, rows))
        return Hits(rows[order], texts[order], scores[order])


@dataclass(frozen=True, eq=False)
class _Table:
    """The own n-grams of one length, rising, and where they stand.

    hashes: (h,) rising.  ends: (h + 1,), n-gram i stands at texts[j], places[j] for j of
    ends[i]..ends[i + 1] - 1.  shift, maybe: maybe[hash >> shift] is false for most that are none.
    """

    length: int
    hashes: Hashes
    ends: Ints
    texts: Ints
    places: Ints
    shift: np.uint64
    maybe: NDArray[np.bool_]

    @classmethod
    def of(cls, words: Words, names: Ints, length: int, common: int) -> _Table:
        """Of all texts of `words`, the i-th of which is called names[i]."""
        hashes, at = words.grams(length)
        text = np.searchsorted(words.ends, at, side="right") - 1
        order = np.lexsort((at, hashes))  # by n-gram, and in each by text and place
        hashes, at, text = hashes[order], at[order], text[order]
        new = np.append(True, hashes[1:] != hashes[:-1])[: len(hashes)]
        first = new | np.append(True, text[1:] != text[:-1])[: len(hashes)]
        own = np.add.reduceat(first, np.flatnonzero(new)) <= common if len(hashes) else new
        kept = np.repeat(own, np.diff(np.append(np.flatnonzero(new), len(hashes))))
        hashes, at, text, new = hashes[kept], at[kept], text[kept], new[kept]
        starts = np.flatnonzero(new)
        low, high = _FILTER_BITS
        bits = min(max(len(starts).bit_length() + _SPARSE, low), high)
        shift = np.uint64(64 - bits)
        maybe = np.zeros(1 << bits, dtype=np.bool_)
        maybe[hashes >> shift] = True
        places = at - words.ends[text]
        ends = np.append(starts, len(hashes))
        return cls(length, hashes[starts], ends, names[text], places, shift, maybe)

    def met(self, block: Words, texts: int) -> tuple[Ints, Ints]:
        """What rows of the block hold: row * texts + text, and the place in the text, by both."""
        hashes, at = block.grams(self.length)
        seen = np.flatnonzero(self.maybe[hashes >> self.shift])
        hashes, at = hashes[seen], at[seen]
        gram = np.searchsorted(self.hashes, hashes)
        gram[gram == len(self.hashes)] = 0
        there = self.hashes[gram] == hashes if len(self.hashes) else np.zeros(0, np.bool_)
        row = np.searchsorted(block.ends, at[there], side="right") - 1
        row, gram = np.divmod(
            np.unique(row * len(self.hashes) + gram[there]), max(1, len(self.hashes))
        )
        counts = self.ends[gram + 1] - self.ends[gram]
        before = np.cumsum(counts) - counts
        posting = np.arange(int(counts.sum())) + np.repeat(self.ends[gram] - before, counts)
        pairs = np.repeat(row, counts) * texts + self.texts[posting]
        order = np.lexsort((self.places[posting], pairs))
        return pairs[order], self.places[posting][order]


def _covered(keys: Ints, places: Ints, length: int) -> Iterator[tuple[Ints, Ints]]:
    """How many words lie under n-grams at these places, by key. keys: rising, places in each too.

    Yields the keys and their counts, once, where there is any key.
    """
    if not len(keys):
        return
    last = np.append(keys[1:] != keys[:-1], True)
    steps = np.append(places[1:] - places[:-1], 0)
    under = np.where(last, length, np.minimum(steps, length))
    starts = np.flatnonzero(np.append(True, last[:-1]))
    yield keys[starts], np.add.reduceat(under, starts)
