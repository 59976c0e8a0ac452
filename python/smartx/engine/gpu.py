"""Exact nearest neighbours on a graphics card: the bits of the core, whatever the card.

Similarities are float32 products that come out exact (card.py), in tiles that fit into the card's
memory. A similarity and its column become one int64 key, so that the largest keys are the answer
and ties need no care. What a card answers is held against the core before and while it works.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartx import _core
from smartx.engine.card import Card, CardError
from smartx.engine.card_rows import CardRows, probe, probe_bytes

Neighbours = tuple[NDArray[np.int32], NDArray[np.int32]]  # items, similarities: (n, k), best first

_DOWN, _ACROSS = 4_096, 32_768  # rows and columns of a tile at most
_STEP = 32  # both are multiples of it
_CHUNK = 32  # columns of which only the best decides whether the others are looked at
_NOBODY = -float(1 << 25)  # below every similarity: a row with itself, and beyond the last one
_COLUMN = (1 << 32) - 1
_LEAST = -(1 << 63)
_CHECKED_FIRST, _CHECKED_BYTES = 8, 64 << 20  # rows of the first tiles that the core finds, too


@dataclass(frozen=True, slots=True)
class Tiles:
    """How rows are cut for a card: `down` rows meet `across` columns at a time; multiples of 32."""

    down: int
    across: int

    def halved(self) -> Tiles | None:
        """The next smaller ones; None where these are the least."""
        if max(self.down, self.across) == _STEP:
            return None
        if self.across >= self.down:
            return Tiles(self.down, rounded_up(self.across // 2))
        return Tiles(rounded_up(self.down // 2), self.across)

    def bytes(self, dimensions: int, k: int) -> int:
        """Memory of the card that a tile takes at most, besides the rows."""
        b, c = self.down, self.across
        operands = 8 * dimensions * (b + c)
        if _looks_at_chunks(c, k):
            sifting = 24 * b * (c // _CHUNK) + 40 * b * k * _CHUNK
        else:
            sifting = 32 * b * c
        return 4 * b * c + operands + max(sifting + 80 * b * k, probe_bytes(c))


def tiles_for(rows: int, dimensions: int, k: int, memory: int) -> Tiles | None:
    """The largest tiles that fit into so many bytes, of even sizes; None where none does."""
    tiles: Tiles | None = Tiles(_even(rows, _DOWN), _even(rows, _ACROSS))
    while tiles is not None and tiles.bytes(dimensions, k) > memory:
        tiles = tiles.halved()
    return tiles and Tiles(_even(rows, tiles.down), _even(rows, tiles.across))


def card_neighbours(
    card: Card,
    rows: NDArray[np.int16],
    k: int,
    *,
    threads: int = 1,
    memory: int | None = None,
) -> Neighbours:
    """`_core.neighbours` on a card: the k rows most similar to each row, itself excluded.

    rows: (n, d) int16 Q12, n >= 2.  k: 1..n - 1.  threads: of the core that checks the answers.
    memory: bytes of the card that may be used; None: nine tenths of what is free.
    Where the card runs out of memory, tiles are halved and the search goes on.
    Raises CardError where it has no room, fails, or gives other bits than the core.
    """
    try:
        room = card.room(memory)
        tiles = tiles_for(len(rows), rows.shape[1], k, room * 3 // 4)
        on_card = CardRows(card, rows, resident=2 * rows.size <= room // 4)
        search = _Search(rows, k, on_card, threads)
        with card.exact_products():
            while tiles is not None:
                if search.went_on(tiles):
                    return search.items, search.similarities
                card.give_back()
                tiles = tiles.halved()
    except (RuntimeError, AssertionError) as fault:  # torch's errors
        raise CardError(f"{card.described} failed: {str(fault).splitlines()[0]}") from fault
    finally:
        card.give_back()
    raise CardError(f"{card.described} has no room for {len(rows):,} rows")


class _Search:
    """Blocks of rows, one after the other, each with all columns. Blocks that are done stay done
    when tiles change.
    """

    def __init__(self, rows: NDArray[np.int16], k: int, on_card: CardRows, threads: int) -> None:
        self.items = np.empty((len(rows), k), dtype=np.int32)
        self.similarities = np.empty((len(rows), k), dtype=np.int32)
        self._rows, self._k, self._on_card, self._threads = rows, k, on_card, threads
        self._card, self._torch = on_card.card, on_card.card.torch
        self._done = 0

    def went_on(self, tiles: Tiles) -> bool:
        """Search to the end. False where memory was too small: then again with smaller tiles."""
        try:
            self._on_card.send()
            out = self._card.new((tiles.down, tiles.across), "float32")
            probe(self._card, out, self._rows.shape[1], self._threads)
            while self._done < len(self._rows):
                self._block(self._done, out)
                self._done = min(self._done + tiles.down, len(self._rows))
        except self._torch.cuda.OutOfMemoryError:
            self._on_card.out_of_memory()
            return False
        return True

    def _block(self, start: int, out: Any) -> None:
        """The neighbours of rows from `start` on, as many as a tile has."""
        torch, (down, across), n = self._torch, out.shape, len(self._rows)
        left = self._on_card.block(start, down)
        best = self._card.new((down, self._k), "int64").fill_(_LEAST)
        for column in range(0, n, across):
            self._card.multiply(left, self._on_card.block(column, across), out)
            _leave_out(out, start - column, n - column)
            keys = best_keys(torch, out, self._k) - column
            best = torch.topk(torch.cat([best, keys], 1), self._k, dim=1).values
        stop = min(start + down, n)
        found = best[: stop - start].cpu().numpy()
        self.items[start:stop] = _COLUMN - (found & _COLUMN)
        self.similarities[start:stop] = found >> 32
        self._check(start, stop)

    def _check(self, start: int, stop: int) -> None:
        """Some rows of a block as the core finds them: more of the first, one of the others."""
        some = checked_rows(start, stop, len(self._rows))
        items, similarities = neighbours_of_some(self._rows, some, self._k, self._threads)
        same = (self.items[some] == items) & (self.similarities[some] == similarities)
        if not same.all():
            row = int(some[np.argmin(same.all(axis=1))])
            raise CardError(f"{self._card.described} gives row {row} other neighbours than the CPU")


def checked_rows(start: int, stop: int, columns: int) -> NDArray[np.int64]:
    """Rows of a block that the core finds, too: more of the first block, one of the others."""
    most = 1 if start else min(_CHECKED_FIRST, _CHECKED_BYTES // (8 * columns))
    return np.unique(np.linspace(start, stop - 1, max(1, most)).astype(np.int64))


def best_keys(torch: Any, similarities: Any, k: int) -> Any:
    """(b, at most k) the keys of the k best columns of each row, best first; ties to the lower.

    similarities: (b, c) float32 of whole numbers, c a multiple of 32.
    Of the columns in chunks, only those of the k chunks of the best maxima, ties to the lower
    chunk, can be among them: each better chunk has a column that is better than all of this one.
    """
    b, c = similarities.shape
    columns = torch.arange(c, device=similarities.device)
    if not _looks_at_chunks(c, k):
        return torch.topk(_keys(similarities, columns), min(k, c), dim=1).values
    chunks = similarities.view(b, c // _CHUNK, _CHUNK)
    best = torch.topk(_keys(chunks.amax(2), columns[: c // _CHUNK]), k, dim=1, sorted=False).values
    number = (_COLUMN - (best & _COLUMN))[:, :, None]
    inside = chunks.gather(1, number.expand(-1, -1, _CHUNK))
    keys = _keys(inside, number * _CHUNK + columns[:_CHUNK])
    return torch.topk(keys.view(b, k * _CHUNK), k, dim=1).values


def _keys(similarities: Any, columns: Any) -> Any:
    """One number for (similarity, column): the larger, the better; ties go to the lower column."""
    return similarities.long() * (1 << 32) + (_COLUMN - columns)


def _looks_at_chunks(across: int, k: int) -> bool:
    return 2 * k * _CHUNK <= across


def _leave_out(out: Any, offset: int, real: int) -> None:
    """A row is no neighbour of itself, nor is what lies beyond the last column."""
    down, across = out.shape
    if -down < offset < across:
        out.diagonal(offset).fill_(_NOBODY)
    if real < across:
        out[:, max(real, 0) :] = _NOBODY


def neighbours_of_some(
    rows: NDArray[np.int16], some: NDArray[np.int64], k: int, threads: int
) -> Neighbours:
    """The k nearest of a few rows by the core's products and a sort: what a card is held to."""
    found = _core.similarities(rows[some], rows, threads=threads).astype(np.int64)
    keys = (found << 32) + (_COLUMN - np.arange(len(rows)))
    keys[np.arange(len(some)), some] = _LEAST
    best = -np.sort(-np.partition(keys, -k, axis=1)[:, -k:], axis=1)
    return (_COLUMN - (best & _COLUMN)).astype(np.int32), (best >> 32).astype(np.int32)


def _even(rows: int, most: int) -> int:
    """Blocks of at most `most` rows, all alike: as few as that allows, each as small."""
    blocks = -(-rows // most)
    return rounded_up(-(-rows // blocks))


def rounded_up(count: int) -> int:
    """To a multiple of 32, above 0."""
    return max(1, -(-count // _STEP)) * _STEP
