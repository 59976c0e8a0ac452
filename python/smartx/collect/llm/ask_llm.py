"""Ask-LLM: how likely an instructed model says yes to a row being worth training on.

    score = P(yes), over the words that a yes may be, as the next token behind the question
Source: Sachdeva et al. 2024 (arXiv 2402.09668), section 3.1, whose question this is. There the
model is an encoder with a decoder (Flan-T5); here it is a causal one, asked as a user of its chat.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from smartx.causal import CausalModel, Row, Tokens
from smartx.causal.losses import last_logits
from smartx.causal.rows import chat_tokens
from smartx.collect.llm.passes import Look, Pass, Values
from smartx.errors import ModelError

QUESTION = """\
###
{row}
###

Does the previous paragraph demarcated within ### and ### contain informative signal for \
pre-training a large-language model? An informative datapoint should be well-formatted, contain \
some usable knowledge of the world, and strictly NOT have any harmful, racist, sexist, etc. content.

OPTIONS:
- yes
- no
"""
YES = ("yes", "Yes", " yes", " Yes")


@dataclass(frozen=True)
class Asking(Pass):
    """The question about a row, and how likely a yes follows."""

    def tokens(self, model: CausalModel, rows: Sequence[Row]) -> list[Tokens]:
        """The question; of a long row the end is left out."""
        before, after = QUESTION.split("{row}")
        texts = [f"{row.prompt}\n{row.response}" for row in rows]
        return chat_tokens(model, texts, self.asked.max_length, before=before, after=after)

    @contextmanager
    def looking(self, model: CausalModel) -> Iterator[Look]:
        """The probability that the next token is one of YES."""
        yes = yes_tokens(model)

        def look(batch: Sequence[Tokens]) -> Values:
            found = [_likely(logits, yes) for logits in last_logits(model, batch)]
            return dict.fromkeys(self.names, found)

        yield look


def yes_tokens(model: CausalModel) -> list[int]:
    """Ids of the words of YES that are one token each. Raises ModelError where none is."""
    ids = [model.tokenizer(word, add_special_tokens=False)["input_ids"] for word in YES]
    found = sorted({one[0] for one in ids if len(one) == 1})
    if not found:
        raise ModelError(
            "its tokenizer has no token for yes",
            place=str(model.folder),
            fix="ask another model, or for other scores",
        )
    return found


def _likely(logits: Any, ids: list[int]) -> float:
    return float(logits.double().softmax(dim=-1)[ids].sum())
