"""Do ready vectors stand in the order of the rows? Nothing in an array says which row is which; but
whatever the encoder, vectors are more alike where texts have words in common. In another order they
are so no more often than by chance, and that is seen on a few rows.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartx.corpus import Corpus, Groups
from smartx.draws import ORDER_CHECK, draws_at
from smartx.embed.texts import Texts, strings

UNITS, FEW, MANY = 48, 64, 256  # groups that are looked at, at most; rows of each of many, of few
LEAST = 24  # rows of a group that say anything
ENOUGH = 48  # rows of a source that say anything
# Standard deviations above chance of a source as a whole, and of one of its groups on average, from
# which its vectors are in order. MiniLM's have 20 a group of 64 rows on T0, and 12 on BIG-bench.
WHOLE, EACH = 4.0, 1.5
SLIPPED = 0.9  # of that, by which vectors of other rows may follow the texts
SHIFTS = (-3, -2, -1, 1, 2, 3)  # rows by which vectors may have slipped
_SHUFFLES = 99
_READ = 2_000  # characters of a text
# A word, or a character of a script that writes none.
_WORD = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff]|[^\W_]+")
_Rows = NDArray[np.int64]
_Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Sample:
    """Rows that are looked at, rising, and the unit of each: they are compared within it."""

    rows: _Rows
    unit: _Rows


def sample_of(groups: Groups) -> Sample:
    """Rows that follow one another in up to 48 groups, or where groups are small in whole sources:
    what is in the wrong order inside a task, or has slipped by a row, is to be seen as well.
    """
    sources = np.unique(np.array(groups.source), return_inverse=True)[1]
    large = np.flatnonzero(groups.rows >= LEAST)
    if 2 * int(groups.rows[large].sum()) < int(groups.rows.sum()):  # most rows are in small ones
        starts = np.flatnonzero(np.diff(sources, prepend=-1))
        sizes = np.add.reduceat(groups.rows, starts) if len(starts) else groups.rows
        spans = zip(groups.start[starts].tolist(), sizes.tolist(), strict=True)
    else:
        spans = zip(groups.start[large].tolist(), groups.rows[large].tolist(), strict=True)
    large_ones = [span for span in spans if span[1] >= LEAST]
    chosen = [large_ones[i] for i in _strewn(len(large_ones), UNITS).tolist()]
    most = max(FEW, min(MANY, UNITS * FEW // max(1, len(chosen))))
    middles = [start + max(0, size - most) // 2 for start, size in chosen]
    taken = [min(size, most) for _, size in chosen]
    rows = [
        np.arange(start, start + size, dtype=np.int64)
        for start, size in zip(middles, taken, strict=True)
    ]
    unit = np.repeat(np.arange(len(rows)), [len(own) for own in rows])
    return Sample(np.concatenate([np.empty(0, np.int64), *rows]), unit.astype(np.int64))


def order_facts(
    corpus: Corpus, sample: Sample, vectors: NDArray[np.int16]
) -> dict[str, dict[str, Any]]:
    """Of every source with enough rows in a sample: `rows`, `groups`, and by how many standard
    deviations their vectors follow their texts more than in a random order: `above_chance`; and
    `slipped` by some rows, at most. vectors: of the sample's rows.
    """
    texts = [t for part in Texts(corpus, "user").of(sample.rows) for t in strings(part)]
    of = np.array(corpus.groups.source)[corpus.groups.of_rows(sample.rows)]
    found: dict[str, list[tuple[int, float, list[float]]]] = {}
    for unit in range(int(sample.unit.max(initial=-1)) + 1):
        once = {texts[row]: row for row in np.flatnonzero(sample.unit == unit)[::-1].tolist()}
        own = sorted(once.values())  # the first row of each text
        scores = above_chance(_alike([texts[row] for row in own]), _cosines(vectors[own]), unit)
        if scores:
            found.setdefault(str(of[own[0]]), []).append((len(own), scores[0], scores[1:]))
    return {
        source: {
            "rows": sum(rows for rows, _, _ in units),
            "groups": len(units),
            "above_chance": _together([score for _, score, _ in units]),
            "slipped": max(
                _together([shifted[turn] for _, _, shifted in units]) for turn in range(len(SHIFTS))
            ),
        }
        for source, units in sorted(found.items())
        if sum(rows for rows, _, _ in units) >= ENOUGH
    }


def out_of_order(facts: dict[str, dict[str, Any]]) -> list[str]:
    """The sources whose vectors do not follow their texts, or as well if they are shifted."""
    return [
        source
        for source, told in facts.items()
        if told["above_chance"] < max(WHOLE, EACH * math.sqrt(told["groups"]))
        or told["slipped"] > SLIPPED * told["above_chance"]
    ]


def _together(scores: list[float]) -> float:
    """Of several groups."""
    return round(math.fsum(scores) / math.sqrt(len(scores)), 1)


def above_chance(texts: _Floats, vectors: _Floats, number: int) -> list[float]:
    """How many standard deviations the agreement of two similarities, (m, m) without diagonal, is
    above that of the same rows in random orders (Mantel's test): as they are, and with the vectors
    shifted by each of SHIFTS. Nothing where one of the two says nothing.

    number: of the unit, for the draws.
    """
    own, other = _centred(texts), _centred(vectors)
    if not own.any() or not other.any():
        return []
    m, chance = len(own), []
    for turn in range(_SHUFFLES):
        places = np.arange(m, dtype=np.uint64) + np.uint64(m * (turn + _SHUFFLES * number))
        order = np.argsort(draws_at(0, ORDER_CHECK, places), kind="stable")
        chance.append(_agreement(own, other, order))
    middle = math.fsum(chance) / len(chance)
    spread = math.sqrt(math.fsum((x - middle) ** 2 for x in chance) / (len(chance) - 1))
    if not spread > 0:
        return []
    turned = [np.roll(np.arange(m), -shift) for shift in (0, *SHIFTS)]
    return [(_agreement(own, other, order) - middle) / spread for order in turned]


def _agreement(own: _Floats, other: _Floats, order: _Rows) -> float:
    return float((own * other[np.ix_(order, order)]).sum())


def _strewn(size: int, most: int) -> _Rows:
    """Up to so many of 0..size-1, evenly."""
    count = min(size, most)
    return (np.arange(count, dtype=np.int64) * size) // max(1, count)


def _alike(texts: list[str]) -> _Floats:
    """(m, m) cosines of the texts as sets of words, a rare word counting more."""
    words = [set(_WORD.findall(text[:_READ].lower())) for text in texts]
    held = Counter(word for own in words for word in own)
    shared = sorted(word for word, count in held.items() if 1 < count < len(texts))
    place = {word: column for column, word in enumerate(shared)}
    table = np.zeros((len(texts), len(place)))
    for row, own in enumerate(words):
        known = [place[word] for word in own if word in place]
        table[row, known] = 1.0
    table *= np.sqrt(np.log(len(texts) / np.maximum(table.sum(axis=0), 1.0)))
    rows = _unit(table)
    return np.asarray(rows @ rows.T)


def _cosines(vectors: NDArray[np.int16]) -> _Floats:
    """(m, m) cosines of vectors without what all have in common."""
    rows = vectors.astype(np.float64)
    rows = _unit(rows - rows.mean(axis=0))
    return np.asarray(rows @ rows.T)


def _unit(rows: _Floats) -> _Floats:
    lengths = np.sqrt((rows * rows).sum(axis=1, keepdims=True))
    return np.asarray(rows / np.where(lengths > 0, lengths, 1.0))


def _centred(similarities: _Floats) -> _Floats:
    """Without the means of rows and columns, and without the diagonal."""
    off = similarities.copy()
    np.fill_diagonal(off, 0.0)
    means = off.sum(axis=1) / max(1, len(off) - 1)
    off += means.mean() - means[:, None] - means[None, :]
    np.fill_diagonal(off, 0.0)
    return np.asarray(off)
