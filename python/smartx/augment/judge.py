"""What a model answers to rows, or loses on them: a part of the rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartx.augment.asked import LOSS, Asked
from smartx.augment.matching import MATCHES
from smartx.causal import (
    CausalModel,
    Row,
    Tokens,
    each_batch,
    response_losses,
    tokens_of,
)

SPARE_TOKENS = 16  # of an answer, besides twice as many as the longest response of its batch has


def judged(
    model: CausalModel,
    rows: Sequence[Row],
    asked: Asked,
    *,
    threads: int,
    advance: Callable[[int], None] | None = None,
) -> list[dict[str, Any]]:
    """What is found of each row, as JSON has it.

    Of "exact" and "number": `answer`, the greedy answer, and `wrong`. Of "loss": `loss`, the mean
    of the response's tokens in nats; the quantile is known once all rows are there.
    """
    tokens = tokens_of(model, rows, asked.max_length)
    if asked.judge == LOSS:
        sums, counts = response_losses(model, tokens, threads=threads, advance=advance)
        return [{"loss": float(loss)} for loss in sums / np.maximum(counts, 1)]
    matches = MATCHES[asked.judge]
    answers = greedy(model, tokens, asked.max_new_tokens, threads=threads, advance=advance)
    return [
        {"answer": answer, "wrong": not matches(answer, row.response)}
        for row, answer in zip(rows, answers, strict=True)
    ]


def greedy(
    model: CausalModel,
    rows: Sequence[Tokens],
    most: int,
    *,
    threads: int = 1,
    advance: Callable[[int], None] | None = None,
) -> list[str]:
    """The model's likeliest continuation of each row's prompt, token by token, until it ends.

    most: new tokens; no more than twice those of the longest response beside it in a batch, and
    SPARE_TOKENS, since what is longer is not that response.
    """
    found = [""] * len(rows)

    def work(batch: NDArray[np.int64]) -> list[str]:
        return _continued(model, [rows[place] for place in batch], most)

    for batch, texts in each_batch(model, rows, work, threads=threads, advance=advance):
        for place, text in zip(batch, texts, strict=True):
            found[int(place)] = text
    return found


def _continued(model: CausalModel, batch: Sequence[Tokens], most: int) -> list[str]:
    """Prompts are padded on the left, so that all answers begin at one place."""
    import torch

    longest = max(row.response_from for row in batch)
    response = max(len(row) - row.response_from for row in batch)
    room = max(1, model.positions - longest)
    ids = torch.full((len(batch), longest), _padding(model), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for place, row in enumerate(batch):
        start = longest - row.response_from
        ids[place, start:] = torch.tensor(row.ids[: row.response_from])
        mask[place, start:] = 1
    written = model.model.generate(
        input_ids=ids.to(model.device),
        attention_mask=mask.to(model.device),
        generation_config=_greedily(model, min(most, 2 * response + SPARE_TOKENS, room)),
    )
    texts = model.tokenizer.batch_decode(written[:, longest:], skip_special_tokens=True)
    return [str(text).strip() for text in texts]


def _greedily(model: CausalModel, tokens: int) -> Any:
    """A configuration of its own: what else the model's asks for, such as sampling, is left out."""
    from transformers import GenerationConfig

    own = getattr(model.model.generation_config, "eos_token_id", None)
    given = own if isinstance(own, list) else [own]
    ends = sorted({end for end in (*given, model.tokenizer.eos_token_id) if end is not None})
    made: Any = GenerationConfig
    return made(
        do_sample=False,
        num_beams=1,
        max_new_tokens=tokens,
        eos_token_id=ends or None,
        pad_token_id=_padding(model),
        use_cache=True,
    )


def _padding(model: CausalModel) -> int:
    tokenizer = model.tokenizer
    for found in (tokenizer.pad_token_id, tokenizer.eos_token_id):
        if found is not None:
            return int(found)
    return 0
