"""Rows on a graphics card, and the proof that their products come out exact there."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartx import _core
from smartx.draws import draws
from smartx.engine.card import Card, CardError
from smartx.engine.fixed_point import quantize

_PIECE = 32_768  # rows that are sent at a time
_PROBES = 256


class CardRows:
    """Q12 rows of which some at a time are float32 on a card.

    resident: all of them lie on the card, as int16; else each block is sent when it is asked for.
    """

    def __init__(self, card: Card, rows: NDArray[np.int16], *, resident: bool) -> None:
        self.card, self._rows, self._resident = card, rows, resident
        self._on_card: Any = None

    def send(self) -> None:
        """What is resident goes to the card, unless it is there."""
        if not self._resident or self._on_card is not None:
            return
        held = self.card.new(self._rows.shape, "int16")
        for start in range(0, len(self._rows), _PIECE):
            piece = self._rows[start : start + _PIECE].copy()  # it may be read-only
            held[start : start + len(piece)] = self.card.here(piece)
        self._on_card = held

    def out_of_memory(self) -> None:
        """The card had no room: where that was for the rows, they are no longer resident."""
        self._resident &= self._on_card is not None

    def block(self, start: int, count: int) -> Any:
        """(count, d) float32: rows from `start` on; zeros beyond the last one."""
        real = min(count, len(self._rows) - start)
        some = slice(start, start + real)
        block = self.card.new((count, self._rows.shape[1]), "float32")
        kept = self._on_card is not None
        block[:real] = self._on_card[some] if kept else self.card.here(self._rows[some].copy())
        block[real:] = 0
        return block


def probe(card: Card, out: Any, d: int, threads: int) -> None:
    """Raise CardError unless products of rows that show any rounding come out exact.

    out: the tile, (down, across) float32 on the card, which is written over.

    Entries of usual rows have 8 bits, which TF32 and bfloat16 hold; those of the probe have up to
    12, of both signs, and their products up to 24. All of a tile is looked at, because its shape
    chooses the card's program.
    """
    torch, probes = card.torch, probe_rows(d)
    wanted = _core.similarities(probes, probes, threads=threads).astype(np.float32)
    expected, held = card.here(wanted), card.here(probes).float()
    down, across = (torch.arange(size, device=card.name) % _PROBES for size in out.shape)
    card.multiply(held[down], held[across], out)
    for start in range(0, len(out), _PROBES):
        some = slice(start, start + _PROBES)
        if not torch.equal(out[some], expected[down[some]][:, across]):
            raise CardError(f"products on {card.described} are not exact")


def probe_bytes(across: int) -> int:
    """Memory of the card that the probe of a tile takes, besides the tile and its operands."""
    return 6 * min(_PROBES, across) * across


def probe_rows(d: int) -> NDArray[np.int16]:
    """(256, d) Q12 rows of 1 to d entries that are not 0, so of large entries and small ones."""
    drawn = draws(0, 0, 0, _PROBES * d).reshape(_PROBES, d)
    values = (drawn >> np.uint64(40)).astype(np.float64) - float(1 << 23)
    row, column = np.arange(_PROBES)[:, None], np.arange(d)[None, :]
    spread = 1 << (row % (1 + d.bit_length()))  # every how many columns there is an entry
    kept = (column % spread == row % np.minimum(spread, d)) & (values != 0)
    kept[np.arange(_PROBES), np.arange(_PROBES) % d] |= ~kept.any(axis=1)
    return quantize(np.where(kept, values + (values == 0), 0.0))
