"""Online mixing in trainers of transformers and TRL: needs torch, transformers and accelerate.

    mixing = mixing_of("mix", seed=0)
    trainer = online(SFTTrainer)(
        model=..., args=SFTConfig(...), train_dataset=load_dataset("mix", split="train"),
        callbacks=[OnlineMixingCallback(mixing)],
    )
    trainer.train()

A turn is a step of the optimizer. Rows are numbered by the policy in the training process (so any
number of workers is fine); each row keeps its task beside it through the collator; the losses of
the rows are read off the forward pass that trains, summed over all processes, and given to the
policy as the mean loss of a token of each task. The state is in trainer_state.json of checkpoints.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartx.errors import InputError, MissingPackageError
from smartx.online.batches import TaskBatches, lag_of
from smartx.online.loader import PREFETCH
from smartx.online.policy import OnlineMixing
from smartx.online.rows import tasks_of

try:
    import torch
    from transformers import TrainerCallback
except ImportError:
    raise MissingPackageError(
        "transformers", needed_for="online mixing in a trainer", extra="embed"
    ) from None

TASK = "smartx_task"  # in a batch: (rows,) the task of each
KEPT = "smartx_online_mixing"  # in trainer_state.json
_IGNORED = -100  # the label of a token that is not learned


class OnlineMixingCallback(TrainerCallback):
    """Ends a turn of the policy with each step, and keeps its state in the checkpoints.

    For trainers whose class is from `online`. mixing: the policy.  tasks: (n,) the task of each
    row of the training set, as a place in `mixing.tasks`; None: by its columns `source` and
    `task`.
    """

    def __init__(self, mixing: OnlineMixing, tasks: NDArray[np.integer[Any]] | None = None) -> None:
        self.mixing, self.tasks = mixing, tasks
        self.batches: TaskBatches | None = None
        self.skipped = 0  # losses that were no numbers
        self._begun = mixing.state()
        self._forget()

    def draw(self, rows: Any, *, batch_rows: int, processes: int, args: Any) -> TaskBatches:
        """The batches of a training set. args: of the trainer."""
        tasks = self._tasks_of(rows)
        steps = int(args.gradient_accumulation_steps)
        fetched = (args.dataloader_prefetch_factor or PREFETCH) * args.dataloader_num_workers
        self.mixing.lag = max(self.mixing.lag, lag_of(fetched + 1, steps))
        per_turn = steps * processes
        self.batches = TaskBatches(
            self.mixing, tasks, batch_rows=batch_rows, batches_per_turn=per_turn
        )
        return self.batches

    def hear(self, tasks: Any, losses: Any, tokens: Any) -> None:
        """Take in the losses of a batch.

        tasks: (rows,) places.  losses: (rows,) summed over tokens, in nats.  tokens: (rows,).
        """
        places = tasks.to("cpu")
        self._losses.index_add_(0, places, losses.to("cpu", torch.float64))
        self._tokens.index_add_(0, places, tokens.to("cpu", torch.float64))

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Begin anew, or go on from the checkpoint that the trainer was resumed from."""
        if self.batches is None:
            raise InputError(
                "the trainer does not draw by it",
                place="OnlineMixingCallback",
                fix="make the trainer of a class from smartx.online.trainer.online",
            )
        self._forget()
        if state.global_step == 0:
            self.mixing.restore(self._begun)
            self.batches.restart()
            return
        kept = state.stateful_callbacks.get(KEPT)
        if kept is None:
            raise InputError(
                "the checkpoint was made without online mixing",
                place="resume_from_checkpoint",
                fix="resume from one that was made with it, or begin anew",
            )
        self.batches.restore(kept)
        if not args.ignore_data_skip:
            self.batches.skipped = self.batches.batch % len(self.batches)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """End the turn."""
        sums = torch.stack([self._losses, self._tokens])
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            sums = sums.to(args.device)
            torch.distributed.all_reduce(sums)
        losses, tokens = sums.cpu().tolist()
        means = {i: loss / n for i, (loss, n) in enumerate(zip(losses, tokens, strict=True)) if n}
        numbers = {i: loss for i, loss in means.items() if math.isfinite(loss)}
        self.skipped += len(means) - len(numbers)
        self.mixing.update_all(numbers)
        self._forget()
        if self.batches is not None:
            state.stateful_callbacks[KEPT] = self.batches.state()

    def _forget(self) -> None:
        self._losses = torch.zeros(len(self.mixing), dtype=torch.float64)
        self._tokens = torch.zeros(len(self.mixing), dtype=torch.float64)

    def _tasks_of(self, rows: Any) -> NDArray[np.int64]:
        if self.tasks is not None:
            if len(self.tasks) != len(rows):
                raise InputError(
                    f"it holds {len(rows):,} rows, and the tasks of {len(self.tasks):,} are given",
                    place="train_dataset",
                    fix="turn packing off, and give the tasks of just these rows",
                )
            return np.asarray(self.tasks, dtype=np.int64)
        names = getattr(rows, "column_names", None) or ()
        if "task" not in names:
            raise InputError(
                "it has no column `task`",
                place="train_dataset",
                fix="give the rows of a mixture with packing off, or tasks= to the callback",
            )
        sources = list(rows["source"]) if "source" in names else None
        return tasks_of(self.mixing, sources, list(rows["task"]))


def online(trainer: type) -> type:
    """A trainer like another, whose rows an `OnlineMixingCallback` among its callbacks draws.

    trainer: transformers.Trainer or one made from it, such as TRL's SFTTrainer. Its `log` gets
    `effective_tasks`, the exponential of the entropy of the shares.
    """

    class OnlineTrainer(trainer):  # type: ignore[misc]
        def get_train_dataloader(self) -> Any:
            rows = self.train_dataset
            if not (hasattr(rows, "__len__") and hasattr(rows, "__getitem__")):
                fix = "load it without streaming"
                raise InputError("its rows have no numbers to draw", place="train_dataset", fix=fix)
            plain = super().get_train_dataloader()
            batches = _callback(self).draw(
                rows,
                batch_rows=self._train_batch_size,
                processes=self.accelerator.num_processes,
                args=self.args,
            )
            return self.accelerator.prepare(_loader(plain, batches))

        def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            tasks = inputs.pop(TASK, None)
            if tasks is None or not model.training:
                return super().compute_loss(model, inputs, *args, **kwargs)
            with _hearing(model, inputs.get("labels"), tasks, _callback(self)):
                return super().compute_loss(model, inputs, *args, **kwargs)

        def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
            if "loss" in logs:
                shares = _callback(self).mixing.probs()
                logs["effective_tasks"] = float(np.exp(-(shares * np.log(shares)).sum()))
            super().log(logs, *args, **kwargs)

    OnlineTrainer.__name__ = OnlineTrainer.__qualname__ = f"Online{trainer.__name__}"
    return OnlineTrainer


def row_losses(output: Any, labels: Any) -> tuple[Any, Any]:
    """((rows,) losses summed over the tokens that are learned, in nats; (rows,) how many).

    output: of a causal model: logits, or the log-probabilities of TRL's fused head.  labels: (rows,
    tokens), -100 where nothing is learned. Raises InputError where the output says nothing of rows.
    """
    fused = getattr(output, "log_probs", None)
    if fused is not None:
        mask = output.label_mask
        return -(fused * mask).sum(1), mask.sum(1)
    logits = getattr(output, "logits", None)
    if logits is None or labels is None:
        raise InputError(
            "the model gives no logits, or the batch no labels, so rows have no losses",
            place="online mixing",
            fix="turn off a fused loss (use_liger_kernel), and give labels",
        )
    shifted = labels[:, 1:]
    mask = shifted != _IGNORED
    losses = [
        torch.nn.functional.cross_entropy(row[kept].float(), wanted[kept], reduction="sum")
        for row, wanted, kept in zip(logits[:, :-1], shifted, mask, strict=True)
    ]
    return torch.stack(losses), mask.sum(1)


@contextmanager
def _hearing(model: Any, labels: Any, tasks: Any, callback: OnlineMixingCallback) -> Iterator[None]:
    """While a batch goes through the model, its rows' losses go to the callback."""
    found: list[tuple[Any, Any]] = []

    def hear(_module: Any, _args: Any, given: dict[str, Any], output: Any) -> None:
        own = labels if labels is not None else given.get("labels")
        with torch.no_grad():
            found[:] = [row_losses(output, own)]

    hook = model.register_forward_hook(hear, with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()
    losses, tokens = found[0] if found else (torch.zeros(0), torch.zeros(0))
    if len(losses) != len(tasks):
        raise InputError(
            f"{len(tasks)} rows went in, and the model gave losses of {len(losses)}",
            place="online mixing",
            fix="turn off packing and padding_free: they put rows into one",
        )
    callback.hear(tasks, losses, tokens)


class _Tagged:
    """Rows with the task of each beside them."""

    def __init__(self, rows: Any, tasks: NDArray[np.integer[Any]]) -> None:
        self.rows, self.tasks = rows, tasks

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> tuple[int, Any]:
        return int(self.tasks[row]), self.rows[row]


class _Collate:
    """A collator whose batches have the tasks of their rows."""

    def __init__(self, collate: Callable[[Sequence[Any]], Any]) -> None:
        self.collate = collate

    def __call__(self, rows: Sequence[tuple[int, Any]]) -> Any:
        batch = dict(self.collate([row for _, row in rows]))
        return {**batch, TASK: torch.tensor([task for task, _ in rows])}


def _loader(plain: Any, batches: TaskBatches) -> Any:
    """A trainer's loader with other batches. plain: as it makes it."""
    same = ("num_workers", "pin_memory", "worker_init_fn", "multiprocessing_context")
    options = {name: getattr(plain, name) for name in same}
    if plain.num_workers:
        options["prefetch_factor"] = plain.prefetch_factor
        options["persistent_workers"] = plain.persistent_workers
    return torch.utils.data.DataLoader(
        _Tagged(plain.dataset, batches.tasks),
        batch_sampler=batches,
        collate_fn=_Collate(plain.collate_fn),
        **options,
    )


def _callback(trainer: Any) -> OnlineMixingCallback:
    found = [c for c in trainer.callback_handler.callbacks if isinstance(c, OnlineMixingCallback)]
    if len(found) != 1:
        raise InputError(
            f"{len(found)} callbacks of online mixing are among the trainer's",
            place="callbacks",
            fix="pass callbacks=[OnlineMixingCallback(mixing)]",
        )
    only: OnlineMixingCallback = found[0]
    return only
