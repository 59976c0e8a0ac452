"""Gradients of every row, and of targets, kept as features: what LESS calls its datastore.

    row of `gradients`:         sqrt(w_c) s(G_c) / |s(G_c)|   for the checkpoints c, side by side
    row of `target_gradients`:  sqrt(w_c) s(t_c) / |s(t_c)|   t_c: mean gradient of a subtask
with G what Adam makes of a row's gradient (adam.py), s the sketch, and w the checkpoints' mean
learning rates, which sum to 1. The product of two such rows is the influence of LESS: the mean, by
learning rate, of the cosines at the checkpoints. Rows have length 1.
Their code normalises the gradients of single targets instead, and takes their mean: with formulas
"code" that mean stands in the table, shorter than 1, for a ranker that takes no cosines.
Source: Xia et al. 2024 (arXiv 2402.04333), sections 3 and 4, less/data_selection/matching.py.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from smartx.causal import CausalModel, Tokens, each_batch, load_causal, rows_of, tokens_of
from smartx.collect.gradients.adam import precondition
from smartx.collect.gradients.asked import Asked, Formulas
from smartx.collect.gradients.lora import Adapted, adapted
from smartx.collect.gradients.sketch import Sketch
from smartx.collect.gradients.targets import Targets, targets_of
from smartx.collect.gradients.warm_up import (
    Checkpoint,
    WarmUp,
    checkpoints_of,
    tokens_at_once,
    warm_up_stage,
)
from smartx.collect.stage import Collected
from smartx.corpus import Corpus
from smartx.engine import resolve_threads
from smartx.errors import ModelError, StoreError
from smartx.progress import Progress, counted, size, step

if TYPE_CHECKING:
    from smartx.config import RunConfig
    from smartx.features import StoredFeature

BY, ROWS, TARGETS = "gradients", "gradients", "target_gradients"
PART_ROWS = 128
CPU_VALUES, CARD_VALUES = 1 << 27, 1 << 30  # of gradients that are held at a time, as float32


def collect(
    asked: Asked, config: RunConfig, corpus: Corpus, run: Path, progress: Progress
) -> dict[str, StoredFeature]:
    """As `collect_gradients` says, which has seen to the packages."""
    model = load_causal(asked.model, device=asked.device, dtype=asked.dtype)
    memory = config.memory if isinstance(config.memory, int) else None
    targets = None
    if asked.targets is not None:
        targets = targets_of(asked.targets, run, memory, progress)
    work = _begun(asked, corpus, run, model, resolve_threads(config.threads), progress)
    rows = work.opened("matrix", ROWS, corpus.num_rows, PART_ROWS, {})
    table = None
    if targets is not None:
        inputs = {"targets": targets.corpus.digest}
        table = work.opened("table", TARGETS, len(targets.names), 1, inputs)
    if rows.missing() or (table is not None and table.missing()):
        work.check_room(rows)
        work.warm_up()
    work.rows(rows)
    made = {ROWS: rows.finish(work.facts)}
    if table is not None and targets is not None:
        work.targets(table, targets)
        made[TARGETS] = table.finish({**work.facts, "subtasks": targets.names})
    return made


def _begun(
    asked: Asked, corpus: Corpus, run: Path, model: CausalModel, threads: int, progress: Progress
) -> _Work:
    recipe = asked.recipe
    sample = recipe.sample(corpus.num_rows)
    rates = recipe.rates(len(sample))
    adapters = adapted(model, recipe.lora, recipe.torch_seed(0))
    return _Work(asked, corpus, run, adapters, sample, rates, threads, progress)


@dataclass(frozen=True, eq=False)
class _Work:
    """Gradients that are being collected.

    sample: ids of the rows of the warm-up.  rates: (epochs, steps) learning rates.
    """

    asked: Asked
    corpus: Corpus
    run: Path
    model: Adapted
    sample: NDArray[np.int64]
    rates: NDArray[np.float64]
    threads: int
    progress: Progress

    def opened(
        self, kind: Any, name: str, rows: int, part_rows: int, inputs: dict[str, str]
    ) -> Collected:
        """One of the two features, begun or as it stands."""
        parameters = {
            "by": BY,
            "dimensions": self.asked.dimensions,
            "formulas": self.asked.formulas,
            "seed": self.asked.recipe.seed,
            **self._shape,
        }
        own = {"model": self.model.model.digest, "warm_up": self._stage[1], **inputs}
        return Collected.open_or_begin(
            self.run, self.corpus, kind, name, parameters, own, rows=rows, part_rows=part_rows
        )

    def warm_up(self) -> None:
        """Make the checkpoints, where they are not there."""
        stage, key = self._stage
        if stage.reuse(key):
            self.progress.note(f"warm up adapters: used again ({stage.folder.name})")
            return
        tokens = list[Tokens]()
        for start in range(0, self.corpus.num_rows, PART_ROWS):
            stop = min(start + PART_ROWS, self.corpus.num_rows)
            own = self.sample[
                np.searchsorted(self.sample, start) : np.searchsorted(self.sample, stop)
            ]
            if len(own):
                rows = rows_of(self.corpus, start, stop)
                tokens += self._tokens([rows[row - start] for row in own.tolist()])
        work = WarmUp(stage, key, self.asked.recipe, self.model, tokens, self.sample)
        work.make(self._shape, self._inputs, self.progress)

    def rows(self, stage: Collected) -> None:
        """The gradients of the rows that are missing, as Adam takes them."""
        numbers = stage.missing()
        count = sum(stop - start for start, stop in map(stage.bounds, numbers))
        checkpoints = self.checkpoints
        with step(self.progress, "gradients", count * len(checkpoints), "gradients") as advance:
            for number in numbers:
                tokens = self._tokens(rows_of(self.corpus, *stage.bounds(number)))
                found = [self._sketched(tokens, one, True, advance) for one in checkpoints]
                stage.commit_part(number, self._side_by_side([_unit(rows) for rows in found]))

    def targets(self, stage: Collected, targets: Targets) -> None:
        """The mean gradients of the subtasks that are missing, plain."""
        numbers = stage.missing()
        subtasks = {number: targets.rows(number) for number in numbers}
        checkpoints = self.checkpoints
        count = sum(map(len, subtasks.values())) * len(checkpoints)
        with step(self.progress, "target gradients", count, "gradients") as advance:
            for number, rows in subtasks.items():
                tokens = self._tokens(rows)
                found = [self._sketched(tokens, one, False, advance) for one in checkpoints]
                means = [_mean(rows, self.asked.formulas) for rows in found]
                stage.commit_part(number, self._side_by_side(means))

    def check_room(self, rows: Collected) -> None:
        """Say what is made; raise StoreError where the disk has too little room for it."""
        left = sum(stop - start for start, stop in map(rows.bounds, rows.missing()))
        epochs, width = self.asked.recipe.epochs, self.asked.dimensions
        kept = 12 * epochs * self.model.parameters
        needed = 4 * epochs * width * (left + self.corpus.num_rows) + kept
        self.progress.note(
            f"gradients: {counted(self.corpus.num_rows, 'row')} at {counted(epochs, 'checkpoint')},"
            f" {self.model.parameters:,} weights of adapters to {width:,} values; "
            f"{size(4 * epochs * width * self.corpus.num_rows + kept)} of disk"
        )
        with suppress(OSError):
            free = shutil.disk_usage(rows.stage.folder).free
            if free < needed:
                raise StoreError(
                    f"the disk has {size(free)} left, and gradients take {size(needed)} meanwhile",
                    place=str(self.run),
                    fix="pass fewer `dimensions` or `epochs`, or choose another run folder",
                )

    @property
    def checkpoints(self) -> list[Checkpoint]:
        """In order."""
        return checkpoints_of(self._stage[0], self.asked.recipe, len(self.sample))

    @property
    def facts(self) -> dict[str, Any]:
        """For manifests."""
        return {
            "trained_on": len(self.sample),
            "rates": [float(rate) for rate in self.rates.mean(axis=1)],
            "weights_of_adapters": self.model.parameters,
            "made_by": dict(self.model.model.made_by),
        }

    @property
    def _shape(self) -> dict[str, Any]:
        return {"max_length": self.asked.max_length, **self.model.model.parameters}

    @property
    def _inputs(self) -> dict[str, str]:
        return {"corpus": self.corpus.digest, "model": self.model.model.digest}

    @property
    def _stage(self) -> Any:
        return warm_up_stage(self.run, self.asked.recipe, self._shape, self._inputs)

    def _tokens(self, rows: Sequence[Any]) -> list[Tokens]:
        return tokens_of(self.model.model, rows, self.asked.max_length)

    def _side_by_side(self, found: Sequence[NDArray[np.float64]]) -> NDArray[np.float32]:
        """What the checkpoints gave, each by the root of its share of the learning rates."""
        shares = self.rates.mean(axis=1) / self.rates.mean(axis=1).sum()
        parts = [root * rows for root, rows in zip(np.sqrt(shares), found, strict=True)]
        return np.concatenate(parts, axis=1).astype(np.float32)

    def _sketched(
        self,
        tokens: Sequence[Tokens],
        at: Checkpoint,
        by_adam: bool,
        advance: Callable[[int], None],
    ) -> NDArray[np.float64]:
        """(n, d) sketches of the gradients of rows at a checkpoint."""
        device = self.model.model.device
        self.model.load(at.weights(device))
        moments = at.moments(device) if by_adam else None
        sketch = Sketch(self.asked.dimensions, self.asked.recipe.seed)
        most = CPU_VALUES if self.model.model.on_cpu else CARD_VALUES
        rows, found = max(1, most // self.model.parameters), []
        for start in range(0, len(tokens), rows):
            own = tokens[start : start + rows]
            gradients = self._gradients(own, advance)
            if moments is not None:
                precondition(gradients, moments, self.asked.formulas)
            found.append(sketch.of(gradients, threads=self.threads).cpu().numpy())
        return np.concatenate(found).astype(np.float64)

    def _gradients(self, tokens: Sequence[Tokens], advance: Callable[[int], None]) -> Any:
        """(n, P) float32 tensor. Raises ModelError where one is not finite."""
        made = torch.empty((len(tokens), self.model.parameters), device=self.model.model.device)

        def work(batch: NDArray[np.int64]) -> None:
            made[torch.from_numpy(batch).to(made.device)] = self.model.gradients(
                [tokens[place] for place in batch]
            )

        told = partial(each_batch, threads=self.threads, advance=advance)
        for _ in told(self.model.model, tokens, work, budget_tokens=tokens_at_once(self.model)):
            pass
        if not torch.isfinite(made).all():
            raise ModelError(
                "a gradient is not finite",
                place=str(self.asked.model),
                fix="use dtype float32, a lower `lr`, or another model",
            )
        return made


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows of length 1; zeros stay."""
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    return np.asarray(rows / np.where(lengths > 0, lengths, 1.0)[:, None])


def _mean(rows: NDArray[np.float64], formulas: Formulas) -> NDArray[np.float64]:
    """(1, d): the mean at length 1, or the mean of rows at length 1."""
    if formulas == "code":
        return np.asarray(_unit(rows).mean(axis=0, keepdims=True))
    return _unit(rows.mean(axis=0, keepdims=True))
