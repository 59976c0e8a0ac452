"""Rankers: in which order the rows of a group are taken. One file per ranker.

A new ranker is a frozen dataclass as `Ranker` describes it, in a file of its own, and a line in
`strategies.RANKERS`; the contract tests run over that table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartx.rankers.near import near_duplicates_line
from smartx.rankers.random import RandomRanker
from smartx.rankers.ranker import Ranker
from smartx.rankers.rankings import Rankings, open_rankings
from smartx.rankers.run import is_ranked, rank_corpus
from smartx.rankers.submodular import SubmodularRanker
from smartx.strategies import RANKERS

if TYPE_CHECKING:
    from smartx.config import RunConfig

__all__ = [
    "RandomRanker",
    "Ranker",
    "Rankings",
    "SubmodularRanker",
    "is_ranked",
    "near_duplicates_line",
    "open_rankings",
    "rank_corpus",
    "ranker_from",
]


def ranker_from(config: RunConfig) -> Ranker:
    """The ranker that a configuration asks for."""
    ranker: Ranker = RANKERS[config.row_function].made(config)
    return ranker
