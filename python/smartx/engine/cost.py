"""What it costs to rank a group: one model for scheduling, for the plan and for refusing.

Times are products of row pairs (the similarities, in blocks) and greedy work (nanoseconds on one
thread of the machine of docs/performance.md); a Speed says how another machine compares.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smartx.engine.memory import (
    DENSE_BYTES,
    GRAPH_NEIGHBOURS,
    dense_head,
    kernel_bytes,
    neighbour_bytes,
)
from smartx.engine.objectives import FacilityLocation, GraphCut, Objective

_GROUP_NS = 3_000.0  # of any group, however small
_DENSE_NS = 1.3  # greedy over a dense kernel, per pair of rows
_CUT_NS = 0.040  # graph cut over rows, per rows^1.4 and values of a row^1.4
_LOG_DET_NS = 0.18  # log-det over rows, per rows^1.5 and values of a row^1.45
_EDGE_NS = 120.0  # greedy over a neighbour graph, its head included, per edge
_FILTER_NS = 0.2  # exact search, per pair of rows, beside the products
_EDGE_BYTES = 20  # of the graph, its transpose and greedy over it
_TURN_BYTES = 80  # of a row, where templates take turns
_BUFFER_BYTES = 3 << 20  # of the engines over rows, however few these are
_FRESH_ROWS = 4_096  # rows that are compared with each other at a time (near_duplicates.cpp),
_FRESH_BYTES = 2 << 20  # and who is near whom among them


@dataclass(frozen=True, slots=True)
class Speed:
    """products: multiply-adds of row pairs a second.  greedy: 2.0 is twice the nominal speed.
    card: of the graphics card that may find the neighbours of large groups; None: there is none.
    """

    products: float
    greedy: float
    card: CardSpeed | None = None


@dataclass(frozen=True, slots=True)
class CardSpeed:
    """How fast a graphics card finds neighbours and fills kernels.

    products: multiply-adds of row pairs a second.  sifted, narrowed: similarities a second that are
    looked through for neighbours, and that become 16 bits.  transfer: bytes a second between it and
    the machine.  start: seconds until it can begin.
    """

    products: float
    sifted: float
    narrowed: float
    transfer: float
    start: float


NOMINAL = Speed(products=200e9, greedy=1.0)
NOMINAL_CARD = CardSpeed(products=20e12, sifted=100e9, narrowed=50e9, transfer=8e9, start=6.0)
"""Of a large card, with torch not yet loaded: where not even that is faster, no card is asked."""


def engine_of(rows: int, function: Objective, dense_bytes: int = DENSE_BYTES) -> str:
    """Which engine ranks a group of that many rows; the size of the machine plays no part."""
    if not isinstance(function, FacilityLocation):
        return "rows"
    if kernel_bytes(rows) <= dense_bytes:
        return "dense-u16"
    return "graph+dense-head" if dense_head(rows, dense_bytes)[1] else "graph"


def ranking_seconds(
    sizes: NDArray[np.int64],
    dimensions: int,
    function: Objective,
    dense_bytes: int = DENSE_BYTES,
    speed: Speed = NOMINAL,
) -> NDArray[np.float64]:
    """(g,) estimated seconds of the full order of each group."""
    rows = np.asarray(sizes, dtype=np.float64)
    products, greedy = _work(rows, dimensions, function, dense_bytes)
    seconds: NDArray[np.float64] = products / speed.products + greedy * 1e-9 / speed.greedy
    if speed.card is not None and isinstance(function, FacilityLocation):
        saved = neighbour_seconds(rows, dimensions, speed)
        saved -= card_neighbour_seconds(rows, dimensions, GRAPH_NEIGHBOURS, speed.card)
        seconds -= np.where(2 * rows * rows > dense_bytes, np.maximum(saved, 0.0), 0.0)
    return seconds


def neighbour_seconds(
    rows: NDArray[np.float64], dimensions: int, speed: Speed
) -> NDArray[np.float64]:
    """Estimated seconds of the exact neighbours of so many rows by the core."""
    pairs = np.square(rows)
    greedy = pairs * _FILTER_NS * 1e-9 / speed.greedy
    return np.asarray(pairs * dimensions / 2 / speed.products + greedy)


def card_neighbour_seconds(
    rows: NDArray[np.float64], dimensions: int, k: int, card: CardSpeed
) -> NDArray[np.float64]:
    """The same on a card, which meets every pair twice."""
    pairs = np.square(rows)
    moved = rows * (2 * dimensions + 12 * k) / card.transfer
    work = pairs * (dimensions / card.products + 1 / card.sifted)
    return np.asarray(card.start + work + moved)


def kernel_seconds(rows: int, columns: int, dimensions: int, speed: Speed) -> float:
    """Estimated seconds of a 16-bit kernel by the core; of all pairs, half of them."""
    pairs = rows * columns / (2 if rows == columns else 1)
    return pairs * dimensions / speed.products


def card_kernel_seconds(rows: int, columns: int, dimensions: int, card: CardSpeed) -> float:
    """The same on a card, and until it is in the memory of the machine."""
    pairs = rows * columns
    work = pairs * (dimensions / card.products + 1 / card.narrowed)
    return card.start + work + 2 * (pairs + columns * dimensions) / card.transfer


def ranking_bytes(
    rows: int,
    dimensions: int,
    function: Objective,
    dense_bytes: int = DENSE_BYTES,
    threads: int = 1,
) -> int:
    """Peak memory of ranking one group of that many rows, besides the rows themselves.

    Where rows are equal it takes less.
    """
    packed = 2 * rows * dimensions + _TURN_BYTES * rows
    engine = engine_of(rows, function, dense_bytes)
    if engine == "dense-u16":
        return packed + kernel_bytes(rows) + 64 * rows
    if engine != "rows":
        head = kernel_bytes(rows) // rows * dense_head(rows, dense_bytes)[0]
        greedy = packed + head + 2 * GRAPH_NEIGHBOURS * _EDGE_BYTES * rows
        return max(neighbour_bytes(rows, dimensions, GRAPH_NEIGHBOURS, threads), greedy)
    held = 200 * rows + _BUFFER_BYTES
    if isinstance(function, GraphCut):
        return held + packed
    small = min(rows, dimensions)  # of rows or of dimensions: log-det works on that side
    return held + (packed if rows <= dimensions else 0) + 40 * small * small


def near_duplicate_seconds(
    sizes: NDArray[np.int64], dimensions: int, products: float = NOMINAL.products
) -> NDArray[np.float64]:
    """(g,) estimated seconds of looking for near duplicates in each group: at most so many.

    products: multiply-adds of row pairs a second.
    """
    pairs = np.asarray(sizes, dtype=np.float64) ** 2 / 2
    seconds: NDArray[np.float64] = pairs * dimensions / products
    return seconds


def near_duplicate_bytes(rows: int, dimensions: int) -> int:
    """Peak memory of looking for near duplicates in a group of that many rows, besides the rows."""
    return 2 * dimensions * (rows + min(rows, _FRESH_ROWS)) + _FRESH_BYTES + 40 * rows


def _work(
    sizes: NDArray[np.float64], d: int, function: Objective, dense_bytes: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Multiply-adds of row pairs, and nominal nanoseconds of greedy, of each group."""
    pairs = sizes * sizes
    products = np.zeros_like(sizes)
    if isinstance(function, FacilityLocation):
        products = pairs * d / 2
        dense = 2 * pairs <= dense_bytes
        graph = pairs * _FILTER_NS + 2 * GRAPH_NEIGHBOURS * sizes * _EDGE_NS  # an exact search
        greedy = np.where(dense, pairs * _DENSE_NS, graph)
    elif isinstance(function, GraphCut):
        greedy = _CUT_NS * sizes**1.4 * d**1.4
    else:
        greedy = _LOG_DET_NS * sizes**1.5 * d**1.45
    return products, greedy + _GROUP_NS
