"""Rows by one number each: a score that something else gave, or their length.

A column of scores covers what chooses the k best by its own measure: SelectIT, NUGGETS, IFD,
QuRating, Ask-LLM, Select2Reason and others. Length is the baseline that at the scale of millions of
rows nearly no such score beats (Xia et al. 2024, arXiv 2410.09335).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from smartx.needs import TOKENS, Need
from smartx.options import one_of
from smartx.rankers.by_score import by_score
from smartx.rankers.one_by_one import finite
from smartx.rankers.pool import Pool
from smartx.rankers.ranker import Order, Ranker


@dataclass(frozen=True)
class ScoreRanker(Ranker):
    """The rows with the best scores first, which are the gains; ties go to the lower row.

    column: of numbers; a row without one (NaN) comes last.  best: "highest" or "lowest"; of the
    lowest the gains are the negative scores.
    """

    column: str = "score"
    best: Annotated[str, one_of("highest", "lowest")] = "highest"

    name: ClassVar[str] = "score"

    @property
    def needs(self) -> tuple[Need, ...]:
        """The column."""
        return (Need(self.column, "column"),)

    def rank(self, pool: Pool, *, threads: int) -> Order:
        """By the column. Raises InputError where a score is infinite."""
        scores = finite(pool.feature(self.column), self.column)
        return by_score(pool, scores if self.best == "highest" else -scores)


@dataclass(frozen=True)
class LengthRanker(Ranker):
    """The longest rows first, or the shortest; ties go to the lower row.

    of: what is counted, in tokens: "all", "prompt" or "response".
    first: "longest", whose gains are the tokens, or "shortest", whose gains are their negatives.
    """

    of: Annotated[str, one_of("all", "prompt", "response")] = "all"
    first: Annotated[str, one_of("longest", "shortest")] = "longest"

    name: ClassVar[str] = "length"

    @property
    def needs(self) -> tuple[Need, ...]:
        """Token counts."""
        return (TOKENS,)

    def rank(self, pool: Pool, *, threads: int) -> Order:
        """By tokens."""
        counts = pool.tokens.astype(np.float64)
        columns = {"all": slice(0, 2), "prompt": slice(0, 1), "response": slice(1, 2)}[self.of]
        tokens = counts[:, columns].sum(axis=1)
        return by_score(pool, tokens if self.first == "longest" else 0.0 - tokens)
