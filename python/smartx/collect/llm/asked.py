"""What is asked of a language model about the rows, and the features that this gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from smartx.errors import ConfigError

LOSS, PERPLEXITY, IFD, ALONE = "loss", "perplexity", "ifd", "loss_alone"
BEFORE, AFTER, ASK = "loss_before", "loss_after", "ask_llm"
UNDERSTANDING, CONFIDENCE = "difficulty_understanding", "difficulty_confidence"
CORRECTNESS, BAND = "difficulty_correctness", "difficulty_band"
RDS = "rds"
# What can be asked for -> the features that it gives.
SCORES: Mapping[str, tuple[str, ...]] = {
    "loss": (LOSS,),
    "perplexity": (PERPLEXITY,),
    "ifd": (IFD, ALONE),
    "learnability": (BEFORE, AFTER),
    "ask-llm": (ASK,),
    "difficulty": (UNDERSTANDING, CONFIDENCE, CORRECTNESS, BAND),
    "rds": (RDS,),
}
USUAL = ("perplexity", "ifd")


@dataclass(frozen=True)
class Asked:
    """What is asked for, as the options of the command have it.

    model: folder of a causal language model.  reference: of the same one after training.
    scores: of SCORES.  queries: NAME=SOURCE, whose rows become tables beside `rds`.
    answer_tokens: of the model's own answers, at most, which `difficulty` reads; 0: it does
    without these, and without the feature difficulty_confidence.
    """

    model: Path
    reference: Path | None = None
    scores: Sequence[str] = USUAL
    queries: Sequence[str] = ()
    answer_tokens: int = 128
    max_length: int = 1_024
    device: str = "auto"
    dtype: str = "float32"

    def __post_init__(self) -> None:
        for name in self.scores:
            if name not in SCORES:
                close = get_close_matches(name, SCORES, 1)
                raise ConfigError(
                    f'there is no score "{name}"; there are: {", ".join(SCORES)}',
                    place="scores",
                    fix=f'did you mean "{close[0]}"?' if close else "",
                )
        if ("learnability" in self.scores) != (self.reference is not None):
            raise ConfigError(
                "the score learnability and a second model belong together",
                place="reference",
                fix="give `reference`, the folder of the model after training on these rows, and "
                "`scores` learnability; or neither",
            )
        if self.queries and "rds" not in self.scores:
            raise ConfigError(
                "queries are read for the score rds alone", place="queries", fix="add rds to scores"
            )

    def asks(self, *scores: str) -> bool:
        """Whether one of these scores is asked for."""
        return bool({*scores} & {*self.scores})


def asked_for(*, scores: str, queries: Sequence[str] | None, **options: Any) -> Asked:
    """As the options of the command have it: scores joined by commas."""
    names = tuple(name.strip() for name in scores.split(",") if name.strip())
    return Asked(scores=names, queries=tuple(queries or ()), **options)
