"""Cards that are none: torch's CPU device in the place of one, sound or at fault."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from smartx.engine.card import Card
from smartx.engine.cost import CardSpeed

torch: Any = pytest.importorskip("torch")
STAND_IN = Card("cpu")
FAST = CardSpeed(products=1e15, sifted=1e15, narrowed=1e15, transfer=1e15, start=0.0)
SLOW = CardSpeed(products=1e6, sifted=1e6, narrowed=1e6, transfer=1e6, start=0.0)


@dataclass(frozen=True)
class RoundingCard(Card):
    """A card whose products take operands rounded to `bits` bits: 8 are bfloat16, 11 are TF32.

    after: so many products are exact first.  shapes: of the tiles that it made.
    """

    bits: int = 24
    after: int = 0
    shapes: list[tuple[int, ...]] = field(default_factory=list)

    def multiply(self, left: Any, right: Any, out: Any) -> None:
        self.shapes.append(tuple(out.shape))
        if len(self.shapes) > self.after:
            left, right = rounded(left, self.bits), rounded(right, self.bits)
        super().multiply(left, right, out)


@dataclass(frozen=True)
class TightCard(RoundingCard):
    """A card that has no room for tiles of more than `most` pairs, however free it says it is."""

    most: int = 0

    def multiply(self, left: Any, right: Any, out: Any) -> None:
        if out.numel() > self.most:
            raise torch.cuda.OutOfMemoryError("no room")
        super().multiply(left, right, out)


@dataclass(frozen=True)
class PiecesCard(Card):
    """A card that multiplies two pieces of bfloat16 for each operand, without the smallest product.

    Torch's "high" precision on some machines is like that.
    """

    def multiply(self, left: Any, right: Any, out: Any) -> None:
        coarse_left, coarse_right = rounded(left, 8), rounded(right, 8)
        out.copy_(coarse_left @ right.T + (left - coarse_left) @ coarse_right.T)


@dataclass(frozen=True)
class SumsCard(Card):
    """A card whose sums have 16 bits."""

    def multiply(self, left: Any, right: Any, out: Any) -> None:
        super().multiply(left, right, out)
        out.copy_(rounded(out, 16))


def rounded(values: Any, bits: int) -> Any:
    mantissa, exponent = torch.frexp(values)
    return torch.ldexp(torch.round(mantissa * 2**bits), exponent - bits)


class Heard:
    """A progress that keeps the notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def start(self, step: str, total: int | None, unit: str) -> None: ...
    def advance(self, amount: int) -> None: ...
    def finish(self) -> None: ...

    def note(self, message: str) -> None:
        self.notes.append(message)


def put_card(monkeypatch: pytest.MonkeyPatch, card: Card, speed: CardSpeed) -> None:
    """Makes a machine that has this card, so fast and started, and no work too small to ask."""
    from smartx.engine import on_card

    monkeypatch.setattr(on_card, "card_named", lambda asked: card)
    monkeypatch.setattr(on_card, "may_have_card", lambda: True)
    monkeypatch.setattr(on_card, "card_is_started", lambda: True)
    monkeypatch.setattr(on_card, "measured_card", lambda *_: speed)
    monkeypatch.setattr(on_card, "NOMINAL_CARD", FAST)
    monkeypatch.setattr(on_card, "_NOT_WORTH_A_LOOK", 0.0)
    for name, value in (("refused", {}), ("cards", {}), ("products", {}), ("missed", 0.0)):
        monkeypatch.setattr(on_card._Known, name, value)
