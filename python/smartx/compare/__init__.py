"""Strategies beside each other: many choices from one corpus, measured without training on them."""

from __future__ import annotations

from smartx.compare.candidates import DEFAULTS, Candidate, candidates, candidates_in
from smartx.compare.held import Draws
from smartx.compare.run import Protocol, compare
from smartx.compare.table import COLUMNS, MIXTURE, UNSEEN, chance_line, lines
from smartx.compare.write import write

__all__ = [
    "COLUMNS",
    "DEFAULTS",
    "MIXTURE",
    "UNSEEN",
    "Candidate",
    "Draws",
    "Protocol",
    "candidates",
    "candidates_in",
    "chance_line",
    "compare",
    "lines",
    "write",
]
