"""Rows that an earlier row says already: word for word, in the same words, or nearly so.

Earlier is what comes first in the sources. Copies are looked for in all groups together.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smartx.clean.blocks import blocks_of
from smartx.clean.measuring import Measures
from smartx.clean.rules import Copies
from smartx.clean.signatures import Common, Signatures, grams_of, own_grams
from smartx.corpus import Corpus
from smartx.leave_out.words import STRICT, Hashes, Words, words_of
from smartx.progress import Progress, step

Ints = NDArray[np.int64]
_NUMBER = re.compile(r"\d+")
_BLOCK = 1 << 16  # pairs whose texts are held at a time


@dataclass(frozen=True, eq=False)
class Found:
    """Copies. rows: (k,) rising ids.  of: (k,) the row that each is a copy of."""

    rows: Ints
    of: Ints


def exact_copies(measures: Measures, rows: Ints) -> Found:
    """Rows with both texts of an earlier one, but for white space and the form of characters.

    rows: (k,) ids in the order of the sources; others are not looked at.
    """
    return _same([measures.column(name)[rows] for name in ("exact_high", "exact_low")], rows)


def copies_in_words(measures: Measures, rows: Ints) -> Found:
    """Rows with the answer of an earlier one, and its prompt but for case and ends of sentences."""
    return _same([measures.column(name)[rows] for name in ("words", "answer")], rows)


def near_copies(
    corpus: Corpus, signatures: Signatures, rows: Ints, asked: Copies, progress: Progress
) -> Found:
    """Rows of which n-grams say that they are nearly an earlier one.

    Of both rows at least `asked.near` of the n-grams that are no template's are common to them, of
    those of their answers, and of the words of their prompts; and they have the same numbers.
    """
    assert asked.near is not None
    pairs = _pairs(signatures, rows)
    common, alike = signatures.common(), []
    with step(progress, "near copies", len(pairs), "pairs") as advance:
        for start in range(0, len(pairs), _BLOCK):
            block = pairs[start : start + _BLOCK]
            kept = _alike(corpus, block, common, asked.gram, asked.near)
            alike.append(block[kept])
            advance(len(block))
    found = np.concatenate([np.empty((0, 2), np.int64), *alike])
    return _joined(found, rows)


def _same(keys: list[NDArray[np.uint64]], rows: Ints) -> Found:
    """Of rows with equal keys all but the first, in the order that they are given in."""
    order = np.lexsort((np.arange(len(rows)), *keys))
    again = np.zeros(len(rows), dtype=np.bool_)
    again[1:] = np.logical_and.reduce([key[order][1:] == key[order][:-1] for key in keys])
    starts = np.flatnonzero(~again)
    first = np.repeat(starts, np.diff(np.append(starts, len(rows))))
    copies, of = rows[order[again]], rows[order[first[again]]]
    rising = np.argsort(copies)
    return Found(copies[rising], of[rising])


def _pairs(signatures: Signatures, rows: Ints) -> Ints:
    """(k, 2) row ids, (earlier, later), that share a band, each pair once.

    Of rows that share one each is paired with the first, and with the one before it.
    """
    pairs = [np.empty((0, 2), np.int64)]
    for band in signatures.bands():
        own = band[rows]
        order = np.argsort(own, kind="stable")
        order = order[own[order] != 0]
        key = own[order]
        again = np.append(False, key[1:] == key[:-1])[: len(key)]
        starts = np.flatnonzero(~again)
        first = np.repeat(starts, np.diff(np.append(starts, len(key))))
        later = np.flatnonzero(again)
        for earlier in (first[later], later - 1):
            pairs.append(np.stack([order[earlier], order[later]], axis=1))
    found: Ints = rows[np.unique(np.concatenate(pairs), axis=0)]
    return found


def _alike(corpus: Corpus, pairs: Ints, common: Common, n: int, least: float) -> NDArray[np.bool_]:
    """Which pairs of rows are nearly the same."""
    wanted = np.unique(pairs)
    own: list[Hashes] = []
    answers: list[Hashes] = []
    prompts: list[Hashes] = []
    numbers: list[Counter[str]] = []
    for block in blocks_of(corpus, wanted):
        words = words_of(block.prompts, block.responses, STRICT)
        own += _split(*own_grams(words, common, n))
        asked, given = _sides(words)
        answers += _split(*grams_of(given, n))
        prompts += _split(*grams_of(asked, 1))
        texts = zip(block.prompts.to_pylist(), block.responses.to_pylist(), strict=True)
        numbers += [Counter(_NUMBER.findall("\n".join(both))) for both in texts]
    places = np.searchsorted(wanted, pairs).tolist()
    return np.array(
        [
            numbers[a] == numbers[b]
            and _jaccard(answers[a], answers[b]) >= least
            and _jaccard(own[a], own[b]) >= least
            and _jaccard(prompts[a], prompts[b]) >= least
            for a, b in places
        ],
        dtype=np.bool_,
    )


def _sides(words: Words) -> tuple[Words, Words]:
    """The words of the prompts alone, and of the responses."""
    begins = words.ends[:-1]
    asked = _cut(words.hashes, begins, words.asked)
    return asked, _cut(words.hashes, begins + words.asked, words.counts - words.asked)


def _cut(hashes: Hashes, begins: Ints, counts: Ints) -> Words:
    """Runs of words as texts without prompts."""
    ends = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    at = np.repeat(begins - ends[:-1], counts) + np.arange(ends[-1])
    return Words(hashes[at], ends, np.zeros(len(counts), np.int64))


def _split(hashes: Hashes, ends: Ints) -> list[Hashes]:
    return np.split(hashes, ends[1:-1])


def _jaccard(first: Hashes, second: Hashes) -> float:
    both = len(np.intersect1d(first, second, assume_unique=True))
    either = len(first) + len(second) - both
    return both / either if either else 1.0


def _joined(pairs: Ints, rows: Ints) -> Found:
    """Rows that pairs join are copies of the first of them."""
    place = dict(zip(rows.tolist(), range(len(rows)), strict=True)) if len(pairs) else {}
    root: dict[int, int] = {}

    def root_of(row: int) -> int:
        while (above := root.get(row, row)) != row:
            root[row] = root.get(above, above)
            row = above
        return row

    for one, other in pairs.tolist():
        low, high = sorted((root_of(one), root_of(other)), key=place.__getitem__)
        root[high] = low
    copies = sorted(row for row in root if root_of(row) != row)
    of = [root_of(row) for row in copies]
    return Found(np.array(copies, np.int64), np.array(of, np.int64))
