"""Scores of rows by a causal language model, several from one pass where one suffices."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from smartx.causal import load_causal, response_losses, rows_of, tokens_of
from smartx.collect.stage import Collected
from smartx.corpus import Corpus
from smartx.engine import resolve_threads
from smartx.progress import Progress, step

if TYPE_CHECKING:
    from smartx.config import RunConfig
    from smartx.features import StoredFeature

BY = "llm"


@dataclass(frozen=True)
class Asked:
    """What is asked for, as the options of the command have it."""

    model: Path
    max_length: int = 1_024
    device: str = "auto"
    dtype: str = "float32"


def collect_llm(
    asked: Asked, config: RunConfig, corpus: Corpus, run: Path, progress: Progress
) -> dict[str, StoredFeature]:
    """The scores of all rows, by name."""
    model = load_causal(asked.model, device=asked.device, dtype=asked.dtype)
    parameters = {"by": BY, "max_length": asked.max_length, **model.parameters}
    inputs = {"model": model.digest}
    made = {
        name: Collected.open_or_begin(run, corpus, "column", name, parameters, inputs)
        for name in ("loss", "perplexity")
    }
    numbers = sorted(set().union(*(one.missing() for one in made.values())))
    first = next(iter(made.values()))
    rows = sum(stop - start for start, stop in map(first.bounds, numbers))
    with step(progress, "language model", rows, "rows") as advance:
        for number in numbers:
            tokens = tokens_of(model, rows_of(corpus, *first.bounds(number)), asked.max_length)
            threads = resolve_threads(config.threads)
            totals, counts = response_losses(model, tokens, threads=threads, advance=advance)
            made["loss"].commit_part(number, totals / counts)
            made["perplexity"].commit_part(number, np.exp(totals / counts))
    return {name: one.finish({"made_by": dict(model.made_by)}) for name, one in made.items()}
