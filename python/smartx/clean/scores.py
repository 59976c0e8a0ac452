"""Scores of a row that do not ask a model: coherence, readability, similarity.

Ziya2 (Gan et al. 2023, arXiv 2311.03301) tells data by these three attributes. Here each is a
measure of words alone, which costs a tenth of a millisecond a row.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from math import sqrt

from smartx.clean.texts import words_of

NAMES = ("coherence", "readability", "similarity")
_ENDS = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n+")
_EDGES = ".,;:!?'\"`()[]{}<>«»“”‘’*_#"
_CONTENT = 4  # characters from which a word has content, in place of a list for each language


def content_of(text: str) -> set[str]:
    """The words of a text that say what it is about: long ones, and signs that are words."""
    words = (word.strip(_EDGES) for word in words_of(text.lower()))
    return {word for word in words if len(word) >= _CONTENT or (word and not word.isascii())}


def coherence(text: str) -> float:
    """How many words each sentence shares with the one before: mean of |A and B| / sqrt(|A| |B|).

    NaN for a text with fewer than two sentences. Source: the overlap of content words of adjacent
    sentences of Coh-Metrix (Graesser et al. 2004), here as a cosine.
    """
    sentences = [found for found in map(content_of, _ENDS.split(text)) if found]
    pairs = [_cosine(*pair) for pair in pairwise(sentences)]
    return sum(pairs) / len(pairs) if pairs else float("nan")


def similarity(prompt: str, response: str) -> float:
    """The same between prompt and answer; NaN where one has no content."""
    both: Sequence[set[str]] = (content_of(prompt), content_of(response))
    return _cosine(*both) if all(both) else float("nan")


def readability(text: str) -> float:
    """LIX: words in a sentence and 100 times the part of words of more than six letters.

    Below 30 very easy, above 60 very hard; it is made for no single language. NaN without words.
    Source: Björnsson 1968, as textstat has it.
    """
    import textstat

    return float(textstat.lix(text)) if any(map(str.isalnum, text)) else float("nan")


def _cosine(first: set[str], second: set[str]) -> float:
    return len(first & second) / sqrt(len(first) * len(second))
