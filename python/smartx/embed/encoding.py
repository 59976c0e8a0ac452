"""Texts -> vectors, in this process: a part in pieces, texts of one length together."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartx.corpus import Corpus
from smartx.corpus.ahead import one_ahead
from smartx.embed.batches import batches
from smartx.embed.encoders import Encoder, Read
from smartx.embed.parts import Part, PartFile
from smartx.embed.places import place_of
from smartx.embed.scraps import delete_scraps, scrap_of, scraps_of
from smartx.embed.texts import Texts, strings
from smartx.embed.work import KEPT_SECONDS, Advance, Sizes, Work
from smartx.engine.fixed_point import quantize
from smartx.errors import EncoderError, InputError

NOTHING = Read([], np.empty(0, np.int64), np.empty(0, np.bool_))


class Making:
    """A part while it is made: which of its rows are there, and what of them is kept on disk."""

    def __init__(self, work: Work) -> None:
        """Takes up the scraps of whoever began it."""
        self.work = work
        self._vectors: NDArray[np.int16] | None = None
        self._cut = np.zeros(len(work.rows), dtype=np.bool_)
        self._there = np.zeros(len(work.rows), dtype=np.bool_)
        for first, vectors, texts, cut in scraps_of(work.file):
            rows = np.arange(first, first + len(vectors))
            if np.array_equal(work.digests[first : first + len(rows)], texts):
                self.put(rows, vectors)
                self._cut[rows] = cut
        self.found = int(self._there.sum())
        self._kept_from: int | None = None
        self._seconds = 0.0

    @property
    def missing(self) -> NDArray[np.int64]:
        """Rows of the part that are yet to be encoded, rising."""
        return np.flatnonzero(~self._there)

    def put(self, rows: NDArray[np.int64], vectors: NDArray[np.int16]) -> None:
        """Vectors of some rows of the part."""
        if self._vectors is None:
            shape = (len(self._there), vectors.shape[1])
            self._vectors = np.empty(shape, dtype=np.int16)
        self._vectors[rows] = vectors
        self._there[rows] = True

    def did(self, rows: NDArray[np.int64], cut: NDArray[np.bool_], seconds: float) -> None:
        """A piece is done, and it took so long. Keeps what is too much to lose."""
        self._cut[rows] = cut
        self._seconds += seconds
        first = int(rows[0]) if self._kept_from is None else self._kept_from
        self._kept_from = first
        if self._seconds >= KEPT_SECONDS and not self._there.all():
            self._commit(scrap_of(self.work.file, first), slice(first, int(rows[-1]) + 1))
            self._kept_from, self._seconds = None, 0.0

    def commit(self) -> Part:
        """Write the part, which is whole."""
        part = self._commit(self.work.file, slice(None))
        delete_scraps(self.work.file)
        return part

    def _commit(self, file: PartFile, own: slice) -> Part:
        assert self._vectors is not None  # a part has rows
        return file.commit(self._vectors[own], self.work.digests[own], self._cut[own])


@dataclass(frozen=True, eq=False)
class _Piece:
    """Some rows of a part, rising, and what is read of their texts in so many seconds."""

    part: Making
    rows: NDArray[np.int64]
    read: Read
    seconds: float


class EncodedParts:
    """Makes parts by encoding texts in this process."""

    def __init__(self, corpus: Corpus, encoder: Encoder, turns: str = "user") -> None:
        self._corpus, self._encoder, self._turns = corpus, encoder, turns
        self.made_by = dict(encoder.made_by)
        self._sizes = Sizes()
        # A card leaves the processor free to read the next texts; a CPU has nothing to spare.
        self._ahead = self.made_by.get("device", "cpu") != "cpu"

    def make(self, parts: Iterable[Work], advance: Advance) -> Iterator[tuple[Work, Part]]:
        """Part after part; one goes to disk while the next is encoded."""
        with ThreadPoolExecutor(1) as writer:
            written: tuple[Work, Future[Part]] | None = None
            for made in self.encoded(parts, advance):
                if written:
                    yield written[0], written[1].result()
                written = made.work, writer.submit(made.commit)
            if written:
                yield written[0], written[1].result()

    def encoded(self, parts: Iterable[Work], advance: Advance) -> Iterator[Making]:
        """Each part when all its vectors are there; it is for the caller to commit it."""
        pieces = self._pieces(parts)
        for piece in one_ahead(pieces) if self._ahead else pieces:
            part, began = piece.part, time.perf_counter()
            if part.found:
                advance(part.found)
                part.found = 0
            if len(piece.rows):
                self._encode(piece, advance)
                took = time.perf_counter() - began
                took = max(took, piece.seconds) if self._ahead else took + piece.seconds
                self._sizes.took(len(piece.rows), took)
                part.did(piece.rows, piece.read.cut, took)
            if not len(part.missing):
                yield part

    def _pieces(self, parts: Iterable[Work]) -> Iterator[_Piece]:
        """The texts of each part, read, a piece after the other; with a card one piece ahead."""
        for work in parts:
            part, start = Making(work), 0
            rows = part.missing
            while start < len(rows) or not start:
                own = rows[start : start + self._sizes.of(max(1, len(rows) - start))]
                began = time.perf_counter()
                read = self._encoder.read(self._texts(work, own)) if len(own) else NOTHING
                yield _Piece(part, own, read, time.perf_counter() - began)
                start += max(1, len(own))

    def _texts(self, work: Work, own: NDArray[np.int64]) -> list[str]:
        rows = work.rows[own]
        arrays = Texts(self._corpus, self._turns, work.own_system).of(rows)
        return [text for array in arrays for text in strings(array)]

    def _encode(self, piece: _Piece, advance: Advance) -> None:
        """Progress moves with what texts cost, not with the rows."""
        read, rows = piece.read, piece.part.work.rows[piece.rows]
        cost, done, told = int(read.lengths.sum()), 0, 0
        for batch, encoded in self._encoded(read.texts, read.lengths):
            piece.part.put(piece.rows[batch], self._quantized(encoded, rows[batch]))
            done += int(read.lengths[batch].sum())
            now = done * len(rows) // cost
            advance(now - told)
            told = now

    def _encoded(
        self, texts: list[Any], lengths: NDArray[np.int64]
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Each batch of rows with its vectors, in a fixed order."""
        encoder = self._encoder
        made = list(batches(lengths, encoder.batch_tokens, encoder.batch_rows))

        def encode(batch: NDArray[np.int64]) -> NDArray[np.float32]:
            return encoder.encode([texts[row] for row in batch.tolist()], int(lengths[batch[0]]))

        if encoder.workers == 1:
            yield from zip(made, map(encode, made), strict=True)
            return
        with ThreadPoolExecutor(encoder.workers) as pool:
            yield from zip(made, pool.map(encode, made), strict=True)

    def _quantized(self, encoded: NDArray[Any], rows: NDArray[np.int64]) -> NDArray[np.int16]:
        if encoded.ndim != 2 or len(encoded) != len(rows):
            raise EncoderError(
                f"it gave {encoded.shape} for {len(rows)} texts; (texts, d) is needed"
            )
        if encoded.dtype == np.int16:
            return encoded  # Q12 rows already
        try:
            return quantize(encoded.astype(np.float32, copy=False))
        except InputError:
            with np.errstate(all="ignore"):
                size = np.abs(encoded).max(axis=1)
            bad = int(np.argmax(~(np.isfinite(size) & (size > 0))))
            kind = "zero" if size[bad] == 0 else "not finite"
            row = int(rows[bad])
            raise EncoderError(
                f"the encoder's vector of row {row} is {kind}",
                place=place_of(self._corpus, row),
                fix="use `dtype` float32, or leave the row out",
            ) from None
