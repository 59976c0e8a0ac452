"""Adapters warmed up on a sample of the rows; Adam's state at the end of each epoch is kept.

    RUN/adapters/ID/  manifest.json  epoch-NN.safetensors    weights, first and second moments

Rows of one step lose the mean over their responses' tokens, and of these the mean is what the step
lowers, as in LESS, where the trainer saw one row at a time. A step's gradient is summed on one
thread, in one order. A run that was killed goes on behind its last whole epoch.
Source: Xia et al. 2024 (arXiv 2402.04333), less/scripts/train/base_training_args.sh.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from smartx.causal import Tokens, each_batch
from smartx.collect.gradients.adam import BETAS, EPSILON, Moments
from smartx.collect.gradients.asked import Recipe
from smartx.collect.gradients.lora import Adapted
from smartx.errors import ModelError
from smartx.progress import Progress, step
from smartx.run_folder import ADAPTERS
from smartx.store import FileEntry, Sidecar, Stage, folder_of, key_of

STAGE, SCHEMA = "warm_up", 1
MOST_LENGTH = 1.0  # of a step's gradient; a longer one is shortened to it
TOKENS = 512  # of a batch on a CPU, padding included: what a backward pass holds is about 1 GB
CARD_TOKENS = 8_192


@dataclass(frozen=True)
class Checkpoint:
    """The end of an epoch.  rate: the mean learning rate of its steps.  steps: made until then."""

    path: Path
    rate: float
    steps: int

    def weights(self, device: Any) -> Any:
        """(P,) float32 tensor."""
        return load_file(self.path, device=str(device))["weights"]

    def moments(self, device: Any) -> Moments:
        """Adam's state."""
        found = load_file(self.path, device=str(device))
        return Moments(found["first"], found["second"], self.steps)


def warm_up_stage(
    run: Path, recipe: Recipe, parameters: dict[str, Any], inputs: dict[str, str]
) -> tuple[Stage, str]:
    """Where a warm-up stands in a run folder, and its key.

    parameters: what else shapes it: length of rows, numbers of the model.  inputs: corpus, model.
    """
    key = key_of(STAGE, SCHEMA, {**parameters, "recipe": recipe.facts()}, inputs)
    return Stage(STAGE, folder_of(run / ADAPTERS, key)), key


def checkpoints_of(stage: Stage, recipe: Recipe, sample: int) -> list[Checkpoint]:
    """Of a stage, finished or not, those that it has or will have."""
    rates, steps = recipe.rates(sample), recipe.steps(sample)
    return [
        Checkpoint(_path(stage, epoch), float(rates[epoch].mean()), (epoch + 1) * steps)
        for epoch in range(recipe.epochs)
    ]


@dataclass(frozen=True, eq=False)
class WarmUp:
    """A warm-up that is to be made.  tokens: of the rows that are trained on, `row_ids`, rising."""

    stage: Stage
    key: str
    recipe: Recipe
    model: Adapted
    tokens: Sequence[Tokens]
    row_ids: NDArray[np.int64]

    def make(self, parameters: dict[str, Any], inputs: dict[str, str], progress: Progress) -> None:
        """Train what is not there yet, and finish the stage.

        Raises ModelError where the numbers do not stay finite.
        """
        self.stage.keep_parts(self.key, lambda _: self.key)
        self.stage.begin()
        entries = self._whole()
        state = self._state(len(entries))
        rates = self.recipe.rates(len(self.row_ids))
        rows = (self.recipe.epochs - len(entries)) * len(self.row_ids)
        with step(progress, "warm up adapters", rows, "rows") as advance:
            for epoch in range(len(entries), self.recipe.epochs):
                for number, places in enumerate(self.recipe.batches(self.row_ids, epoch)):
                    self._train(state, places, float(rates[epoch, number]))
                    advance(len(places))
                entries.append(self._keep(state, epoch))
        self.stage.finish(
            key=self.key,
            schema=SCHEMA,
            parameters={**parameters, "recipe": self.recipe.facts()},
            inputs=inputs,
            files=entries,
            facts={"trained_on": len(self.row_ids), "made_by": dict(self.model.model.made_by)},
        )

    def _whole(self) -> list[FileEntry]:
        """The epochs that are there already, up to the first that is not."""
        found: list[FileEntry] = []
        for epoch in range(self.recipe.epochs):
            entry = self._sidecar(epoch).whole_part()
            if entry is None:
                break
            found.append(entry)
        return found

    def _state(self, epochs: int) -> torch.optim.AdamW:
        """AdamW of torch over the vector of all adapter weights, as it is after so many epochs."""
        device = self.model.model.device
        weights = self.model.weights()
        if epochs:
            found = load_file(_path(self.stage, epochs - 1), device=str(device))
            weights = found["weights"]
        vector = torch.nn.Parameter(weights)
        made = torch.optim.AdamW([vector], betas=BETAS, eps=EPSILON, weight_decay=0.0)
        if epochs:
            steps = float(epochs * self.recipe.steps(len(self.row_ids)))
            made.state[vector] = {
                "step": torch.tensor(steps),
                "exp_avg": found["first"],
                "exp_avg_sq": found["second"],
            }
        return made

    def _train(self, state: torch.optim.AdamW, places: NDArray[np.int64], rate: float) -> None:
        vector = state.param_groups[0]["params"][0]
        made = len(state.state) and int(state.state[vector]["step"].item())
        seed = self.recipe.torch_seed(made + 1)
        self.model.load(vector.data)
        self.model.model.model.train()
        try:
            vector.grad = mean_gradient(self.model, [self.tokens[at] for at in places], seed)
        finally:
            self.model.model.model.eval()
        if not torch.isfinite(vector.grad).all():
            raise ModelError(
                f"the gradient of step {made + 1} is not finite",
                place="warm up",
                fix="use dtype float32, a lower `lr`, or another model",
            )
        torch.nn.utils.clip_grad_norm_([vector], MOST_LENGTH)
        state.param_groups[0]["lr"] = rate
        state.step()

    def _keep(self, state: torch.optim.AdamW, epoch: int) -> FileEntry:
        vector = state.param_groups[0]["params"][0]
        own = state.state[vector]
        held = {"weights": vector.data, "first": own["exp_avg"], "second": own["exp_avg_sq"]}
        there = {name: tensor.cpu().contiguous() for name, tensor in held.items()}
        return self._sidecar(epoch).commit(len(self.row_ids), partial(_write, there))

    def _sidecar(self, epoch: int) -> Sidecar:
        return Sidecar(_path(self.stage, epoch), self.key)


def mean_gradient(model: Adapted, rows: Sequence[Tokens], seed: int) -> Any:
    """(P,) float32 tensor: of the mean over rows of the mean loss of each one's response.

    seed: of what dropout leaves out, where the model is in training mode.
    """
    total = torch.zeros(model.parameters, device=model.model.device)
    devices = [] if model.model.on_cpu else [model.model.device]
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)

        def work(batch: NDArray[np.int64]) -> Any:
            return model.gradients([rows[place] for place in batch]).sum(dim=0)

        for _, one in each_batch(model.model, rows, work, budget_tokens=tokens_at_once(model)):
            total += one
    return total / len(rows)


def tokens_at_once(model: Adapted) -> int:
    """Tokens of a batch, padding included, whose backward pass fits."""
    return TOKENS if model.model.on_cpu else CARD_TOKENS


def _path(stage: Stage, epoch: int) -> Path:
    return stage.folder / f"epoch-{epoch:02d}.safetensors"


def _write(tensors: dict[str, Any], to: Path) -> None:
    save_file(tensors, to)
