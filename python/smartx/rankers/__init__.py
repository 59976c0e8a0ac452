"""Rankers: in which order the rows of a unit are taken. One file per ranker.

A new ranker is a `Ranker` in a file of its own, and a line in `strategies.RANKERS`; the contract
tests run over that table.
"""

from __future__ import annotations

from smartx.rankers.near import near_duplicates_line
from smartx.rankers.pool import Pool, Units, pool_of, units_of
from smartx.rankers.random import RandomRanker
from smartx.rankers.rank import Ranked, Ranking
from smartx.rankers.ranker import Ranker
from smartx.rankers.rankings import Rankings, open_rankings
from smartx.rankers.run import is_ranked, rank_corpus
from smartx.rankers.submodular import (
    FacilityLocationRanker,
    GraphCutRanker,
    LogDetRanker,
    SubmodularRanker,
)

__all__ = [
    "FacilityLocationRanker",
    "GraphCutRanker",
    "LogDetRanker",
    "Pool",
    "RandomRanker",
    "Ranked",
    "Ranker",
    "Ranking",
    "Rankings",
    "SubmodularRanker",
    "Units",
    "is_ranked",
    "near_duplicates_line",
    "open_rankings",
    "pool_of",
    "rank_corpus",
    "units_of",
]
