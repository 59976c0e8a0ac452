"""How numbers stand in tables and sentences, and what a Markdown table is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from quality.effects import Effect
from quality.statistics import Interval

NONE = "Not run yet."
AGAIN = "*random rows, drawn again (A/A)*"


def markdown(head: Sequence[str], body: Iterable[Sequence[str]]) -> list[str]:
    """A table; the first column is a name and stands left, the others right. A bar or line end in
    a cell does not end it."""
    rows = [[_cell(cell) for cell in row] for row in body]
    rule = ["---", *["--:"] * (len(head) - 1)]
    return ["| " + " | ".join(row) + " |" for row in ([*map(_cell, head)], rule, *rows)]


def _cell(text: str) -> str:
    return " ".join(text.replace("\\", "\\\\").replace("|", "\\|").split())


def percent(effect: Effect) -> str:
    """The difference, in per cent or points."""
    return f"{effect.shown(effect.difference):+.2f}"


def interval(effect: Effect, native: Interval) -> str:
    """In the unit of `percent`; "-" where there is none, as with one seed."""
    low, high = effect.shown_interval(native)
    if np.isnan(low):
        return "-"
    return "endless" if np.isinf(low) or np.isinf(high) else f"[{low:+.2f}, {high:+.2f}]"


def runs(effect: Effect) -> str:
    """Folds and seeds that a contrast is of."""
    return f"{len(effect.folds)} × {len(effect.seeds)}"


def probability(p: float | None) -> str:
    """ "-" where there is none, as with one seed."""
    if p is None or np.isnan(p):
        return "-"
    return "< .001" if p < 0.001 else f"{p:.3f}"


def seconds(value: float) -> str:
    if value < 1:
        return f"{1000 * value:.0f} ms"
    return f"{value:.1f} s" if value < 10 else f"{value:,.0f} s"


def number(value: float | None) -> str:
    return "-" if value is None else f"{value:+.2f}"


def between(ends: Interval | None) -> str:
    return "-" if ends is None else f"[{ends[0]:+.2f}, {ends[1]:+.2f}]"


def listed(names: Sequence[str]) -> str:
    return "; ".join(names) or "none"
