"""Texts as hashed words, so that two of them can be compared in part, quickly.

Case, white space and the form of characters (NFKC) never count. Two ways to cut texts into words:
PROSE knows letters and digits only, as those do who look for n-grams (GPT-3, Tulu 3); STRICT leaves
out only marks of punctuation, so that "3 + 4" is not "3 * 4". What lies outside of ASCII is cut
alike in both: a symbol (an emoji) is a word, and so is every character of a script that is written
without spaces.

Words are known by 64-bit hashes that are the same on every machine. Equal hashes are taken for
equal words: of a million evaluation n-grams and ten billion of a corpus about one in two thousand
runs sees a pair that is none.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

_TEXT = pa.large_string()
_BREAK = "\n"  # between a prompt and its response: ends a word
_PUNCTUATION = ".,;:!?'\"`"
_LOWER = bytes(range(256)).lower()
_HALF = np.uint64(32)
_LENGTH = np.uint64(0x9E3779B97F4A7C15)
_BYTES = np.uint64(0xD6E8FEB86659FD93)
_BASE = 0x2545F4914F6CDD1D  # odd, so that it has an inverse modulo 2^64
# Scripts that put no spaces between words: Thai to Tibetan, Myanmar, Khmer, kana, ideographs.
_UNSPACED = (
    *((0x0E00, 0x0FFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF), (0x3400, 0x4DBF)),
    *((0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF)),
)


@dataclass(frozen=True)
class Cut:
    """A way to cut texts into words. inside: (256,) bytes, 1 where a byte is part of a word."""

    inside: bytes


PROSE = Cut(bytes(chr(c).isalnum() if c < 128 else True for c in range(256)))
STRICT = Cut(
    bytes(c > 32 and c != 127 and chr(c) not in _PUNCTUATION for c in range(128)) + b"\1" * 128
)


@dataclass(frozen=True, eq=False)
class Words:
    """The words of some texts, one after another.

    hashes: (w,) of each word.  ends: (n + 1,) int64, text i has the words ends[i]..ends[i + 1] - 1.
    asked: (n,) int64, how many of these are of its prompt; they come first.
    """

    hashes: Hashes
    ends: NDArray[np.int64]
    asked: NDArray[np.int64]

    @classmethod
    def joined(cls, parts: Sequence[Words]) -> Words:
        """The texts of all parts, one behind the other."""
        counts = np.concatenate([np.empty(0, np.int64), *(part.counts for part in parts)])
        hashes = np.concatenate([np.empty(0, np.uint64), *(part.hashes for part in parts)])
        asked = np.concatenate([np.empty(0, np.int64), *(part.asked for part in parts)])
        return cls(hashes, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), asked)

    def take(self, texts: NDArray[np.int64]) -> Words:
        """Some of the texts, in this order."""
        counts = self.counts[texts]
        ends = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        at = np.repeat(self.ends[:-1][texts] - ends[:-1], counts) + np.arange(ends[-1])
        return Words(self.hashes[at], ends, self.asked[texts])

    @property
    def counts(self) -> NDArray[np.int64]:
        """(n,) words of each text."""
        return np.diff(self.ends)

    def texts(self) -> Hashes:
        """(n, 2): a hash of each prompt, and of each prompt with its response; 0 without words."""
        sums = _sums(self.hashes)
        start = self.ends[:-1]
        stops = np.stack([start + self.asked, self.ends[1:]], axis=1)
        found: Hashes = (sums[stops] - sums[start][:, None]) * _powers(len(sums)).back[start][
            :, None
        ]
        counts = stops - start[:, None]
        return np.where(counts > 0, _mixed(found ^ counts.astype(np.uint64)), np.uint64(0))

    def grams(self, n: int) -> tuple[Hashes, NDArray[np.int64]]:
        """Hashes of the runs of n words inside each text, and where each begins among the words."""
        last = self.ends[1:] - n  # where the last run of each text begins
        counts = np.maximum(last - self.ends[:-1] + 1, 0)
        before = np.cumsum(counts) - counts
        places = np.arange(int(counts.sum())) + np.repeat(self.ends[:-1] - before, counts)
        sums = _sums(self.hashes)
        hashes: Hashes = (sums[places + n] - sums[places]) * _powers(len(sums)).back[places]
        return hashes, places


def words_of(prompts: pa.Array, responses: pa.Array, cut: Cut) -> Words:
    """The words of prompts and, behind them, of their responses. Both (large_string) without nulls.

    They have to be `plain`.
    """
    texts = pc.binary_join_element_wise(prompts, responses, pa.scalar(_BREAK, _TEXT))
    _, offsets, data = texts.buffers()
    bounds = np.frombuffer(offsets, dtype=np.int64)[texts.offset : texts.offset + len(texts) + 1]
    own = bytes(memoryview(data)[bounds[0] : bounds[-1]]) if data is not None else b""
    bounds = bounds - bounds[0]
    starts, stops = _runs(np.frombuffer(own.translate(cut.inside), np.bool_), bounds)
    ends = np.searchsorted(starts, bounds).astype(np.int64)
    asked = bounds[:-1] + np.asarray(pc.binary_length(prompts), dtype=np.int64)
    asked = np.searchsorted(starts, asked).astype(np.int64) - ends[:-1]
    return Words(_hashed(own.translate(_LOWER), starts, stops), ends, asked)


def plain(texts: pa.Array) -> pa.Array:
    """Texts in which all but ASCII letters is lower case and in its usual form, words apart."""
    ascii_only = pc.string_is_ascii(texts)
    if pc.all(ascii_only).as_py() is not False:
        return texts
    others = pc.invert(ascii_only)
    written = [_written(text) for text in texts.filter(others).to_pylist()]
    return pc.replace_with_mask(texts, others, pa.array(written, _TEXT))


class _Characters(dict[int, str | int]):
    """What is written for a character outside of ASCII, worked out when it is first met."""

    def __missing__(self, code: int) -> str | int:
        sign = chr(code)
        kind = unicodedata.category(sign)
        written: str | int = code
        if kind[0] in "ZCP":
            written = " "
        elif kind[0] == "S" or any(low <= code <= high for low, high in _UNSPACED):
            written = f" {sign} "
        self[code] = written
        return written


_CHARACTERS = _Characters()
_OTHERS = re.compile(r"[^\x00-\x7f]+")


def _written(text: str) -> str:
    text = unicodedata.normalize("NFKC", text).casefold()
    return _OTHERS.sub(lambda found: found[0].translate(_CHARACTERS), text)


def _runs(
    inside: NDArray[np.bool_], bounds: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where words start and stop: runs of `inside` that no bound of a text cuts through."""
    starts, stops = inside.copy(), inside.copy()
    starts[1:] &= ~inside[:-1]
    stops[:-1] &= ~inside[1:]
    first = bounds[(bounds > 0) & (bounds < len(inside))]
    starts[first] |= inside[first]
    stops[first - 1] |= inside[first - 1]
    return np.flatnonzero(starts), np.flatnonzero(stops) + 1


def _hashed(text: bytes, starts: NDArray[np.int64], stops: NDArray[np.int64]) -> Hashes:
    """(w,) hashes of the bytes starts[i]..stops[i] - 1, eight at a time."""
    room = np.frombuffer(text + b"\0" * 8, np.uint8)
    eights = np.ndarray((len(text) + 1,), dtype="<u8", buffer=room, strides=(1,))
    lengths = stops - starts
    hashes: Hashes = lengths.astype(np.uint64) * _LENGTH
    left, at, more = lengths, starts, np.arange(len(starts))
    while len(more):
        unused = np.maximum(8 - left, 0).astype(np.uint64) * np.uint64(8)
        read = (eights[at] << unused) >> unused
        own = (hashes[more] ^ read) * _BYTES
        hashes[more] = own ^ (own >> _HALF)
        go_on = left > 8
        left, at, more = left[go_on] - 8, at[go_on] + 8, more[go_on]
    return _mixed(hashes)


def _mixed(values: Hashes) -> Hashes:
    """Every bit of a value decides every bit of what it becomes (the end of SplitMix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Hashes = values ^ (values >> np.uint64(31))
    return mixed


def _sums(hashes: Hashes) -> Hashes:
    """(w + 1,) sums of the first words, word i times BASE^i: a run of words is a difference."""
    sums = np.zeros(len(hashes) + 1, dtype=np.uint64)
    np.cumsum(hashes * _powers(len(hashes)).on[: len(hashes)], out=sums[1:])
    return sums


class _Powers:
    """on: BASE^i.  back: BASE^-i; both modulo 2^64."""

    def __init__(self, count: int) -> None:
        self.on, self.back = (
            np.multiply.accumulate(np.array([1, *[base] * count], dtype=np.uint64))
            for base in (_BASE, pow(_BASE, -1, 1 << 64))
        )


_known = _Powers(1 << 10)


def _powers(count: int) -> _Powers:
    """Powers 0 .. count at least."""
    global _known
    if len(_known.on) <= count:
        _known = _Powers(max(count, 2 * len(_known.on)))
    return _known
