"""What ranking the units of a corpus will take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smartx.costs import BASE_BYTES, StagePlan
from smartx.engine import (
    GRAPH_NEIGHBOURS,
    NOMINAL,
    Speed,
    made_up_rows,
    measured_products,
    near_duplicate_bytes,
    near_duplicate_seconds,
    seconds_of,
)
from smartx.engine.on_card import card_speed
from smartx.needs import VECTORS
from smartx.rankers.pool import pool_of
from smartx.rankers.ranker import Ranker
from smartx.rankers.rankings import PART_ROWS
from smartx.rankers.run import bundle_rows
from smartx.rankers.submodular import SubmodularRanker

ROW_BYTES = 20  # on disk,
NEAR_ROW_BYTES = 16  # and of a near duplicate beside that
SIZE_CLASSES = (50, 500, 4_096, 46_336, 1 << 62)
_TABLE_BYTES = 120  # of a row, while its part is put together
_SAMPLE_SECONDS = 0.4
_SAMPLE_ROWS = 4_096
_SMALL_ROWS = 4_096  # groups up to so many are compared side by side, a thread each
_PARTS = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1_024)
_LEAST_PART = 1_024  # rows of a part that anybody is advised to have
Sizes = NDArray[np.int64]


@dataclass(frozen=True)
class SizeClass:
    """Units of like size: how many, their rows, the engine that ranks them, and how long."""

    largest: int
    groups: int
    rows: int
    engine: str
    seconds: float


def rank_cost(
    sizes: Sizes,
    ranker: Ranker,
    dimensions: int,
    folder: Path,
    *,
    threads: int,
    memory: int,
    compared: Sizes | None,
    done: bool,
    measure: bool,
) -> tuple[tuple[SizeClass, ...], StagePlan]:
    """The classes of units and the stage.

    sizes: (u,) rows of each unit that is ranked by itself.  memory: that may be used.
    compared: rows of each part that is looked through for near duplicates; None: none is.
    done: the ranking is there.
    measure: time this machine instead of taking nominal speeds.
    A unit is not compared for near duplicates while it is ranked, so the larger memory counts.
    """
    d, rows = dimensions, int(sizes.sum())
    nominal = Speed(NOMINAL.products * threads, NOMINAL.greedy * threads)
    speed = nominal
    if measure and not done:
        speed = measured_speed(ranker, d, threads)
        if ranker.engine(int(sizes.max())).startswith("graph"):
            card = card_speed(int(sizes.max()), d, GRAPH_NEIGHBOURS, threads)
            speed = replace(speed, card=card)
    seconds = ranker.seconds(sizes, d, speed)
    classes = tuple(_classes(sizes, seconds, ranker))
    if done:
        return classes, StagePlan("rank", folder, 0.0, BASE_BYTES, 0, done=True)
    took, disk = float(seconds.sum()) + 2e-7 * rows, ROW_BYTES * rows
    if compared is not None:
        products = measured_products(d, threads) if measure else nominal.products
        took += float(near_duplicate_seconds(compared, d, products).sum())
        disk += NEAR_ROW_BYTES * rows
    held = partial(_bytes, sizes, d=d, threads=threads, memory=memory, compared=compared)
    peak = held(ranker)
    less = "" if peak <= memory else _in_parts(int(sizes.max()), ranker, held, memory)
    return classes, StagePlan("rank", folder, took, peak, disk, less=less)


def _bytes(
    sizes: Sizes, ranker: Ranker, *, d: int, threads: int, memory: int, compared: Sizes | None
) -> int:
    """Peak memory of the stage."""
    rows, peak = int(sizes.sum()), ranker.memory(sizes, d, threads)
    read = bool(ranker.reads) or compared is not None
    together = max(map(ranker.held_rows, np.unique(sizes).tolist()))
    if compared is not None:
        together = max(int(sizes.max()), int(compared.max()))
        peak = max(peak, _near_bytes(compared, d, threads))
    held = 4 * d * max(together, min(bundle_rows(d, memory), rows)) if read else 0
    return peak + BASE_BYTES + _TABLE_BYTES * PART_ROWS + held


def _in_parts(largest: int, ranker: Ranker, held: Callable[[Ranker], int], memory: int) -> str:
    """How to rank groups in parts that fit, for people; nothing where none do."""
    if not isinstance(ranker, SubmodularRanker):
        return ""
    for parts in _PARTS:
        smaller = replace(ranker, part_rows=max(_LEAST_PART, -(-largest // parts)))
        if smaller.part_rows and smaller.parts(largest) > 1 and held(smaller) <= memory:
            return (
                f"rank large groups in parts, such as `ranker` {ranker.name}:part_rows="
                f"{smaller.part_rows} (the largest, of {largest:,} rows, in "
                f"{smaller.parts(largest)}), which is another ranking too"
            )
    return ""


def measured_speed(ranker: Ranker, dimensions: int, threads: int) -> Speed:
    """How fast this machine ranks, from about a second of work on made-up rows."""
    d, free = dimensions, float("inf")
    nominal = Speed(NOMINAL.products * threads, NOMINAL.greedy * threads)
    if not set(ranker.reads) <= {VECTORS}:  # nothing is made up for the others
        return nominal
    products = measured_products(d, threads) if ranker.needs else NOMINAL.products
    size = 256
    while size < _SAMPLE_ROWS and _greedy(ranker, [size * 2], d) < _SAMPLE_SECONDS:
        size *= 2
    rows = np.concatenate([made_up_rows(size, d)] * threads)
    sizes = np.full(threads, size, dtype=np.int64)
    pool = pool_of(sizes, {VECTORS.key: rows})
    took = seconds_of(lambda: ranker.rank(pool, threads=threads))
    took -= float(ranker.seconds(sizes, d, Speed(products, free)).sum())
    return Speed(products, max(_greedy(ranker, sizes, d) / max(took, 1e-6), 0.01))


def _greedy(ranker: Ranker, sizes: Sizes | list[int], d: int) -> float:
    """Nominal seconds of all but the products of row pairs."""
    speed = Speed(products=float("inf"), greedy=NOMINAL.greedy)
    return float(ranker.seconds(np.asarray(sizes, dtype=np.int64), d, speed).sum())


def _near_bytes(sizes: Sizes, d: int, threads: int) -> int:
    """Peak memory of looking for near duplicates: in the largest group, or small ones at once."""
    small = int(sizes[sizes <= _SMALL_ROWS].max(initial=1))
    return max(near_duplicate_bytes(int(sizes.max()), d), threads * near_duplicate_bytes(small, d))


def _classes(sizes: Sizes, seconds: NDArray[np.float64], ranker: Ranker) -> Iterator[SizeClass]:
    """Units by size class, cut further where the engine changes."""
    known = np.unique(sizes).tolist()
    engines = [ranker.engine(size) for size in known]
    changes = zip(known, engines, engines[1:], strict=False)
    low = 0
    for high in sorted({*SIZE_CLASSES, *(size for size, own, next_ in changes if own != next_)}):
        inside = (sizes > low) & (sizes <= high)
        low = high
        if inside.any():
            largest = int(sizes[inside].max())
            yield SizeClass(
                largest,
                int(inside.sum()),
                int(sizes[inside].sum()),
                ranker.engine(largest),
                float(seconds[inside].sum()),
            )
