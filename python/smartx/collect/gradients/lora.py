"""A causal model with LoRA adapters, whose weights are one vector, and gradients of single rows.

An adapter is two linear layers, y = B A x. For a layer with inputs x_t and gradients d_t of its
outputs at the tokens t of a row, the row's gradient of its weights is the sum over t of d_t x_t':
all rows of a batch get theirs from one backward pass, exactly.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import peft
import torch

from smartx.causal import CausalModel, Tokens
from smartx.causal.losses import answers
from smartx.collect.gradients.asked import Lora
from smartx.embed.quiet import quiet
from smartx.errors import ModelError

PUBLISHED = ("q_proj", "k_proj", "v_proj", "o_proj")  # the layers that LESS adapts
_HALVES = ("lora_A", "lora_B")


@dataclass(frozen=True, eq=False)
class Adapted:
    """A model with adapters; nothing in it asks for gradients of its own.

    model: with the adapters inside.  places: each adapter weight, (module, start, stop) in the
    vector of all of them.  parameters: its length P.
    """

    model: CausalModel
    places: list[tuple[Any, int, int]]
    parameters: int
    _into: threading.local = field(default_factory=threading.local, repr=False)

    def weights(self) -> Any:
        """(P,) float32 tensor, a copy."""
        return torch.cat([module.weight.detach().flatten().float() for module, _, _ in self.places])

    def load(self, weights: Any) -> None:
        """Take these weights, a (P,) tensor."""
        for module, start, stop in self.places:
            module.weight.data.copy_(weights[start:stop].view_as(module.weight))

    def gradients(self, batch: Sequence[Tokens]) -> Any:
        """(n, P) float32 tensor: of the mean loss of each row's response, by the adapters' weights.

        A row without a token of response has zeros. Threads may ask side by side.
        """
        with ExitStack() as open_:
            open_.enter_context(torch.inference_mode(False))
            open_.enter_context(torch.enable_grad())
            made = torch.zeros((len(batch), self.parameters), device=self.model.device)
            self._into.rows = made
            open_.callback(setattr, self._into, "rows", None)
            losses = answers(self.model, batch, [row.response_from for row in batch]).losses
            total = sum(loss.mean() for loss in losses if len(loss))
            if not isinstance(total, int):
                total.backward()
        return made

    def watch(self) -> None:
        """Have every adapter weight write its part of the gradients, and the graph begin."""

        def begin(_module: Any, _inputs: Any, output: Any) -> Any:
            recording = getattr(self._into, "rows", None) is not None
            return output.detach().requires_grad_() if recording else None

        self.model.model.get_input_embeddings().register_forward_hook(begin)
        for module, start, stop in self.places:
            module.register_forward_hook(self._writer(start, stop))

    def _writer(self, start: int, stop: int) -> Any:
        def seen(_module: Any, inputs: tuple[Any, ...], output: Any) -> None:
            rows = getattr(self._into, "rows", None)
            if rows is None:
                return
            given = inputs[0].detach()

            def write(wanted: Any) -> None:
                one = torch.einsum("nto,nti->noi", wanted.float(), given.float())
                rows[:, start:stop] += one.reshape(len(rows), -1)  # a layer may be used twice

            output.register_hook(write)

        return seen


def adapted(model: CausalModel, lora: Lora, seed: int) -> Adapted:
    """Give a model adapters, in place, with the first weights that `seed` draws.

    They stand at the layers that LESS adapts, or at all linear ones where none is called so.
    Raises ModelError where a model cannot be adapted.
    """
    names = {name.rpartition(".")[2] for name, _ in model.model.named_modules()}
    here = [name for name in PUBLISHED if name in names]
    config = peft.LoraConfig(
        r=lora.rank,
        lora_alpha=lora.rank * lora.scale,
        lora_dropout=lora.dropout,
        target_modules=here or "all-linear",
        task_type="CAUSAL_LM",
    )
    try:
        with torch.random.fork_rng(devices=[]), quiet():
            torch.manual_seed(seed)
            inside = peft.inject_adapter_in_model(config, model.model)
    except (ValueError, TypeError) as problem:
        raise ModelError(
            f"it cannot be given adapters ({(str(problem).splitlines() or [''])[0][:200]})",
            place=str(model.folder),
        ) from problem
    inside.requires_grad_(False)
    made = _placed(replace(model, model=inside.eval()))
    made.watch()
    return made


def _placed(model: CausalModel) -> Adapted:
    places, stop = [], 0
    for name, module in model.model.named_modules():
        if len(parts := name.split(".")) > 1 and parts[-2] in _HALVES:
            start, stop = stop, stop + module.weight.numel()
            module.weight.data = module.weight.data.float()
            places.append((module, start, stop))
    return Adapted(model, places, stop)
