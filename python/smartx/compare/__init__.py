"""Strategies beside each other: many choices from one corpus, measured without training on them."""

from __future__ import annotations

from smartx.compare.candidates import DEFAULTS, Candidate, candidates, candidates_in
from smartx.compare.held import Draws
from smartx.compare.run import Protocol, compare

__all__ = [
    "DEFAULTS",
    "Candidate",
    "Draws",
    "Protocol",
    "candidates",
    "candidates_in",
    "compare",
]
