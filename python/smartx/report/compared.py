"""What `smartx compare` found, as a report shows it beside its mixture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from smartx.errors import InputError
from smartx.mixture.names import shown

HEADS = ("nearer than random", "better tasks", "copied", "probe", "twins", "spread", "tokens")


@dataclass(frozen=True)
class Mark:
    """A strategy on the axis of differences to random choices; places as parts of 1."""

    short: str
    at: float
    low: float | None
    high: float | None
    words: str


@dataclass(frozen=True)
class Compared:
    """A picture and a table. zero: where random choices lie.  lines: name, then a cell a head."""

    marks: list[Mark]
    zero: float
    heads: tuple[str, ...]
    lines: list[tuple[str, ...]]


def compared(facts: dict[str, Any], place: str) -> Compared:
    """From the JSON of `smartx compare --json`. place: where it stands, for messages.

    Raises InputError where it is something else.
    """
    try:
        strategies = list(facts["strategies"])
        lines = [_line(one) for one in strategies]
        marks, zero = _marks(strategies)
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        raise InputError(
            f"it is not a comparison of smartx ({type(problem).__name__}: {problem})",
            place=place,
            fix="make one with `smartx compare --json`",
        ) from None
    return Compared(marks, zero, HEADS, lines)


def _marks(strategies: list[dict[str, Any]]) -> tuple[list[Mark], float]:
    known = [(one, one["unseen_tasks"]) for one in strategies if one["unseen_tasks"]]
    ends = [0.0]
    for _, unseen in known:
        ends += [float(end) for end in (unseen["delta"], *(unseen["interval"] or ()))]
    low, span = min(ends), (max(ends) - min(ends)) or 1.0

    def at(value: float) -> float:
        return (float(value) - low) / span

    marks = [
        Mark(
            shown(str(one["name"]), 34),
            at(unseen["delta"]),
            at(unseen["interval"][0]) if unseen["interval"] else None,
            at(unseen["interval"][1]) if unseen["interval"] else None,
            f"{shown(str(one['name']), 120)}: {unseen['delta']:+.4f}",
        )
        for one, unseen in known
    ]
    return marks, at(0.0)


def _line(one: dict[str, Any]) -> tuple[str, ...]:
    unseen, shares = one["unseen_tasks"] or {}, one["shares"]
    return (
        shown(str(one["name"]), 80),
        _number(unseen.get("delta"), "{:+.4f}"),
        f"{unseen['better']} of {unseen['of']}" if unseen else "–",
        _number((one["copied"] or {}).get("value"), "{:.3f}"),
        _number((one["probe"] or {}).get("value"), "{:.3f}"),
        _number(one["twins"]["other_template"], "{:.1%}"),
        _number(shares["effective_tasks"] if shares else None, "{:.1f}"),
        _number(one["tokens"]["total"], "{:,}"),
    )


def _number(value: Any, form: str) -> str:
    return "–" if value is None else form.format(value)
