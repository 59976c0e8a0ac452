"""How much two texts overlap: the longest sequence of words that both have in order (ROUGE-L)."""

from __future__ import annotations

import re
from collections.abc import Sequence

_WORD = re.compile(r"\w+")


def words_of(text: str) -> tuple[str, ...]:
    """Its words in lower case."""
    return tuple(_WORD.findall(text.lower()))


def longest_common(one: Sequence[str], other: Sequence[str]) -> int:
    """The length of the longest common subsequence.

    Bits stand for places in `one`; a row of the usual table is one sum of whole numbers.
    Source: Hyyro (2004), Bit-parallel LCS-length computation revisited.
    """
    places: dict[str, int] = {}
    for place, word in enumerate(one):
        places[word] = places.get(word, 0) | (1 << place)
    everywhere = (1 << len(one)) - 1
    row = everywhere
    for word in other:
        met = row & places.get(word, 0)
        row = ((row + met) | (row - met)) & everywhere
    return len(one) - row.bit_count()


def overlaps(one: Sequence[str], other: Sequence[str], threshold: float) -> bool:
    """Whether ROUGE-L's F1 of two texts, as words, is above a threshold."""
    total = len(one) + len(other)
    if not one or not other or 2 * min(len(one), len(other)) <= threshold * total:
        return False
    return 2 * longest_common(one, other) > threshold * total
