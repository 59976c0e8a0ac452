"""Loss trajectories: what a small model loses on each row's response while it is fine-tuned.

The model is trained up to a checkpoint, its loss on every row of the corpus is recorded, and it is
trained on from there. While it works, RUN/features/ID holds besides

    training/            the state of the training: weights, optimizer (states.py)
    scratch-loss-CC-*    losses at checkpoint CC, PART_ROWS rows each; then of all rows in one file

and what is there when a run is killed is used again. Source: Yang et al. 2024 (S2L, arXiv
2403.07384, get_trajectories.py): the mean cross-entropy of the response's tokens, in evaluation
mode, at each checkpoint; not normalised.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from smartx.causal import CausalModel, Tokens, load_causal, response_losses, rows_of, tokens_of
from smartx.collect.stage import Collected
from smartx.collect.training import (
    Examples,
    Recipe,
    States,
    Training,
    checkpoint_steps,
    trained_to,
    weights_from,
)
from smartx.corpus import Corpus
from smartx.draws import TRAINING_ROWS, draws_at
from smartx.embed.npy import open_npy, write_npy
from smartx.engine import resolve_threads
from smartx.errors import InputError, StoreError
from smartx.progress import Progress, duration, size, step
from smartx.store import Sidecar

if TYPE_CHECKING:
    from smartx.config import RunConfig
    from smartx.features import StoredFeature

BY, NAME = "trajectories", "losses"
_STATE_BYTES = 12  # of each weight: itself and two moments of AdamW, float32
_STATES = 2  # that stand at once, while one takes the other's place


@dataclass(frozen=True)
class Asked:
    """What is asked for, as the options of the command have it.

    train_rows: how many rows the model is fine-tuned on, drawn by `seed`; None: all. Losses are
    recorded of all rows in any case.  checkpoints: at which losses are recorded.
    """

    model: Path
    train_rows: int | None = None
    checkpoints: int = 12
    max_length: int = 512
    device: str = "auto"
    dtype: str = "float32"
    recipe: Recipe = Recipe()  # noqa: RUF009, frozen


def asked_for(
    *, train_rows: str, epochs: float, lr: float, batch: int, seed: int, **more: Any
) -> Asked:
    """What the options of the command ask for. Raises InputError."""
    count = None if train_rows == "all" else train_rows.replace(",", "").replace("_", "")
    if count is not None and not count.isdecimal():
        raise InputError(f"it must be a number or all, not {train_rows!r}", place="train_rows")
    recipe = Recipe(epochs=epochs, rate=lr, batch=batch, seed=seed)
    return Asked(train_rows=None if count is None else int(count), recipe=recipe, **more)


def collect_trajectories(
    asked: Asked, config: RunConfig, corpus: Corpus, run: Path, progress: Progress
) -> dict[str, StoredFeature]:
    """The matrix `losses`: (n, checkpoints) float32, mean loss in nats of each row's response.

    Raises ModelError, MissingPackageError, InputError, and StoreError where the disk has too
    little room for the states of the training.
    """
    rows = training_rows(corpus.num_rows, asked.train_rows, asked.recipe.seed)
    steps = checkpoint_steps(asked.recipe.steps(len(rows)), asked.checkpoints)
    model = load_causal(asked.model, device=asked.device, dtype=asked.dtype)
    _check_device(model)
    tokens_of(model, [], asked.max_length)  # raises where that is too long for the model
    stage = _begun(asked, corpus, run, model, len(rows))
    if stage.missing():
        threads = resolve_threads(config.threads)
        work = _Work(asked, corpus, stage, model, rows, steps, threads, progress)
        work.record_all()
        work.put_together()
    States(stage.stage.folder / "training", stage.key).remove()
    facts = {"steps": steps, "trained_on": len(rows), "made_by": dict(model.made_by)}
    return {NAME: stage.finish(facts)}


def training_rows(rows: int, wanted: int | None, seed: int) -> NDArray[np.int64]:
    """Rising ids of the rows that are trained on: those of the lowest draws, or all.

    Raises InputError for less than one row.
    """
    ids = np.arange(rows, dtype=np.int64)
    if wanted is not None and wanted < 1:
        raise InputError("it must be at least 1, or all", place="train_rows")
    if wanted is None or wanted >= rows:
        return ids
    order = np.argsort(draws_at(seed, TRAINING_ROWS, ids), kind="stable")
    return np.sort(ids[order[:wanted]])


def _check_device(model: CausalModel) -> None:
    """Raise InputError for a GPU that is not the first one: the trainer would take that."""
    if getattr(model.device, "index", None):
        raise InputError(
            f"training takes the first GPU, not {model.device}",
            place="device",
            fix="set CUDA_VISIBLE_DEVICES to the one that is meant, and pass `device` cuda",
        )


def _begun(asked: Asked, corpus: Corpus, run: Path, model: CausalModel, rows: int) -> Collected:
    parameters = {
        "by": BY,
        "checkpoints": asked.checkpoints,
        "train_rows": rows,
        "max_length": asked.max_length,
        "recipe": asked.recipe.facts(),
        **model.parameters,
    }
    inputs = {"model": model.digest}
    return Collected.open_or_begin(run, corpus, "matrix", NAME, parameters, inputs)


@dataclass(frozen=True, eq=False)
class _Work:
    """Trajectories that are being recorded.  rows: that are trained on.  steps: of checkpoints."""

    asked: Asked
    corpus: Corpus
    stage: Collected
    model: CausalModel
    rows: NDArray[np.int64]
    steps: Sequence[int]
    threads: int
    progress: Progress

    def record_all(self) -> None:
        """Train and record, checkpoint by checkpoint."""
        to_do = [place for place in range(len(self.steps)) if self._column(place) is None]
        if not to_do:
            return
        training = self._training()
        training.states.begin()
        self._check_room(training.states)
        for done, place in enumerate(to_do, start=1):
            began = time.monotonic()
            state = trained_to(
                training, self.steps[place], self.progress, self._named("train to", place)
            )
            weights_from(state, self.model.model)
            self._record(place)
            if done < len(to_do):
                left = (time.monotonic() - began) * (len(to_do) - done)
                self.progress.note(f"losses: about {duration(left)} for the other checkpoints")

    def put_together(self) -> None:
        """Columns of checkpoints -> parts of the matrix."""
        columns = [open_npy(self._whole(place).part) for place in range(len(self.steps))]
        for number in self.stage.missing():
            bounds = self.stage.bounds(number)
            part = np.concatenate([column.read(*bounds) for column in columns], axis=1)
            self.stage.commit_part(number, part)

    def _named(self, what: str, place: int) -> str:
        return f"{what} checkpoint {place + 1} of {len(self.steps)}"

    def _whole(self, place: int) -> Sidecar:
        return self.stage.scratch(f"loss-{place:03d}.npy")

    def _part(self, place: int, number: int) -> Sidecar:
        return self.stage.scratch(f"loss-{place:03d}-{number:06d}.npy")

    def _column(self, place: int) -> Any:
        return self._whole(place).whole_part()

    def _record(self, place: int) -> None:
        """The losses of all rows at a checkpoint, of which the model has the weights."""
        numbers = range(self.stage.parts)
        missing = [n for n in numbers if self._part(place, n).whole_part() is None]
        ends = [self.stage.bounds(number) for number in missing]
        rows = sum(stop - start for start, stop in ends)
        with step(self.progress, self._named("losses at", place), rows, "rows") as advance:
            for number, bounds in zip(missing, ends, strict=True):
                tokens = tokens_of(self.model, rows_of(self.corpus, *bounds), self.asked.max_length)
                totals, counts = response_losses(
                    self.model, tokens, threads=self.threads, advance=advance
                )
                means = (totals / counts).astype(np.float32)[:, np.newaxis]
                self._part(place, number).commit(len(means), partial(write_npy, means))
        parts = [self._part(place, number) for number in numbers]
        column = np.concatenate([open_npy(part.part).read(*_all(part)) for part in parts])
        self._whole(place).commit(len(column), partial(write_npy, column))
        for part in parts:
            part.path.unlink(missing_ok=True)
            part.part.unlink(missing_ok=True)

    def _training(self) -> Training:
        """As it is before the first step."""
        recipe = self.asked.recipe
        return Training(
            recipe,
            Examples.of(self._tokens(), recipe.order(self.rows)),
            States(self.stage.stage.folder / "training", self.stage.key),
            self._fresh,
            on_cpu=self.model.on_cpu,
            dtype=self.asked.dtype,
        )

    def _fresh(self) -> Any:
        loaded = load_causal(self.asked.model, device=str(self.model.device))
        return loaded.model

    def _tokens(self) -> Iterator[Tokens]:
        """Of the rows that are trained on, in their order."""
        for number in range(self.stage.parts):
            start, stop = self.stage.bounds(number)
            own = self.rows[np.searchsorted(self.rows, start) : np.searchsorted(self.rows, stop)]
            if len(own):
                rows = rows_of(self.corpus, start, stop)
                chosen = [rows[row - start] for row in own.tolist()]
                yield from tokens_of(self.model, chosen, self.asked.max_length)

    def _check_room(self, states: States) -> None:
        """Say how much disk the states take, and raise StoreError where there is less."""
        weights = sum(weight.numel() for weight in self.model.model.parameters())
        needed = weights * _STATE_BYTES * _STATES
        trained, steps = len(self.rows), self.steps[-1]
        self.progress.note(
            f"losses: {trained:,} rows to train on in {steps:,} steps, {self.corpus.num_rows:,} "
            f"to record at {len(self.steps)} checkpoints; up to {size(needed)} of disk meanwhile"
        )
        with suppress(OSError):
            free = shutil.disk_usage(states.folder).free
            if free < needed - _held(states.folder):
                raise StoreError(
                    f"the disk has {size(free)} left, and the training's states take "
                    f"{size(needed)} meanwhile",
                    place=str(states.folder),
                    fix="free some space, choose another run folder, or take a smaller model",
                )


def _all(part: Sidecar) -> tuple[int, int]:
    return 0, open_npy(part.part).num_rows


def _held(folder: Path) -> int:
    """Bytes of the states that are there already."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
