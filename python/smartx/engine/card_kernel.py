"""The dense 16-bit kernel made on a graphics card: the bits of the core (cpp/src/kernel.cpp)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartx import _core
from smartx.engine.card import Card, CardError
from smartx.engine.card_rows import CardRows, probe, probe_bytes
from smartx.engine.gpu import checked_rows, rounded_up

_DOWN, _ACROSS = 1_024, 16_384
_ALIGNED = 64


def card_kernel(
    card: Card,
    rows: NDArray[np.int16],
    items: NDArray[np.int32] | None = None,
    *,
    threads: int = 1,
    memory: int | None = None,
) -> NDArray[np.uint16]:
    """Similarities of some rows with all, in 16 bits: (max(0, s) + 128) >> 8, at most 65535.

    rows: (n, d) int16 Q12.  items: (m,) rows, ascending; None: all of them.
    threads: of the core that checks the answers.  memory: bytes of the card; None: nine tenths of
    what is free.
    Returns (m, n up to a multiple of 32) uint16, zeros beyond column n.
    Raises CardError where the card has no room, fails, or gives other bits than the core.
    """
    which = np.arange(len(rows), dtype=np.int32) if items is None else items
    kernel = _aligned(len(which), rounded_up(len(rows)))
    try:
        room = card.room(memory)
        down = min(_DOWN, rounded_up(len(which)))
        on_card = CardRows(card, rows, resident=2 * rows.size <= room // 4)
        with card.exact_products():
            while down:
                down = _fitting(down, len(rows), rows.shape[1], room * 3 // 4)
                if down and _filled(kernel, rows, which, on_card, down, threads):
                    return kernel
                card.give_back()
                down = down // 2 // 32 * 32
    except (RuntimeError, AssertionError) as fault:  # torch's errors
        raise CardError(f"{card.described} failed: {str(fault).splitlines()[0]}") from fault
    finally:
        card.give_back()
    raise CardError(f"{card.described} has no room for a kernel of {len(rows):,} columns")


def _fitting(down: int, rows: int, dimensions: int, memory: int) -> int:
    """At most so many rows at a time, of which a block fits into so many bytes; 0: not even 32."""
    across = min(_ACROSS, rounded_up(rows))
    of_a_row = 2 * rounded_up(rows) + 12 * across + 8 * dimensions
    most = (memory - 8 * dimensions * across - probe_bytes(across)) // of_a_row
    return max(0, min(down, most // 32 * 32))


def _filled(
    kernel: NDArray[np.uint16],
    rows: NDArray[np.int16],
    which: NDArray[np.int32],
    on_card: CardRows,
    down: int,
    threads: int,
) -> bool:
    """Whether memory was enough. A block is some rows with all columns, which lie together."""
    card, torch = on_card.card, on_card.card.torch
    across = min(_ACROSS, kernel.shape[1])
    try:
        on_card.send()
        out = card.new((down, across), "float32")
        probe(card, out, rows.shape[1], threads)
        block = card.new((down, kernel.shape[1]), "int16")
        for start in range(0, len(which), down):
            stop = min(start + down, len(which))
            left = card.new((down, rows.shape[1]), "float32").zero_()
            left[: stop - start] = card.here(rows[which[start:stop]])
            for column in range(0, len(rows), across):
                card.multiply(left, on_card.block(column, across), out)
                width = min(across, kernel.shape[1] - column)
                block[:, column : column + width] = in_16_bits(torch, out)[:, :width]
            host = torch.from_numpy(kernel.view(np.int16)[start:stop])
            host.copy_(block[: stop - start])
            _check(card, kernel, rows, which, slice(start, stop), threads)
    except torch.cuda.OutOfMemoryError:
        on_card.out_of_memory()
        return False
    return True


def in_16_bits(torch: Any, similarities: Any) -> Any:
    """Float32 similarities as int16 of the bits of the core's uint16; they are written over.

    Exact in float32: what is above 2^24 + 127 is rounded, and becomes 65535 either way.
    """
    values = similarities.add_(128).mul_(1 / 256).floor_().clamp_(0, 65535)
    return values.to(torch.int32).to(torch.int16)


def _check(
    card: Card,
    kernel: NDArray[np.uint16],
    rows: NDArray[np.int16],
    which: NDArray[np.int32],
    block: slice,
    threads: int,
) -> None:
    """Raise CardError where some rows of a block are not those of the core."""
    some = checked_rows(block.start, block.stop, len(rows))
    found = _core.similarities(rows[which[some]], rows, threads=threads)
    wanted = np.minimum((np.maximum(found, 0) + 128) >> 8, 65535)
    if not np.array_equal(kernel[some, : len(rows)], wanted):
        raise CardError(f"{card.described} gives other similarities than the CPU")


def _aligned(rows: int, stride: int) -> NDArray[np.uint16]:
    """(rows, stride) of anything, at the start of a line of the cache."""
    held = np.empty(2 * rows * stride + _ALIGNED, dtype=np.uint8)
    start = -held.ctypes.data % _ALIGNED
    return held[start : start + 2 * rows * stride].view(np.uint16).reshape(rows, stride)
