"""How fast this machine is, from short trials."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from smartx import _core
from smartx.engine.card import Card
from smartx.engine.card_kernel import in_16_bits
from smartx.engine.cost import CardSpeed
from smartx.engine.fixed_point import quantize
from smartx.engine.gpu import best_keys, tiles_for

_CARD_ROWS = 16_384


def measured_products(dimensions: int, threads: int) -> float:
    """How many multiply-adds of row pairs this machine does a second."""
    rows = made_up_rows(min(3_000, 3_000_000 // dimensions), dimensions)
    pairs = len(rows) ** 2 * dimensions / 2
    return pairs / min(seconds_of(lambda: _core.min_similarity(rows, "", threads)) for _ in "ab")


def measured_card(card: Card, dimensions: int, k: int, most: int = _CARD_ROWS) -> CardSpeed:
    """How fast a card finds k neighbours, from tiles of made-up numbers; its start does not count.

    most: rows that the tile is cut from.
    Raises RuntimeError (torch's) where the card fails, ValueError where it has no room.
    """
    torch = card.torch
    tiles = tiles_for(most, dimensions, k, card.free_bytes() // 2)
    if tiles is None:
        raise ValueError(f"there is no room on {card.described}")
    host = torch.zeros((tiles.across, dimensions), dtype=torch.int16)
    there = host.to(card.name)

    def best_of_three(work: Callable[[], object]) -> float:
        def whole() -> None:
            work()
            card.wait()

        whole()
        return max(1e-9, min(seconds_of(whole) for _ in "abc"))

    with card.exact_products():
        moved = best_of_three(lambda: host.to(card.name)) + best_of_three(there.cpu)
        right = torch.rand((tiles.across, dimensions), device=card.name)
        left = right[: tiles.down].clone()
        out = torch.empty((tiles.down, tiles.across), device=card.name)
        multiplied = best_of_three(lambda: card.multiply(left, right, out))
        sifted = best_of_three(lambda: best_keys(torch, out, min(k, tiles.across)))
        narrowed = best_of_three(lambda: in_16_bits(torch, out))
    pairs = tiles.down * tiles.across
    return CardSpeed(
        products=pairs * dimensions / multiplied,
        sifted=pairs / sifted,
        narrowed=pairs / narrowed,
        transfer=4 * host.numel() / moved,
        start=0.0,
    )


def made_up_rows(count: int, dimensions: int) -> NDArray[np.int16]:
    """Q12 rows around centres, as those of real tasks are."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(max(2, math.isqrt(count)), dimensions)).astype(np.float32)
    noise = rng.standard_normal((count, dimensions), dtype=np.float32)
    return quantize(centres[rng.integers(0, len(centres), count)] + 0.7 * noise)


def seconds_of(work: Callable[[], object]) -> float:
    """How long it takes by the clock."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
