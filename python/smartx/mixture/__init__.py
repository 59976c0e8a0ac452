"""Mixtures: which rows, in which order, and the folder that a trainer loads."""

from __future__ import annotations

from smartx.mixture.assemble import AllRanked, Chosen, all_ranked, assemble
from smartx.mixture.facts import mixture_facts, shares_line
from smartx.mixture.frames import Frames
from smartx.mixture.mixture import Mixture, compare
from smartx.mixture.names import shown
from smartx.mixture.out import check_out, check_replaceable, open_mixture
from smartx.mixture.shares import Comparison, Shares
from smartx.mixture.write import write_mixture

__all__ = [
    "AllRanked",
    "Chosen",
    "Comparison",
    "Frames",
    "Mixture",
    "Shares",
    "all_ranked",
    "assemble",
    "check_out",
    "check_replaceable",
    "compare",
    "mixture_facts",
    "open_mixture",
    "shares_line",
    "shown",
    "write_mixture",
]
