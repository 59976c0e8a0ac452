"""One segment of a training, by the trainer of transformers: from the last state to a step.

Every segment begins with what the last one left on disk, whether or not it was killed between, so
that both ways give the same bytes. Long segments leave states on the way.
"""

from __future__ import annotations

import gc
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from smartx.causal.model import EXTRA, libraries
from smartx.collect.training.examples import Examples, collated
from smartx.collect.training.recipe import Recipe
from smartx.collect.training.states import States
from smartx.embed.quiet import quiet
from smartx.errors import InputError, MissingPackageError, ModelError, first_line
from smartx.progress import Progress, step

SAVE_SECONDS = 600.0  # between states, within a segment
# Of torch while it trains, whatever there are: sums over gradients depend on their number.
THREADS = 4


@dataclass(frozen=True, eq=False)
class Training:
    """A training, of which segments are run.

    model: makes the model as it is before the first step, float32, on the device.
    on_cpu: whether that is the processor; else it is the first GPU.
    dtype: float32, or bfloat16: then products are computed in it, weights stay float32.
    save_seconds: between states within a segment.
    """

    recipe: Recipe
    examples: Examples
    states: States
    model: Callable[[], Any]
    on_cpu: bool = True
    dtype: str = "float32"
    save_seconds: float = SAVE_SECONDS

    def __post_init__(self) -> None:
        """Raise InputError for a dtype that nothing is trained in."""
        if self.dtype not in ("float32", "bfloat16"):
            raise InputError(
                f"training in {self.dtype} is not offered",
                place="dtype",
                fix="pass `dtype` float32 or bfloat16",
            )

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole training."""
        return -(-len(self.examples) // self.recipe.batch)


def trained_to(training: Training, until: int, progress: Progress, name: str) -> Path:
    """The folder of the state after `until` optimizer steps; trained first where it is not there.

    It goes on from the last whole state. Raises ModelError where training fails,
    MissingPackageError without its packages.
    """
    states = training.states
    begun = states.newest(until)
    if begun == until:
        return states.path(until)
    with step(progress, name, until - (begun or 0), "steps") as advance, _apart(training):
        trainer = _trainer(training, until, advance)
        resumed = None if begun is None else os.fspath(states.path(begun))
        try:
            with quiet():
                trainer.train(resume_from_checkpoint=resumed)
        except (RuntimeError, MemoryError, ValueError) as problem:
            raise ModelError(
                f"training failed ({first_line(problem)})",
                place=name,
                fix="where memory is too small: a smaller `max_length` or model",
            ) from problem
        finally:
            trainer.accelerator.free_memory()
            del trainer  # it holds itself in circles, and with it model and optimizer
            gc.collect()
    if not states.is_whole(until):
        raise ModelError(f"training ended before step {until:,}", place=name)
    return states.path(until)


def weights_from(state: Path, model: Any) -> None:
    """Give a model the weights of a state, in place, in the type that it has.

    Raises ModelError where a state lacks weights of the model.
    """
    from safetensors.torch import load_file

    own = model.state_dict()
    missing = dict(own)
    for file in sorted(state.glob("*.safetensors")):
        found = load_file(file)
        model.load_state_dict(found, strict=False)
        for name in found:
            missing.pop(name, None)
    tied = {own[name].data_ptr() for name in own if name not in missing}
    lacking = sorted(name for name, tensor in missing.items() if tensor.data_ptr() not in tied)
    if lacking:
        raise ModelError(f"it holds no weights {lacking[0]!r}", place=os.fspath(state))


def _trainer(training: Training, until: int, advance: Callable[[int], None]) -> Any:
    _, transformers = libraries("training a language model")
    recipe = training.recipe
    try:
        with quiet():
            arguments = transformers.TrainingArguments(
                output_dir=os.fspath(training.states.folder),
                max_steps=training.steps,
                per_device_train_batch_size=recipe.at_once,
                gradient_accumulation_steps=recipe.batch // recipe.at_once,
                learning_rate=recipe.rate,
                lr_scheduler_type="cosine",
                warmup_steps=int(np.ceil(recipe.warm_up * training.steps)),
                weight_decay=0.0,
                optim="adamw_torch",
                max_grad_norm=1.0,
                seed=recipe.seed & 0xFFFFFFFF,
                use_cpu=training.on_cpu,
                bf16=training.dtype == "bfloat16",
                save_strategy="no",  # the callback says when
                logging_strategy="no",
                report_to=[],
                disable_tqdm=True,
                remove_unused_columns=False,
                label_names=["labels"],
                dataloader_pin_memory=False,
            )
            if arguments.n_gpu > 1:
                arguments._n_gpu = 1  # one device: the batches are the same on every machine
            trainer = _trainer_class(transformers)(
                model=training.model(),
                args=arguments,
                train_dataset=training.examples,
                data_collator=collated,
                callbacks=[_watch(transformers, training, until, advance)],
            )
            trainer.remove_callback(transformers.PrinterCallback)
            return trainer
    except ImportError:
        raise MissingPackageError(
            "accelerate", needed_for="training a language model", extra=EXTRA
        ) from None


def _trainer_class(transformers: Any) -> Any:
    class InOrder(transformers.Trainer):  # type: ignore[misc]
        """The examples as they come: their order is drawn beforehand, by our own draws."""

        def get_train_dataloader(self) -> Any:
            from torch.utils.data import DataLoader, SequentialSampler

            examples = self.train_dataset
            return self.accelerator.prepare(
                DataLoader(
                    examples,
                    batch_size=self.args.per_device_train_batch_size,
                    sampler=SequentialSampler(examples),
                    collate_fn=collated,
                )
            )

    return InOrder


def _watch(
    transformers: Any, training: Training, until: int, advance: Callable[[int], None]
) -> Any:
    class Watch(transformers.TrainerCallback):  # type: ignore[misc]
        """Ends the segment at its step, has states saved, and tells how far it is."""

        saved = time.monotonic()

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            advance(1)
            if state.global_step >= until:
                control.should_save = control.should_training_stop = True
            elif time.monotonic() - self.saved >= training.save_seconds:
                control.should_save = True

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            training.states.vouch(int(state.global_step))
            self.saved = time.monotonic()

    return Watch()


@contextmanager
def _apart(training: Training) -> Iterator[None]:
    """Draws, threads and rules of torch are afterwards what they were: the trainer sets its own."""
    torch, _ = libraries("training a language model")
    threads, exact = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    drawn, counted = random.getstate(), np.random.get_state()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # sums of a card in one order
    try:
        with torch.random.fork_rng(devices=[] if training.on_cpu else [0]):
            torch.set_num_threads(THREADS)
            torch.use_deterministic_algorithms(True, warn_only=True)
            yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(exact, warn_only=warns)
        random.setstate(drawn)
        np.random.set_state(counted)
