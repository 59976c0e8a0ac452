"""The passes: what is read of a row, and what is made of the model's losses, states and attention.

loss, perplexity:  the mean loss of the response's tokens given the prompt, and exp of it
ifd:  loss / loss_alone, the latter without the prompt (Li et al. 2023, arXiv 2308.12032; in their
    code the mean losses are divided, and rows above 1 are not taken)
learnability:  loss_before of the model, loss_after of the reference (LoBaSS, arXiv 2310.13008)
difficulty:  understanding = exp of the mean loss of the prompt's own tokens; correctness = the
    losses of the response's tokens weighed with the attention that each gets, in the last layer,
    from the tokens behind it, on average; confidence = the same of the model's own answer
    (3DS, Ding et al. 2025, arXiv 2410.10901; step2/calculate_attention.py and
    weighted_selection_by_kcenter.py, method "mean". There words of some kinds are left out by a
    Chinese tagger; here none are.)
rds:  last hidden states of prompt and response, averaged with weights 1..length (RDS+, Ivison et
    al. 2025, arXiv 2503.01807, compute_influence_cosinesim.py, "weighted_mean")
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from smartx.causal import CausalModel, Row, Tokens, tokens_of
from smartx.causal.losses import answers, last_logits
from smartx.causal.model import libraries
from smartx.collect.llm.asked import (
    BEFORE,
    CONFIDENCE,
    CORRECTNESS,
    LOSS,
    PERPLEXITY,
    RDS,
    UNDERSTANDING,
)
from smartx.collect.llm.passes import Look, Pass, Values
from smartx.collect.llm.watch import Watch
from smartx.needs import Kind


@dataclass(frozen=True)
class Reading(Pass):
    """The row as it is trained on: prompt and response. One pass gives all that it shows."""

    @property
    def kinds(self) -> Mapping[str, Kind]:
        """Hidden states are vectors."""
        return {RDS: "vectors"} if RDS in self.names else {}

    @property
    def eager(self) -> bool:
        """Whether attention weights are read."""
        return CORRECTNESS in self.names

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Whose losses are looked at: a number's last bits depend on what is computed with it."""
        whole = UNDERSTANDING in self.names
        return {"losses": "all" if whole else "response", "eager": self.eager}

    def tokens(self, model: CausalModel, rows: Sequence[Row]) -> list[Tokens]:
        """Prompt and response."""
        return tokens_of(model, rows, self.asked.max_length)

    @contextmanager
    def looking(self, model: CausalModel) -> Iterator[Look]:
        """See the module."""
        with Watch(model, hidden=RDS in self.names, attention=self.eager) as watch:
            yield lambda batch: self._seen(model, batch, watch)

    def _seen(self, model: CausalModel, batch: Sequence[Tokens], watch: Watch) -> Values:
        whole = UNDERSTANDING in self.names
        begins = [1 if whole else row.response_from for row in batch]
        losses = answers(model, batch, begins).losses
        rows = [
            (row, own[: row.response_from - begin], own[row.response_from - begin :])
            for row, begin, own in zip(batch, begins, losses, strict=True)
        ]
        means = [_mean(told) for _, _, told in rows]
        found: dict[str, Any] = {LOSS: means, BEFORE: means, PERPLEXITY: np.exp(means)}
        if whole:
            found[UNDERSTANDING] = np.exp([_mean(asked) for _, asked, _ in rows])
        if CORRECTNESS in self.names:
            found[CORRECTNESS] = [
                weighed(told, received(watch.attention[place], row))
                for place, (row, _, told) in enumerate(rows)
            ]
        if RDS in self.names:
            states = [by_position(watch.hidden[n, : len(row)]) for n, row in enumerate(batch)]
            found[RDS] = np.stack(states)
        return {name: found[name] for name in self.names}


@dataclass(frozen=True)
class Querying(Pass):
    """The hidden states of the rows of a query set, as those of the corpus are made."""

    def tokens(self, model: CausalModel, rows: Sequence[Row]) -> list[Tokens]:
        """Prompt and response."""
        return tokens_of(model, rows, self.asked.max_length)

    @contextmanager
    def looking(self, model: CausalModel) -> Iterator[Look]:
        """A table by the name of the set."""

        def look(batch: Sequence[Tokens]) -> Values:
            last_logits(model, batch)
            states = [by_position(watch.hidden[n, : len(row)]) for n, row in enumerate(batch)]
            return dict.fromkeys(self.names, np.stack(states))

        with Watch(model, hidden=True, attention=False) as watch:
            yield look


@dataclass(frozen=True)
class Alone(Pass):
    """The response without the prompt, behind what stands before an answer."""

    def tokens(self, model: CausalModel, rows: Sequence[Row]) -> list[Tokens]:
        """Those of the response that are read with the prompt: both losses are of the same."""
        own = tokens_of(model, rows, self.asked.max_length)
        without = tokens_of(model, rows, self.asked.max_length, with_prompt=False)
        return [
            replace(one, ids=(*one.ids[: one.response_from], *row.ids[row.response_from :]))
            for row, one in zip(own, without, strict=True)
        ]

    @contextmanager
    def looking(self, model: CausalModel) -> Iterator[Look]:
        """Its mean loss."""

        def look(batch: Sequence[Tokens]) -> Values:
            losses = answers(model, batch, [row.response_from for row in batch]).losses
            return {name: list(map(_mean, losses)) for name in self.names}

        yield look


@dataclass(frozen=True)
class After(Alone):
    """The row as it is trained on, read by the reference."""

    @property
    def folder(self) -> Path:
        """Of the reference."""
        assert self.asked.reference is not None
        return self.asked.reference

    def tokens(self, model: CausalModel, rows: Sequence[Row]) -> list[Tokens]:
        """Prompt and response."""
        return tokens_of(model, rows, self.asked.max_length)


@dataclass(frozen=True)
class Own(Pass):
    """The model's own answer to the prompt, greedy, as it reads it again."""

    @property
    def eager(self) -> bool:
        """Attention weights are read."""
        return True

    @property
    def parameters(self) -> Mapping[str, Any]:
        """How long answers may be."""
        return {"answer_tokens": self.asked.answer_tokens}

    def tokens(self, model: CausalModel, rows: Sequence[Row]) -> list[Tokens]:
        """What is asked, with a place for the answer's first token."""
        most = self.asked.max_length - self.asked.answer_tokens
        whole = tokens_of(model, rows, max(2, most))
        return [Tokens(row.ids[: row.response_from], row.response_from, row.cut) for row in whole]

    @contextmanager
    def looking(self, model: CausalModel) -> Iterator[Look]:
        """Its losses on its own answer, weighed as those on the response are."""

        def look(batch: Sequence[Tokens]) -> Values:
            told = answered(model, batch, self.asked.answer_tokens)
            losses = answers(model, told, [row.response_from for row in told]).losses
            pairs = enumerate(zip(told, losses, strict=True))
            found = [weighed(own, received(watch.attention[at], row)) for at, (row, own) in pairs]
            return {CONFIDENCE: found}

        with Watch(model, hidden=False, attention=True) as watch:
            yield look


def answered(model: CausalModel, prompts: Sequence[Tokens], most: int) -> list[Tokens]:
    """Prompts with the model's most likely answer, one token after another, at most so many."""
    torch, transformers = libraries("a language model's own answers")
    longest = max(map(len, prompts))
    ids = torch.zeros((len(prompts), longest), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for place, row in enumerate(prompts):
        ids[place, longest - len(row) :] = torch.tensor(row.ids)
        mask[place, longest - len(row) :] = 1
    end = model.tokenizer.eos_token_id
    greedy = transformers.GenerationConfig(
        do_sample=False, max_new_tokens=most, eos_token_id=end, pad_token_id=end or 0
    )
    told = model.model.generate(
        ids.to(model.device), attention_mask=mask.to(model.device), generation_config=greedy
    )
    found = []
    for row, own in zip(prompts, told[:, longest:].tolist(), strict=True):
        answer = own[: own.index(end) + 1] if end in own else own
        found.append(Tokens((*row.ids, *answer), len(row.ids), row.cut))
    return found


def received(attention: Any, row: Tokens) -> Any:
    """(k,) float64: what each token of the response gets of the attention of those from it on.

    attention: (heads, tokens that look, tokens that are looked at), with padding behind.
    """
    import torch

    length = len(row)
    mean = attention[:, :length, :length].double().sum(dim=1).mean(dim=0)
    lookers = length - torch.arange(length, device=mean.device, dtype=torch.float64)
    return (mean / lookers)[row.response_from :]


def weighed(losses: Any, weights: Any) -> float:
    """The mean of losses by weights, in float64."""
    total = weights.sum()
    return float((losses.double() * weights / total).sum()) if total > 0 else _mean(losses)


def by_position(states: Any) -> Any:
    """(d,) float32: the mean of a row's states (tokens, d), with weights 1, 2, ..., length."""
    import torch

    weights = torch.arange(1, len(states) + 1, device=states.device, dtype=torch.float32)
    return (states.float() * (weights / weights.sum())[:, None]).sum(dim=0).cpu().numpy()


def _mean(losses: Any) -> float:
    """In float64; NaN of no tokens."""
    return float(losses.double().sum()) / len(losses) if len(losses) else float("nan")
