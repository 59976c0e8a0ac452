"""Rows through a causal model: which go together, and what it loses on each token.

On a CPU every batch is computed by one thread, several batches side by side, so that no number
depends on how many threads there are. Batches depend on the rows alone, so that none depends on
where a run was killed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from smartx.causal.model import CausalModel
from smartx.causal.rows import Tokens
from smartx.engine.card import full_precision
from smartx.errors import ModelError, first_line

CPU_TOKENS, CARD_TOKENS = 1_024, 16_384  # of a batch, padding included
_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class Answers:
    """What a model says of a batch of rows.

    losses: of each row (k,) float32 in nats, of the tokens from where it was asked to the last.
    output: of transformers, with what else was asked for; its rows are padded on the right.
    """

    losses: list[Any]
    output: Any


def batches_of(lengths: NDArray[np.int64], budget_tokens: int) -> list[NDArray[np.int64]]:
    """Rows 0..n-1 in batches of rows of nearly one length, the longest first.

    lengths: (n,) tokens.  budget_tokens: of a batch, padding included; a longer row goes alone.
    They depend on the lengths alone; among rows of one length the lower comes first.
    """
    order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")
    found, start = [], 0
    while start < len(order):
        rows = max(1, int(budget_tokens // max(1, int(lengths[order[start]]))))
        found.append(order[start : start + rows])
        start += rows
    return found


def budget_of(model: CausalModel) -> int:
    """Tokens of a batch that are fast where the model is."""
    return CPU_TOKENS if model.on_cpu else CARD_TOKENS


def each_batch(
    model: CausalModel,
    rows: Sequence[Tokens],
    work: Callable[[NDArray[np.int64]], _T],
    *,
    threads: int = 1,
    budget_tokens: int | None = None,
    advance: Callable[[int], None] | None = None,
) -> Iterator[tuple[NDArray[np.int64], _T]]:
    """Each batch of rows with what `work` makes of it, in the order of the batches.

    work: gets places in `rows`; several threads call it at once on a CPU, each with one thread of
    torch, without gradients.  advance: is told of rows that are done.
    """
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    batches = batches_of(lengths, budget_tokens or budget_of(model))
    torch = _torch()

    def done(batch: NDArray[np.int64]) -> _T:
        with torch.inference_mode():
            return work(batch)

    with _computing(model, torch):
        workers = max(1, min(threads, len(batches))) if model.on_cpu else 1
        pool = ThreadPoolExecutor(workers, initializer=lambda: _one_thread(model, torch))
        try:
            for batch, made in zip(batches, pool.map(done, batches), strict=True):
                yield batch, made
                if advance is not None:
                    advance(len(batch))
        finally:
            pool.shutdown(cancel_futures=True)


def answers(model: CausalModel, batch: Sequence[Tokens], begins: Sequence[int]) -> Answers:
    """The model's losses on tokens begins[i].. of each row of a batch (each at least 1).

    To be called inside `each_batch`. Raises ModelError where the memory is too small, or a loss is
    not finite.
    """
    torch = _torch()
    longest = max(map(len, batch))
    ids, output = _seen(model, batch, longest - max(0, min(begins) - 1))
    skipped = longest - output.logits.shape[1]
    losses = [
        torch.nn.functional.cross_entropy(
            output.logits[place, begin - 1 - skipped : len(row) - 1 - skipped].float(),
            ids[place, begin : len(row)],
            reduction="none",
        )
        for place, (row, begin) in enumerate(zip(batch, begins, strict=True))
    ]
    if not all(bool(torch.isfinite(own).all()) for own in losses):
        raise ModelError(
            "its loss on a row is not finite",
            place=str(model.folder),
            fix="use `dtype` float32, or another model",
        )
    return Answers(losses, output)


def last_logits(model: CausalModel, batch: Sequence[Tokens]) -> list[Any]:
    """Of each row (vocabulary,) logits of the token that would follow. As `answers` otherwise."""
    longest = max(map(len, batch))
    _, output = _seen(model, batch, longest - min(map(len, batch)) + 1)
    skipped = longest - output.logits.shape[1]
    return [output.logits[place, len(row) - 1 - skipped] for place, row in enumerate(batch)]


def _seen(model: CausalModel, batch: Sequence[Tokens], last: int) -> tuple[Any, Any]:
    """(ids, output) of a batch, with the logits of the last so many places where it can choose.

    Rows are padded on the right, where no token of a row looks, so no mask is needed.
    """
    torch = _torch()
    longest = max(map(len, batch))
    ids = torch.zeros((len(batch), longest), dtype=torch.long)
    for place, row in enumerate(batch):
        ids[place, : len(row)] = torch.tensor(row.ids)
    ids = ids.to(model.device)
    kept = {"logits_to_keep": last} if _keeps_logits(model.model) else {}
    try:
        return ids, model.model(input_ids=ids, use_cache=False, **kept)
    except (MemoryError, RuntimeError) as problem:
        if isinstance(problem, MemoryError) or "memory" in str(problem).lower():
            raise ModelError(
                f"{len(batch)} rows of {longest:,} tokens do not fit ({first_line(problem)})",
                place=str(model.device),
                fix="pass a smaller `max_length`, or `dtype` bfloat16",
            ) from None
        raise


def summed(losses: Any) -> float:
    """The sum of a row's losses, in float64."""
    return float(losses.double().sum())


def response_losses(
    model: CausalModel,
    rows: Sequence[Tokens],
    *,
    threads: int = 1,
    budget_tokens: int | None = None,
    advance: Callable[[int], None] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """((n,) float64, the summed loss of each row's response in nats; (n,) int64, its tokens)."""
    totals = np.zeros(len(rows))
    counts = np.array([len(row) - row.response_from for row in rows], dtype=np.int64)

    def work(batch: NDArray[np.int64]) -> list[float]:
        own = [rows[place] for place in batch]
        return list(map(summed, answers(model, own, [row.response_from for row in own]).losses))

    for batch, made in each_batch(
        model, rows, work, threads=threads, budget_tokens=budget_tokens, advance=advance
    ):
        totals[batch] = made
    return totals, counts


@contextmanager
def _computing(model: CausalModel, torch: Any) -> Iterator[None]:
    """float32 is float32 on a card too; the number of threads is as before afterwards."""
    before = torch.get_num_threads()
    exact = nullcontext() if model.on_cpu else full_precision(torch)
    try:
        with exact:
            yield
    finally:
        torch.set_num_threads(before)


def _one_thread(model: CausalModel, torch: Any) -> None:
    if model.on_cpu:
        torch.set_num_threads(1)  # of this thread's own team


def _keeps_logits(model: Any) -> bool:
    """Whether it can leave out the logits of the first tokens, which are most of a long prompt."""
    return "logits_to_keep" in inspect.signature(model.forward).parameters


def _torch() -> Any:
    import torch

    return torch
