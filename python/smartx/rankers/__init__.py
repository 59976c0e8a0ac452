"""Rankers: in which order the rows of a group are taken. One file per ranker.

A new ranker is a frozen dataclass as `Ranker` describes it, in a file of its own, and a line in
RANKERS; the contract tests run over RANKERS.
"""

from __future__ import annotations

from smartx.engine import FacilityLocation, GraphCut, LogDet
from smartx.rankers.near import near_duplicates_line
from smartx.rankers.random import RandomRanker
from smartx.rankers.ranker import Ranker
from smartx.rankers.rankings import Rankings, open_rankings
from smartx.rankers.run import is_ranked, rank_corpus
from smartx.rankers.submodular import SubmodularRanker

RANKERS: dict[str, Ranker] = {
    "facility-location": SubmodularRanker(FacilityLocation()),
    "graph-cut": SubmodularRanker(GraphCut()),
    "log-det": SubmodularRanker(LogDet()),
    "random": RandomRanker(),
}

__all__ = [
    "RANKERS",
    "RandomRanker",
    "Ranker",
    "Rankings",
    "SubmodularRanker",
    "is_ranked",
    "near_duplicates_line",
    "open_rankings",
    "rank_corpus",
]
