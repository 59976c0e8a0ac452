"""Texts -> vectors, in this process: texts of one length are encoded together."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartx.corpus import Corpus
from smartx.corpus.ahead import one_ahead
from smartx.embed.batches import batches
from smartx.embed.encoders import Encoder, Read
from smartx.embed.parts import Part
from smartx.embed.places import place_of
from smartx.embed.texts import Texts, strings
from smartx.embed.work import Advance, Sizes, Work
from smartx.engine.fixed_point import quantize
from smartx.errors import EncoderError, InputError


class EncodedParts:
    """Makes parts by encoding texts in this process."""

    def __init__(self, corpus: Corpus, encoder: Encoder, turns: str = "user") -> None:
        self._corpus, self._encoder, self._turns = corpus, encoder, turns
        self.made_by = dict(encoder.made_by)
        # A card leaves the processor free to read the next texts; a CPU has nothing to spare.
        self._ahead = self.made_by.get("device", "cpu") != "cpu"

    def make(
        self, work: Iterable[Work], sizes: Sizes, advance: Advance
    ) -> Iterator[tuple[Work, Part]]:
        """Part after part; one goes to disk while the next is encoded."""
        with ThreadPoolExecutor(1) as writer:
            written: tuple[Work, Future[Part]] | None = None
            began = time.perf_counter()
            for part, read in self.reads(work):
                made = self._vectors(part, read, advance)
                sizes.took(len(part.rows), time.perf_counter() - began)
                began = time.perf_counter()
                if written:
                    yield written[0], written[1].result()
                written = part, writer.submit(part.file.commit, *made)
            if written:
                yield written[0], written[1].result()

    def reads(self, work: Iterable[Work]) -> Iterator[tuple[Work, Read]]:
        """What is read of the texts of each part; with a card of one part ahead."""
        found = ((part, self._encoder.read(self._texts(part))) for part in work)
        return one_ahead(found) if self._ahead else found

    def part(self, work: Work, read: Read, advance: Advance) -> Part:
        """Encode and commit a part."""
        return work.file.commit(*self._vectors(work, read, advance))

    def _texts(self, work: Work) -> list[str]:
        arrays = Texts(self._corpus, self._turns, work.own_system).of(work.rows)
        return [text for array in arrays for text in strings(array)]

    def _vectors(
        self, work: Work, read: Read, advance: Advance
    ) -> tuple[NDArray[np.int16], NDArray[np.uint64], NDArray[np.bool_]]:
        """What a part holds; progress moves with what texts cost, not with the rows."""
        vectors: NDArray[np.int16] | None = None
        texts = len(read.texts)
        cost, done, told = int(read.lengths.sum()), 0, 0
        for batch, encoded in self._encoded(read.texts, read.lengths):
            own = self._quantized(encoded, work.rows[batch])
            if vectors is None:
                vectors = np.empty((texts, own.shape[1]), dtype=np.int16)
            vectors[batch] = own
            done += int(read.lengths[batch].sum())
            now = done * texts // cost
            advance(now - told)
            told = now
        assert vectors is not None  # a part has rows
        return vectors, work.digests, read.cut

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
