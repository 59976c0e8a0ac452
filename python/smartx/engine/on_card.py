"""Whether a card or the core finds neighbours: whoever is faster by the cost model.

Both give the same bits, so that the choice is in no key, and a card that turns out to be wrong or
too small costs only time.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from smartx import _core
from smartx.engine.card import Card, CardError, card_is_started, card_named, may_have_card
from smartx.engine.cost import (
    NOMINAL,
    NOMINAL_CARD,
    CardSpeed,
    Speed,
    card_neighbour_seconds,
    neighbour_seconds,
)
from smartx.engine.gpu import Neighbours, card_neighbours
from smartx.engine.measure import measured_card, measured_products
from smartx.engine.memory import check_neighbours
from smartx.errors import InputError
from smartx.progress import Progress

_NOT_WORTH_A_LOOK = 1.0  # seconds


@dataclass(frozen=True)
class _Wishes:
    """device: "auto", "cpu", "cuda:1", ..., as for embedding.  progress: who hears of the choice;
    None: of a refused card alone, and as a warning.
    """

    device: str = "auto"
    progress: Progress | None = None


_AUTO = _Wishes()
_wishes: ContextVar[_Wishes] = ContextVar("where similarities are made", default=_AUTO)


class _Known:
    """What this process has learnt about cards: why one is not used, and how fast one is."""

    refused: ClassVar[dict[str, str]] = {}
    speeds: ClassVar[dict[tuple[str, int, int], CardSpeed]] = {}


@contextmanager
def similarities_on(device: str, progress: Progress | None = None) -> Iterator[None]:
    """Inside, neighbours may be found on the cards that `device` allows, where that is faster.

    device: what `--device` takes: "auto", "cpu", "cuda:1"; of several the first. A device that is
    neither a CPU nor a CUDA card is not used for this.
    progress: hears which card finds neighbours, and which was refused.
    """
    kind = device.split(",")[0].strip().partition(":")[0]
    wishes = _Wishes(device if kind in ("auto", "cuda") else "cpu", progress)
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
    card = _card_for(n, d, k, threads, device) if k > 0 else None
    if card is not None:
        try:
            found = card_neighbours(card, rows, k, threads=threads)
        except CardError as fault:
            _refuse(card, str(fault))
        else:
            _tell(f"the {k} nearest of {n:,} rows: on {card.described}")
            return found
    return _core.neighbours(rows, k, threads=threads)


def card_speed(rows: int, dimensions: int, k: int, threads: int) -> CardSpeed | None:
    """How fast the card is that would find the neighbours of so many rows; None: none would."""
    card = _chosen(rows, dimensions, k, threads)
    return None if card is None else _measured(card, dimensions, k)


def _card_for(n: int, d: int, k: int, threads: int, device: str) -> Card | None:
    if device == "auto":
        return _chosen(n, d, k, threads)
    if device != "cpu" and device.partition(":")[0] != "cuda":
        raise InputError(f'"{device}" is none', place="device", fix="auto, cpu, cuda or cuda:1")
    return card_named(device)


def _chosen(n: int, d: int, k: int, threads: int) -> Card | None:
    """The card that is faster than the core: first by nominal speeds, which take no time to know,
    then by those of this machine.
    """
    rows = np.asarray(float(n))
    nominal = Speed(NOMINAL.products * threads, NOMINAL.greedy * threads)
    by_core = float(neighbour_seconds(rows, d, nominal))
    if by_core < _NOT_WORTH_A_LOOK or _wishes.get().device == "cpu" or not may_have_card():
        return None
    likely = replace(NOMINAL_CARD, start=0.0) if card_is_started() else NOMINAL_CARD
    if by_core <= float(card_neighbour_seconds(rows, d, k, likely)):
        return None
    card = card_named(_wishes.get().device)
    speed = None if card is None else _measured(card, d, k)
    if speed is None:
        return None
    measured = replace(nominal, products=measured_products(d, threads))
    by_core = float(neighbour_seconds(rows, d, measured))
    return card if float(card_neighbour_seconds(rows, d, k, speed)) < by_core else None


def _measured(card: Card, d: int, k: int) -> CardSpeed | None:
    """Measured once in a process; None where the card is refused."""
    key = card.name, d, k
    if card.name not in _Known.refused and key not in _Known.speeds:
        try:
            _Known.speeds[key] = measured_card(card, d, k)
        except (RuntimeError, AssertionError, ValueError) as fault:  # torch's errors, and no room
            _refuse(card, f"{card.name} failed: {str(fault).splitlines()[0]}")
    return None if card.name in _Known.refused else _Known.speeds[key]


def _refuse(card: Card, why: str) -> None:
    """Said once; the cost model does not choose this card again."""
    if card.name in _Known.refused:
        return
    _Known.refused[card.name] = why
    message = f"{why}: the CPU finds neighbours instead, with the same result"
    if _wishes.get().progress is None:
        warnings.warn(message, RuntimeWarning, stacklevel=5)
    _tell(message)


def _tell(message: str) -> None:
    progress = _wishes.get().progress
    if progress is not None:
        progress.note(message)
