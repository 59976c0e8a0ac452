"""What a cluster of texts is called: its most typical words.

A word is typical of a cluster by the odds that a text there has it, against the odds in all other
texts: the logarithm of their ratio, with a prior, divided by its standard deviation.
Source: Monroe, Colaresi and Quinn, 2008 (Fightin' Words), with texts that have a word for counts.
It is the same for every language; words that all texts have are typical of none. Of words that are
typical of several clusters each counts for less, by log(1 + clusters / those that share it).
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

READ = 2_000  # characters of a text that are looked at
NAMED_BY = 3  # words of a name
KEPT = 12  # words of a cluster that are kept,
_LOOKED_AT = 30  # of those that are the most odd
_LONGEST = 24  # characters of a word
_PRIOR_TEXTS = 10.0  # that have each word as often as all texts have it
_LEAST = 0.5  # of a text, in every prior: a word that no other cluster has is not infinitely odd
_LIFT = 1.5  # times as often as elsewhere: at least so often a typical word comes
_GRID = 1e-6  # of scores: what a machine's logarithm says in the last bits decides nothing
_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # Han and kana


def words_of(text: str) -> set[str]:
    """The words of a text, in lower case. Where words are not spaced, pairs of characters."""
    text = text[:READ]
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return set(_split(text.casefold()))


def _split(text: str) -> Iterator[str]:
    for run in _runs().findall(text):
        if run.isascii() or not _unspaced().search(run):
            if 2 <= len(run) <= _LONGEST and not run.isdecimal():
                yield run
            continue
        for part in _unspaced().findall(run):
            yield from (part[i : i + 2] for i in range(len(part) - 1))


@cache
def _runs() -> re.Pattern[str]:
    """Letters and digits, and the signs that some scripts write above or below letters."""
    marks = "".join(
        char for char in map(chr, range(0x300, 0x2000)) if unicodedata.category(char)[0] == "M"
    )
    return re.compile(rf"[^\W_](?:[^\W_]|[{marks}])*")


@cache
def _unspaced() -> re.Pattern[str]:
    return re.compile(f"[{_UNSPACED}]+")


class WordCounts:
    """In how many texts of each cluster a word stands."""

    def __init__(self, clusters: int) -> None:
        self.words = [Counter[str]() for _ in range(clusters)]
        self.texts = np.zeros(clusters, dtype=np.int64)

    def add(self, clusters: Iterable[int], texts: Iterable[str]) -> None:
        """More texts, each with the cluster that it is in."""
        for cluster, text in zip(clusters, texts, strict=True):
            self.words[cluster].update(words_of(text))
            self.texts[cluster] += 1

    def typical(self, without: frozenset[str] = frozenset()) -> list[list[str]]:
        """The words of each cluster, most typical first, at most KEPT. Ties by code point.

        without: words that say nothing; they are taken where a cluster has no others.
        """
        everywhere: Counter[str] = Counter()
        for counts in self.words:
            everywhere.update(counts)
        odd = [self._odd(cluster, everywhere, without) for cluster in range(len(self.words))]
        shared = Counter(word for words in odd for word in words)
        weight = {word: math.log1p(len(odd) / often) for word, often in shared.items()}
        return [_best({word: words[word] * weight[word] for word in words}) for words in odd]

    def _odd(
        self, cluster: int, everywhere: Counter[str], without: frozenset[str]
    ) -> dict[str, float]:
        """The words of a cluster that are the most odd, with their scores."""
        counts = self.words[cluster]
        often = 2 if self.texts[cluster] >= 4 else 1
        words = [word for word, here in counts.items() if here >= often] or list(counts)
        if not words:
            return {}
        here = np.array([counts[word] for word in words], dtype=np.float64)
        total = np.array([everywhere[word] for word in words], dtype=np.float64)
        score, lift = _odds(here, total, int(self.texts[cluster]), int(self.texts.sum()))
        scores, lifts = dict(zip(words, score, strict=True)), dict(zip(words, lift, strict=True))
        rest = [word for word in words if word not in without] or words
        clear = [word for word in rest if lifts[word] >= _LIFT] or rest
        best = _best({word: scores[word] for word in clear}, _LOOKED_AT)
        return {word: scores[word] for word in best}


def _best(scores: dict[str, float], most: int = KEPT) -> list[str]:
    """The words with the highest scores, highest first, ties by code point."""
    return sorted(scores, key=lambda word: (-round(scores[word] / _GRID), word))[:most]


def _odds(
    here: NDArray[np.float64], total: NDArray[np.float64], texts: int, all_texts: int
) -> tuple[list[float], list[float]]:
    """(score, lift) of words. here, total: texts with each, in the cluster and in all."""
    prior = _LEAST + _PRIOR_TEXTS * total / all_texts
    whole = _PRIOR_TEXTS + 2 * _LEAST
    elsewhere, others = total - here, all_texts - texts
    ratio = (here + prior) / (texts + whole - here - prior)
    usual = (elsewhere + prior) / (others + whole - elsewhere - prior)
    deviation = np.sqrt(1.0 / (here + prior) + 1.0 / (elsewhere + prior))
    score = np.log(ratio / usual) / deviation
    lift = (here / max(1, texts)) / np.maximum(elsewhere / max(1, others), 1e-12)
    return score.tolist(), lift.tolist()


def names_of(words: Sequence[Sequence[str]], rows: Sequence[int]) -> list[str]:
    """A name for each cluster, all different: its first words, joined by "-".

    words: of each cluster, most typical first.  rows: the larger one has the first choice.
    Of words that begin alike (question, questions) a name has one. What has no words is called
    after its number.
    """
    names = [""] * len(words)
    taken: set[str] = set()
    for cluster in sorted(range(len(words)), key=lambda c: (-rows[c], c)):
        name = next((n for n in _choices(words[cluster], cluster) if n not in taken), "")
        taken.add(name)
        names[cluster] = name
    return names


def _choices(words: Sequence[str], cluster: int) -> Iterator[str]:
    """Names, the best first; there is no end to them."""
    different: list[str] = []
    for word in words:
        if not any(_alike(word, other) for other in different):
            different.append(word)
    first, last = different[: NAMED_BY - 1], different[NAMED_BY - 1 :]
    for word in last:
        yield "-".join([*first, word])
    if not last and first:
        yield "-".join(first)
    begin = "-".join(different[:NAMED_BY]) or "cluster"
    number = 2 if different else cluster + 1
    while True:
        yield f"{begin}-{number}"
        number += 1


def _alike(one: str, other: str) -> bool:
    short, long = sorted((one, other), key=len)
    return long.startswith(short) and len(long) - len(short) <= 3
