"""One training run over the chosen rows: one epoch of AdamW, warm-up, then linear decay."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from quality.batches import asked_of, cut
from quality.model import Decoder
from quality.states import States

CHUNK = 256  # rows that are sorted by length together, so that batches hold little padding


@dataclass(frozen=True)
class Recipe:
    """How rows are trained on.

    rate: of AdamW.  batch: tokens, about.  warm_up: part of the steps.  least: of the rate at the
    end, as a part of it.
    """

    rate: float = 3e-4
    batch: int = 1_130
    warm_up: float = 0.1
    least: float = 0.05
    decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.98)
    clip: float = 1.0

    def factor(self, step: int, steps: int) -> float:
        """Of the rate at a step, counted from 0."""
        warm = max(1, math.ceil(self.warm_up * steps))
        return min(1.0, (step + 1) / warm) * max(self.least, 1 - step / steps)


def train(
    model: Decoder,
    states: States,
    rows: NDArray[np.int64],
    recipe: Recipe,
    *,
    seed: int,
    device: torch.device,
    precision: torch.dtype,
) -> dict[str, Any]:
    """Trains the model in place. Returns steps, loss at the start and the end, and seconds."""
    began, spent, torch_seed = time.perf_counter(), time.process_time(), seed % 2**31
    torch.manual_seed(torch_seed)
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = _optimizer(trained, recipe)
    batches = list(
        _batches(rows, states.sample.tokens.lengths, recipe.batch, np.random.default_rng(seed))
    )
    losses, opening = [], len(states.sample.opening)
    model.train()
    for step, batch in enumerate(batches):
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate * recipe.factor(step, len(batches))
        asked = asked_of(states.sample.tokens, batch, opening).to(device)
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            loss = model(states.padded(batch).to(device), *asked).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(trained, recipe.clip)
        optimizer.step()
        losses.append(float(loss.detach()))
    tenth = max(1, len(losses) // 10)
    return {
        "steps": len(batches),
        "first": round(float(np.mean(losses[:tenth])), 4),
        "last": round(float(np.mean(losses[-tenth:])), 4),
        "cpu_seconds": round(time.process_time() - spent, 1),
        "seconds": round(time.perf_counter() - began, 1),
    }


def _optimizer(weights: list[nn.Parameter], recipe: Recipe) -> torch.optim.AdamW:
    """Norms do not decay."""
    groups = [
        {"params": [w for w in weights if w.ndim > 1], "weight_decay": recipe.decay},
        {"params": [w for w in weights if w.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.rate, betas=recipe.betas, fused=True)


def _batches(
    rows: NDArray[np.int64],
    lengths: NDArray[np.int64],
    tokens: int,
    rng: np.random.Generator,
) -> Iterator[NDArray[np.int64]]:
    """All rows once, in random order, rows of about one length in a batch."""
    order, batches = rng.permutation(rows), []
    for start in range(0, len(order), CHUNK):
        chunk = order[start : start + CHUNK]
        batches += list(cut(chunk[np.argsort(lengths[chunk], kind="stable")], lengths, tokens))
    for place in rng.permutation(len(batches)):
        yield batches[place]
