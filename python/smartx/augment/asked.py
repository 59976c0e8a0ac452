"""What LLM2LLM is asked to do, and which rows it looks at."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartx.augment.matching import MATCHES
from smartx.corpus import Corpus
from smartx.corpus.numbers import has_column, numbers_of
from smartx.errors import InputError
from smartx.mixture import Mixture
from smartx.mixture.out import open_mixture

LOSS = "loss"
JUDGES = (*MATCHES, LOSS)
ROUND = "llm2llm_round"  # column of generated rows: in which round they were made, from 1


@dataclass(frozen=True)
class Asked:
    """How rows are judged and prompts are made.

    model: folder of the fine-tuned student.  judge: one of JUDGES: "exact" and "number" compare
    its greedy answer with the response, "loss" takes rows whose mean response loss is above the
    `quantile` of all.
    max_new_tokens: of an answer.  neighbours: rows of the corpus that a prompt shows besides.
    max_length, device, dtype: how the model reads, as `smartx features llm` has them.
    """

    model: Path
    judge: str = "exact"
    quantile: float = 0.75
    max_new_tokens: int = 256
    neighbours: int = 3
    max_length: int = 1_024
    device: str = "auto"
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if self.judge not in JUDGES:
            fix = f"one of: {', '.join(JUDGES)}"
            raise InputError(f'there is no judge "{self.judge}"', place="judge", fix=fix)
        if not 0 <= self.quantile < 1:
            raise InputError(f"{self.quantile} is not in [0, 1)", place="quantile")
        if self.neighbours < 0 or self.max_new_tokens < 1:
            raise InputError("neighbours is at least 0, max_new_tokens at least 1")

    @property
    def judging(self) -> dict[str, Any]:
        """What shapes the judgments, besides the rows and the model."""
        asked = {"judge": self.judge, "max_length": self.max_length}
        if self.judge == LOSS:
            return asked
        return {**asked, "max_new_tokens": self.max_new_tokens}


@dataclass(frozen=True, eq=False)
class SeedRows:
    """The rows that are looked at: those that nobody generated.

    row_ids: (n,) int64, rising.  generated: rows that were left aside.  round: of the rows that
    will be generated from these, from 1.
    """

    row_ids: NDArray[np.int64]
    generated: int
    round: int

    @property
    def digest(self) -> str:
        """Names the rows."""
        return hashlib.sha256(self.row_ids.astype("<i8").tobytes()).hexdigest()


def seed_rows(corpus: Corpus, mixture: Path | None) -> SeedRows:
    """The seed rows of a mixture, or of all of its corpus.

    Only seed rows are augmented, never generated ones (LLM2LLM, Lee et al. 2024, section 3).
    Raises InputError where the mixture is of another corpus, or every row was generated.
    """
    rows = np.arange(corpus.num_rows, dtype=np.int64)
    if mixture is not None:
        rows = np.unique(_of(open_mixture(mixture), corpus))
    rounds = np.zeros(corpus.num_rows)
    if has_column(corpus, ROUND):
        rounds = np.nan_to_num(numbers_of(corpus, ROUND))
    kept = rows[rounds[rows] < 1]
    if not len(kept):
        raise InputError("all rows were generated", place=ROUND, fix="name the seed rows too")
    return SeedRows(kept, len(rows) - len(kept), 1 + int(rounds.max(initial=0)))


def _of(mixture: Mixture, corpus: Corpus) -> NDArray[np.int64]:
    made = mixture.manifest["inputs"].get("corpus")
    if made != corpus.digest:
        raise InputError(
            "it was made of another corpus than the run folder's",
            place=str(mixture.folder),
            fix="name the run folder that made it in `run_dir`",
        )
    return mixture.row_ids
