"""Vectors found again by the text they are of: one folder an encoder, for all corpora of a run.

A part holds the vectors of some texts, in two files with a sidecar each: `part-00000.npy`, Q12
rows, and `part-00000.texts.npy`, (n, 5) uint64: digest of the text (2 words), digest of the vector
(2), whether the text was cut (1). Parts are only ever added, so every corpus of the run folder may
point into them. One that is damaged is taken away, and its texts are embedded again. Which texts
are a part is in a plan (`plan.py`); what is there of one that takes long, in scraps (`scraps.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from smartx.corpus.duplicates import repeats
from smartx.draws import VECTOR_DIGEST, draws
from smartx.embed.npy import open_npy, write_npy
from smartx.files import file_digest, own, storing, sweep
from smartx.store import FileEntry, Sidecar, key_of

STAGE = "vectors"
SCHEMA = 1  # raised when the same texts and encoder give other parts
SHARD_ROWS = 65_536  # of a file of vectors, at most
ENCODER_PLACES = 1 << 40  # of one encoder: places of the next one begin here
ENCODER_PARTS = ENCODER_PLACES // SHARD_ROWS
_PIECE = 1 << 21  # digests that are sorted at a time
_TEXT, _VECTOR, _CUT, _KNOWN = slice(0, 2), slice(2, 4), 4, slice(2, 5)
_Words: TypeAlias = NDArray[np.uint64]
Places: TypeAlias = NDArray[np.int64]


def number_of(name: str) -> int:
    """Of a file of vectors: part-00012.npy, q12-00012.npy."""
    return int(name.partition("-")[2][:5])


@dataclass(frozen=True)
class PartFile:
    """Where a part is, or will be; or rows of it from `first` on, a scrap. key: of the encoder."""

    folder: Path
    number: int
    key: str
    first: int | None = None

    @property
    def name(self) -> str:
        """For messages."""
        if self.first is None:
            return f"part-{self.number:05d}"
        return f"scrap-{self.number:05d}-{self.first:05d}"

    def commit(self, vectors: NDArray[np.int16], texts: _Words, cut: NDArray[np.bool_]) -> Part:
        """Write a part: whoever made it writes it, with this one protocol.

        vectors: (n, d).  texts: (n, 2) digests.
        """
        told = np.empty((len(vectors), 5), dtype=np.uint64)
        told[:, _TEXT], told[:, _VECTOR], told[:, _CUT] = texts, vector_digests(vectors), cut
        entry = self._texts().commit(len(told), partial(write_npy, told))
        made = self._vectors(entry).commit(len(vectors), partial(write_npy, vectors))
        return self.holding(made)

    def holding(self, vectors: FileEntry) -> Part:
        """The part, where its file of vectors has this entry."""
        return Part(self.folder / vectors.name, vectors, self._texts().part)

    def whole(self) -> Part | None:
        """The part, if both files are there and unharmed."""
        texts = self._texts().whole_part()
        vectors = self._vectors(texts).whole_part() if texts else None
        return self.holding(vectors) if vectors else None

    def withdraw(self) -> None:
        """Delete what is left of a part that is not whole.

        Raises OSError, and deletes nothing, where a file cannot be read: it may be whole.
        """
        sidecars = (self._texts(), self._vectors(None))
        paths = [path for sidecar in sidecars for path in (sidecar.path, sidecar.part)]
        there = [path for path in paths if path.is_file()]
        for path in there:
            file_digest(path)
        for path in there:
            path.unlink()

    def _texts(self) -> Sidecar:
        return Sidecar(self.folder / f"{self.name}.texts.npy", self.key)

    def _vectors(self, texts: FileEntry | None) -> Sidecar:
        """The key names the texts, so that two halves of different parts are not taken for one."""
        key = key_of(
            "part", SCHEMA, {}, {"encoder": self.key, "texts": texts.sha256 if texts else ""}
        )
        return Sidecar(self.folder / f"{self.name}.npy", key)


@dataclass(frozen=True)
class Part:
    """A whole part. vectors: the entry of its rows, at `path`.  told: what is known of them."""

    path: Path
    vectors: FileEntry
    told: Path

    def words(self, which: slice) -> _Words:
        """Columns of what is known of the rows."""
        words: _Words = open_npy(self.told).read(0, self.vectors.rows)[:, which].copy()
        return words

    @property
    def texts(self) -> _Words:
        """(n, 2) digests of the texts."""
        return self.words(_TEXT)

    @property
    def cut(self) -> NDArray[np.bool_]:
        """(n,) whether the texts were cut."""
        cut: NDArray[np.bool_] = self.words(slice(_CUT, None))[:, 0] != 0
        return cut


class Parts:
    """The whole parts of one encoder. The place of a vector is number of its part * 65,536 + row:
    it stays the same, whatever is added. Of several encoders that are given in a row, the place is
    number of the encoder * 2^40 + place among its parts.
    """

    def __init__(self, folder: Path, key: str) -> None:
        """Look only: what is not whole stays."""
        self.folder, self.key = folder, key
        numbers = {number_of(path.name) for path in folder.glob("part-[0-9][0-9][0-9][0-9][0-9].*")}
        files = {number: PartFile(folder, number, key) for number in sorted(numbers)}
        found = {number: file.whole() for number, file in files.items()}
        self.whole = {number: part for number, part in found.items() if part}
        self._broken = [file for number, file in files.items() if number not in self.whole]

    def begin(self) -> None:
        """Make the folder ours, and delete what is not whole. Raises StoreError."""
        own(self.folder, STAGE)
        with storing(self.folder):
            sweep(self.folder)
            for file in self._broken:
                file.withdraw()

    @property
    def dimensions(self) -> int:
        """Values of a vector."""
        return open_npy(next(iter(self.whole.values())).path).width

    def file(self, number: int) -> PartFile:
        """Where the part with this number is, or will be."""
        return PartFile(self.folder, number, self.key)

    def free(self) -> Iterator[int]:
        """Numbers of new parts: the lowest that are not taken."""
        return (number for number in count() if number not in self.whole)

    def add(self, file: PartFile, part: Part) -> None:
        """A part that was just made."""
        self.whole[file.number] = part

    def places_of(self, texts: _Words, *, without: Collection[int] = ()) -> Places:
        """Where the vector of each text is, or ~r where there is none and r is the first row with
        that text. texts: (n, 2) digests.  without: parts that are not looked at.
        """
        held = ((number, part) for number, part in self.whole.items() if number not in without)
        known = [(part.texts, number) for number, part in held]
        places = [number * SHARD_ROWS + np.arange(len(words)) for words, number in known]
        found = np.concatenate([np.empty(0, np.int64), *places])
        digests = np.concatenate([np.empty((0, 2), np.uint64), *(words for words, _ in known)])
        return places_among(texts, digests, found)

    def take(self, places: Places) -> NDArray[np.int16]:
        """(n, d) the vectors at these places, in this order. Raises OSError, ValueError."""
        numbers, inside = np.divmod(places, SHARD_ROWS)
        rows = np.empty((len(places), self.dimensions), dtype=np.int16)
        for number in np.unique(numbers).tolist():
            own = np.flatnonzero(numbers == number)
            rows[own] = open_npy(self.whole[number].path).take(inside[own])
        return rows


class Told:
    """What is known of each row's vector, by row. parts: those that hold any, by rising number of
    the encoder * 2^24 + number of the part.
    """

    def __init__(self, parts: dict[int, Part], places: Places) -> None:
        self.parts, self._places = parts, places
        self._words = np.concatenate([part.words(_KNOWN) for part in parts.values()])
        rows = [part.vectors.rows for part in parts.values()]
        self._numbers = np.array(list(parts), dtype=np.int64)
        self._before = np.cumsum(rows, dtype=np.int64) - rows

    def vector_digests(self, start: int, stop: int) -> _Words:
        """(stop - start, 2) of the vectors of rows start..stop-1."""
        digests: _Words = self._words[self._at(start, stop), :2]
        return digests

    def cut(self, start: int, stop: int) -> NDArray[np.bool_]:
        """(stop - start,) whether the texts of rows start..stop-1 were cut."""
        cut: NDArray[np.bool_] = self._words[self._at(start, stop), 2] != 0
        return cut

    def _at(self, start: int, stop: int) -> Places:
        number, row = np.divmod(self._places[start:stop], SHARD_ROWS)
        at: Places = self._before[np.searchsorted(self._numbers, number)] + row
        return at


def told_of(encoders: Sequence[Parts], places: Places) -> Told:
    """What is known of the vectors at these places among the parts of these encoders."""
    numbers = [divmod(n, ENCODER_PARTS) for n in np.unique(places // SHARD_ROWS).tolist()]
    held = {(e * ENCODER_PARTS + n): encoders[e].whole[n] for e, n in numbers}
    return Told(held, places)


def places_among(texts: _Words, known: _Words, places: Places) -> Places:
    """As `Parts.places_of`. known: (m, 2) digests of the texts that have a vector, at `places`."""
    found = np.empty(len(texts), dtype=np.int64)
    pieces = np.uint64(max(1, -(-(len(texts) + len(known)) // _PIECE)))
    for piece in range(int(pieces)):
        rows = np.flatnonzero(texts[:, 0] % pieces == piece)
        held = np.flatnonzero(known[:, 0] % pieces == piece)
        first = np.arange(len(held) + len(rows))
        again, origin = repeats(np.concatenate([known[held], texts[rows]]))
        first[again] = origin
        first = first[len(held) :]
        new = first >= len(held)
        found[rows[~new]] = places[held[first[~new]]]
        found[rows[new]] = ~rows[first[new] - len(held)]
    return found


def vector_digests(vectors: NDArray[np.int16]) -> _Words:
    """(n, 2): 128 bits that name each row, well mixed; not meant to withstand a forger.

    SHA-256 takes five times as long, and this is done for every vector of a corpus.
    """
    n, d = vectors.shape
    words = np.zeros((n, -(-d // 4) * 4), dtype="<i2")
    digests = np.empty((n, 2), dtype=np.uint64)
    if words.shape[1] == d and vectors.flags.c_contiguous:
        words = vectors.astype("<i2", copy=False)
    else:
        words[:, :d] = vectors
    values = words.view("<u8")
    width = values.shape[1]
    factors = (draws(0, VECTOR_DIGEST, 0, 4 * width) | np.uint64(1)).reshape(4, width)
    for start in range(0, n, 2_048):
        for word in range(2):
            mixed = values[start : start + 2_048] * factors[2 * word]
            mixed ^= mixed >> np.uint64(32)
            mixed *= factors[2 * word + 1]
            mixed.sum(axis=1, out=digests[start : start + 2_048, word])
    return digests
