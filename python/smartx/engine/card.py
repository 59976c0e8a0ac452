"""A graphics card as the engines see it: which there is, its memory, and products that are exact.

torch is loaded only where a driver for a card is there, or where a card is asked for by name.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from smartx.errors import InputError, MissingPackageError

_DRIVERS = ("nvidia[0-9]*", "kfd", "dxg")  # in /dev, where a driver is
_STAND_IN_BYTES = 1 << 30
_LIBRARY_BYTES = 64 << 20  # of cuBLAS


class CardError(Exception):
    """Why a card is not used; the CPU then does its work."""


@dataclass(frozen=True)
class Card:
    """One card, through torch.

    name: as torch has it, such as "cuda:0". "cpu" stands in for a card where there is none: the
    same code on the CPU, for tests and for bench/gpu.py.
    """

    name: str

    @cached_property
    def torch(self) -> Any:
        """The module. Raises MissingPackageError."""
        return _torch()

    @property
    def kind(self) -> str:
        """What computes: "cuda", or "cpu"."""
        return self.name.partition(":")[0]

    @property
    def described(self) -> str:
        """Its name for people."""
        if self.kind != "cuda":
            return f"torch on {self.name}"
        return f"{self.torch.cuda.get_device_name(self.name)} ({self.name})"

    def free_bytes(self) -> int:
        """Memory of the card that nobody has taken."""
        if self.kind != "cuda":
            return _STAND_IN_BYTES
        return int(self.torch.cuda.mem_get_info(self.name)[0])

    def room(self, memory: int | None) -> int:
        """Bytes for arrays where so many may be taken; None: nine tenths of what is free.

        The library of products takes some of a card by itself.
        """
        given = self.free_bytes() * 9 // 10 if memory is None else memory
        return given - (_LIBRARY_BYTES if self.kind == "cuda" else 0)

    def new(self, shape: tuple[int, ...], kind: str) -> Any:
        """An array on the card whose values are anything, of a type of torch."""
        return self.torch.empty(shape, dtype=getattr(self.torch, kind), device=self.name)

    def here(self, array: NDArray[Any]) -> Any:
        """A writable array of the machine, on the card."""
        return self.torch.from_numpy(array).to(self.name)

    def multiply(self, left: Any, right: Any, out: Any) -> None:
        """out[i, j] = left[i] . right[j], float32 on the card; exact inside `exact_products`."""
        self.torch.mm(left, right.T, out=out)

    def wait(self) -> None:
        """Until the card has done what it was given."""
        if self.kind == "cuda":
            self.torch.cuda.synchronize(self.name)

    def give_back(self) -> None:
        """Memory that torch keeps for later goes back to the card."""
        if self.kind == "cuda":
            self.torch.cuda.empty_cache()

    @contextmanager
    def exact_products(self) -> Iterator[None]:
        """Float32 products of Q12 rows come out exact, on this card and for this block only.

        Every partial sum of a dot product of Q12 rows is a whole number of at most 2^24 (Cauchy and
        Schwarz hold for any subset of the components), which float32 holds: with float32 operands
        and sums the order plays no part. What must stay off is whatever rounds operands first:
        TF32, sums of bfloat16 pieces, autocast. Torch's settings are those of the process; they
        are as before afterwards.
        """
        torch = self.torch
        with (
            full_precision(torch),
            torch.inference_mode(),
            torch.autocast(self.kind, enabled=False),
        ):
            yield


def card_named(asked: str) -> Card | None:
    """The card of "auto", "cpu", "cuda", "cuda:1", or the first of several: "cuda:1,cuda:2".

    None for "cpu", and for "auto" on a machine without a card or without torch.
    Raises InputError for another name, or a card that is not there; MissingPackageError where one
    is asked for by name without torch.
    """
    name = asked.split(",")[0].strip()
    if name == "cpu" or (name == "auto" and not may_have_card()):
        return None
    if name != "auto" and name.partition(":")[0] != "cuda":
        raise InputError(
            f'"{name}" is no card for similarities', place="device", fix="auto, cpu or cuda:0"
        )
    try:
        torch = _torch()
        count = int(torch.cuda.device_count()) if torch.cuda.is_available() else 0
    except (MissingPackageError, OSError, RuntimeError):
        if name == "auto":
            return None
        raise
    number = name.partition(":")[2] or "0"
    if name == "auto":
        return Card("cuda:0") if count else None
    if not number.isdigit() or int(number) >= count:
        there = ", ".join(f"cuda:{i}" for i in range(count)) or "none"
        raise InputError(f"there is no {name}", place="device", fix=f"cards here: {there}")
    return Card(f"cuda:{int(number)}")


def may_have_card() -> bool:
    """Whether a driver and torch are there; loads nothing."""
    drivers = any(any(Path("/dev").glob(name)) for name in _DRIVERS)
    return drivers and find_spec("torch") is not None


def card_is_started() -> bool:
    """Whether this process has done work on a card before: the next one begins at once."""
    torch = sys.modules.get("torch")
    return torch is not None and bool(torch.cuda.is_initialized())


def _torch() -> Any:
    try:
        import torch
    except ImportError:
        needed_for = "work on a graphics card"
        raise MissingPackageError("torch", needed_for=needed_for, extra="embed") from None
    return torch


@contextmanager
def full_precision(torch: Any) -> Iterator[None]:
    """Float32 operands of matrix products are taken as they are.

    Torch 2.9 has a setting for each kind of device beside the one for all. Where a caller has set
    only the new ones, the old one cannot be read, and is right already or of no effect.
    """
    own = [b.matmul for b in (torch.backends.cuda, torch.backends.mkldnn) if _has_precision(b)]
    before = [one.fp32_precision for one in own]
    try:
        of_all = torch.get_float32_matmul_precision()
    except RuntimeError:
        of_all = None
    try:
        if of_all is not None:
            torch.set_float32_matmul_precision("highest")
        for one in own:
            one.fp32_precision = "ieee"
        yield
    finally:
        if of_all is not None:
            torch.set_float32_matmul_precision(of_all)
        for one, value in zip(own, before, strict=True):
            one.fp32_precision = value


def _has_precision(backend: Any) -> bool:
    return hasattr(getattr(backend, "matmul", None), "fp32_precision")
