"""What the mixture of a strategy is like: how it spreads, its tokens, twins and worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartx.compare.board import group_of, task_of
from smartx.compare.choose import Choice
from smartx.compare.nearest import Rows, taken
from smartx.compare.objective import Objective
from smartx.compare.proxies import twins
from smartx.corpus import Corpus
from smartx.draws import HELD_ROWS, draws_at
from smartx.weights import spread_of

LOOKED_AT = 8_192  # rows of a choice whose twins are looked for
IntVector = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Gauge:
    """Measures choices from a whole corpus. rows: its vectors."""

    corpus: Corpus
    rows: Rows
    objective: Objective
    seed: int = 0

    def facts(self, choice: Choice) -> dict[str, Any]:
        """Of a strategy's choice."""
        return {
            "shares": spread_of(choice.tasks.astype(np.float64), self.corpus.groups.tasks().rows),
            "rows_by_task": choice.tasks.tolist(),
            "tokens": self.tokens(choice.row_ids),
            "twins": self.twins(choice.row_ids),
            "objective": self.worth(choice.row_ids),
        }

    def worth(self, row_ids: IntVector) -> dict[str, Any] | None:
        """Facility location over tasks.  of_greedy, certificate: parts of what greedy's choice is
        worth, and of what none surpasses.
        """
        worth = self.objective.worth(row_ids)
        if worth is None:
            return None
        facts: dict[str, Any] = {"value": round(worth.value, 6)}
        if worth.greedy and worth.bound:
            facts["of_greedy"] = round(worth.value / worth.greedy, 6)
            facts["certificate"] = round(worth.value / worth.bound, 6)
        return facts

    def twins(self, row_ids: IntVector) -> dict[str, Any]:
        """Parts of the rows with a twin; of some of them where there are very many."""
        groups, looked = self.corpus.groups, None
        if len(row_ids) > LOOKED_AT:
            keys = draws_at(self.seed, HELD_ROWS, row_ids)
            looked = np.sort(np.argsort(keys, kind="stable")[:LOOKED_AT])
        found = twins(
            taken(self.rows.rows, row_ids),
            task_of(groups, row_ids),
            group_of(groups, row_ids),
            looked_at=looked,
        )
        parts = {name: round(part, 6) for name, part in vars(found).items()}
        return {**parts, "rows": len(row_ids) if looked is None else len(looked)}

    def tokens(self, row_ids: IntVector) -> dict[str, Any]:
        """Means of prompts and responses, and the sum of all."""
        counts = taken(self.corpus.token_counts, row_ids).astype(np.int64)
        prompt, response = counts.sum(axis=0).tolist()
        return {
            "prompt": round(prompt / max(1, len(row_ids)), 2),
            "response": round(response / max(1, len(row_ids)), 2),
            "total": prompt + response,
        }
