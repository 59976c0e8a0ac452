"""Whether a card or the core finds neighbours and fills kernels: by the cost model, the faster.

Both give the same bits, so that the choice is in no key, and a card that turns out to be wrong or
too small costs only time.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from smartx import _core
from smartx.engine.card import Card, CardError, card_is_started, card_named, may_have_card
from smartx.engine.card_kernel import card_kernel
from smartx.engine.card_rows import probe
from smartx.engine.cost import (
    NOMINAL,
    NOMINAL_CARD,
    CardSpeed,
    Speed,
    card_kernel_seconds,
    card_neighbour_seconds,
    kernel_seconds,
    neighbour_seconds,
)
from smartx.engine.gpu import Neighbours, card_neighbours
from smartx.engine.measure import measured_card, measured_products
from smartx.engine.memory import GRAPH_NEIGHBOURS, check_neighbours
from smartx.errors import InputError
from smartx.progress import Progress

_NOT_WORTH_A_LOOK = 0.2  # seconds
_DIFFERING = 0.9  # least share of unlike rows of a kernel


@dataclass(frozen=True)
class _Job:
    """Work for the core or a card: how long either takes, for vectors of so many dimensions."""

    dimensions: int
    neighbours: int
    by_core: Callable[[Speed], float]
    by_card: Callable[[CardSpeed], float]


@dataclass(frozen=True)
class _Wishes:
    """device: "auto", "cpu", "cuda:1", ..., as for embedding.  progress: who hears of the choice;
    None: of a refused card alone, and as a warning.  always: also where the core is faster.
    """

    device: str = "auto"
    progress: Progress | None = None
    always: bool = False


_AUTO = _Wishes()
_wishes: ContextVar[_Wishes] = ContextVar("where similarities are made", default=_AUTO)


class _Known:
    """What this process has learnt: why a card is not used, how fast cards and the core are, and
    how much time a card would have saved so far that was not worth its start.
    """

    refused: ClassVar[dict[str, str]] = {}
    cards: ClassVar[dict[tuple[str, int, int], CardSpeed]] = {}
    products: ClassVar[dict[tuple[int, int], float]] = {}
    missed: ClassVar[float] = 0.0


@contextmanager
def similarities_on(
    device: str, progress: Progress | None = None, *, always: bool = False
) -> Iterator[None]:
    """Inside, neighbours may be found on the cards that `device` allows, where that is faster.

    device: what `--device` takes: "auto", "cpu", "cuda:1"; of several the first. A device that is
    neither a CPU nor a CUDA card is not used for this.
    progress: hears what a card did, and which was refused.
    always: a card does what it can even where the core is faster: to prove that it is right.
    """
    kind = device.split(",")[0].strip().partition(":")[0]
    wishes = _Wishes(device if kind in ("auto", "cuda") else "cpu", progress, always)
    token = _wishes.set(wishes)
    try:
        yield
    finally:
        _wishes.reset(token)


def nearest_others(
    rows: NDArray[np.int16], k: int, *, threads: int, device: str = "auto"
) -> Neighbours:
    """The k rows most similar to each row, as `_core.neighbours` has them.

    device: "auto" leaves the choice to the cost model; "cpu" is the core; "cuda:1" that card.
    Raises InputError where the device is not there, or the memory that is free is too little.
    """
    n, d = rows.shape
    check_neighbours(n, d, k, threads)
    card = _card_for(_searching(n, d, k), threads, device) if k > 0 else None
    if card is not None:
        try:
            found = card_neighbours(card, rows, k, threads=threads)
        except CardError as fault:
            _refuse(card, str(fault))
        else:
            _tell(f"the {k} nearest of {n:,} rows: on {card.described}")
            return found
    return _core.neighbours(rows, k, threads=threads)


def card_for_kernel(rows: int, columns: int, dimensions: int, threads: int) -> Card | None:
    """The card that would make a 16-bit kernel of that size in less time than the core."""
    job = _Job(
        dimensions,
        GRAPH_NEIGHBOURS,
        lambda speed: kernel_seconds(rows, columns, dimensions, speed),
        lambda speed: card_kernel_seconds(rows, columns, dimensions, speed),
    )
    return _chosen(job, threads)


def kernel_on(
    card: Card, rows: NDArray[np.int16], items: NDArray[np.int32] | None, *, threads: int
) -> NDArray[np.uint16] | None:
    """The 16-bit kernel of some rows with all (see `card_kernel`); None: the core is to make it.

    items: ascending; None: all rows, unless many are equal, of which the core makes one row.
    """
    if items is None and len({row.tobytes() for row in rows}) < _DIFFERING * len(rows):
        return None
    try:
        kernel = card_kernel(card, rows, items, threads=threads)
    except CardError as fault:
        _refuse(card, str(fault))
        return None
    _tell(f"similarities of {len(kernel):,} with {len(rows):,} rows: on {card.described}")
    return kernel


def card_speed(rows: int, dimensions: int, k: int, threads: int) -> CardSpeed | None:
    """How fast the card is that would find the neighbours of so many rows; None: none would."""
    job = _searching(rows, dimensions, k)
    card = _chosen(job, threads)
    return None if card is None else _measured(card, job)


def card_line() -> str:
    """For people: where similarities are made, and whether the card here is exact."""
    try:
        card = card_named("auto")
        if card is None:
            return "on the CPU (no CUDA card)"
        with card.exact_products():
            probe(card, card.new((1_024, 1_024), "float32"), 384, 1)
        return f"on {card.described} where that is faster: its products are exact"
    except (CardError, RuntimeError, AssertionError) as fault:  # and torch's errors
        return f"on the CPU: {str(fault).splitlines()[0]}"


def _searching(n: int, d: int, k: int) -> _Job:
    rows = np.asarray(float(n))
    return _Job(
        d,
        k,
        lambda speed: float(neighbour_seconds(rows, d, speed)),
        lambda speed: float(card_neighbour_seconds(rows, d, k, speed)),
    )


def _card_for(job: _Job, threads: int, device: str) -> Card | None:
    if device == "auto":
        return _chosen(job, threads)
    if device != "cpu" and device.partition(":")[0] != "cuda":
        raise InputError(f'"{device}" is none', place="device", fix="auto, cpu, cuda or cuda:1")
    return card_named(device)


def _chosen(job: _Job, threads: int) -> Card | None:
    """The card that is faster than the core: first by nominal speeds, which take no time to know,
    then by those of this machine.

    A card takes seconds to start, so the first job that it would save time in does not start it,
    but the one by which as much would have been saved as the start takes.
    """
    asked = _wishes.get().device
    if _wishes.get().always:
        card = card_named(asked)
        return None if card is None or card.name in _Known.refused else card
    nominal = Speed(NOMINAL.products * threads, NOMINAL.greedy * threads)
    by_core = job.by_core(nominal)
    if by_core < _NOT_WORTH_A_LOOK or asked == "cpu" or not may_have_card():
        return None
    saved = by_core - job.by_card(replace(NOMINAL_CARD, start=0.0))
    if saved <= 0:
        return None
    if not card_is_started():
        _Known.missed += saved
        if _Known.missed < NOMINAL_CARD.start:
            return None
    card = card_named(asked)
    speed = None if card is None else _measured(card, job)
    if speed is None:
        return None
    products = _Known.products.get((job.dimensions, threads))
    if products is None:
        products = measured_products(job.dimensions, threads)
        _Known.products[job.dimensions, threads] = products
    by_core = job.by_core(replace(nominal, products=products))
    return card if job.by_card(speed) < by_core else None


def _measured(card: Card, job: _Job) -> CardSpeed | None:
    """Measured once in a process; None where the card is refused."""
    key = card.name, job.dimensions, job.neighbours
    if card.name not in _Known.refused and key not in _Known.cards:
        try:
            _Known.cards[key] = measured_card(card, job.dimensions, job.neighbours)
        except (RuntimeError, AssertionError, ValueError) as fault:  # torch's errors, and no room
            _refuse(card, f"{card.name} failed: {str(fault).splitlines()[0]}")
    return None if card.name in _Known.refused else _Known.cards[key]


def _refuse(card: Card, why: str) -> None:
    """Said once; the cost model does not choose this card again."""
    if card.name in _Known.refused:
        return
    _Known.refused[card.name] = why
    message = f"{why}: the CPU does it instead, with the same result"
    if _wishes.get().progress is None:
        warnings.warn(message, RuntimeWarning, stacklevel=5)
    _tell(message)


def _tell(message: str) -> None:
    progress = _wishes.get().progress
    if progress is not None:
        progress.note(message)
