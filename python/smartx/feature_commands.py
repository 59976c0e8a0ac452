"""The commands of `smartx features`: what a language model says of the rows, kept for rankers.

A command is a function (config, progress, **options) with a line in FEATURE_COMMANDS; its options
are fields of RunConfig by name, and own ones made by `own_option`. What it loads (torch,
transformers) it imports when it runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from smartx.console import Command
from smartx.display import line
from smartx.flags import COLUMNS, own_option
from smartx.outcomes import Outcome
from smartx.progress import Progress, counted

if TYPE_CHECKING:
    from smartx.config import RunConfig
    from smartx.features import StoredFeature

WORDS = """
Have a language model look at every row, and keep what it says as features of the rows.

A ranker or weight law finds them by name in the run folder: after `smartx features llm`,
`smartx rank --ranker score:column=ifd` needs no --feature. What was done when a run is killed stays
done: the same command goes on.

[bold]Example[/]

  smartx features llm rows.jsonl --run-dir work --model SmolLM2-135M-Instruct

  smartx compare --run-dir work --rows 5000 --strategy "equal / score:column=ifd"
"""
FIELDS = ("run_dir", "threads", "memory", *COLUMNS)  # of all of them, besides SOURCES
_WHICH = {"rich_help_panel": "Which model, and how it reads"}
MODEL = (
    own_option(
        "model",
        Path,
        ...,
        "folder of a causal language model with safetensors weights and its tokenizer, as "
        "save_pretrained of transformers writes it",
        metavar="FOLDER",
        **_WHICH,
    ),
    own_option(
        "max_length",
        int,
        1_024,
        "tokens of a row that are read; of a longer one the beginning of the prompt is left out",
        min=2,
        metavar="N",
        **_WHICH,
    ),
    own_option(
        "device", str, "auto", "auto (the first GPU, or the CPU), cpu, cuda:1", metavar="NAME",
        **_WHICH,
    ),
    own_option(
        "dtype", str, "float32", "of weights and numbers: float32, bfloat16 or float16",
        metavar="NAME", **_WHICH,
    ),
)  # fmt: skip

_ASKED = {"rich_help_panel": "What it is asked"}
LLM = (
    own_option(
        "scores", str, "perplexity,ifd",
        "loss, perplexity, ifd, learnability, ask-llm, difficulty, rds", metavar="NAME,NAME",
        **_ASKED,
    ),
    own_option(
        "reference", Path | None, None, "folder of the same model after training, for learnability",
        metavar="FOLDER", **_ASKED,
    ),
    own_option(
        "queries", list[str] | None, None,
        "NAME=SOURCE: rows whose hidden states become the table NAME, for rds; again for more",
        metavar="TEXT", **_ASKED,
    ),
    own_option(
        "answer_tokens", int, 128,
        "of the model's own answers at most, for difficulty; 0: without difficulty_confidence",
        min=0, metavar="N", **_ASKED,
    ),
)  # fmt: skip

_TRAINING = {"rich_help_panel": "How the model is fine-tuned"}
TRAJECTORIES = (
    MODEL[0],
    own_option(
        "max_length",
        int,
        512,
        "tokens of a row that are read; of a longer one the beginning of the prompt is left out",
        min=2,
        metavar="N",
        **_WHICH,
    ),
    *MODEL[2:],
    own_option(
        "train_rows",
        str,
        "all",
        "rows to fine-tune on, drawn by --seed, or all; losses are recorded of all rows",
        metavar="N|all",
        **_TRAINING,
    ),
    own_option(
        "checkpoints", int, 12, "how often losses are recorded, evenly spread over the training",
        min=1, metavar="N", **_TRAINING,
    ),
    own_option("epochs", float, 3.0, "passes over the rows", metavar="X", **_TRAINING),
    own_option(
        "lr", float, 2e-5, "highest learning rate: it warms up, then falls along a cosine",
        metavar="X", **_TRAINING,
    ),
    own_option("batch", int, 32, "rows of an optimizer step", min=1, metavar="N", **_TRAINING),
)  # fmt: skip

_ADAPTERS = {"rich_help_panel": "How adapters are warmed up, and gradients kept"}
GRADIENTS = (
    MODEL[0],
    own_option(
        "max_length",
        int,
        2_048,
        "tokens of a row that are read; of a longer one the beginning of the prompt is left out",
        min=2,
        metavar="N",
        **_WHICH,
    ),
    *MODEL[2:],
    own_option(
        "targets", Path | None, None,
        "rows that the selection is to help, a few for each subtask, which is what their column of "
        "tasks says; for the ranker influence",
        metavar="FILE", **_ADAPTERS,
    ),
    own_option(
        "dimensions", int, 8_192, "values that a gradient becomes at each checkpoint",
        min=1, metavar="N", **_ADAPTERS,
    ),
    own_option(
        "warmup_rows", str, "5%", "rows that adapters are trained on first, drawn by --seed",
        metavar="N|N%", **_ADAPTERS,
    ),
    own_option(
        "epochs", int, 4, "passes over them; after each, gradients are taken",
        min=1, max=99, metavar="N", **_ADAPTERS,
    ),
    own_option(
        "lr", float, 2e-5, "highest learning rate: it warms up, then falls in a line",
        metavar="X", **_ADAPTERS,
    ),
    own_option("batch", int, 32, "rows of an optimizer step", min=1, metavar="N", **_ADAPTERS),
    own_option(
        "lora_rank", int, 128, "of the adapters; gradients are as long as all their weights",
        min=1, metavar="N", **_ADAPTERS,
    ),
    own_option(
        "formulas", str, "paper", "paper or code: which of LESS's two ways gradients are "
        "preconditioned and targets put together",
        metavar="NAME", **_ADAPTERS,
    ),
)  # fmt: skip


def collected_outcome(features: dict[str, StoredFeature]) -> Outcome:
    """A line for each feature: how large it is, and where."""
    for name, feature in features.items():
        rows = counted(int(feature.manifest["rows"]), "row")
        each = f" of {counted(feature.dimensions, 'value')}" if feature.dimensions > 1 else ""
        yield line(f"{name}: {rows}{each} in {feature.folder}")


def llm(config: RunConfig, progress: Progress, **options: Any) -> Outcome:
    """Score every row by a causal language model: how well it knows the response, and what for.

    loss, perplexity: the response given its prompt. ifd: the loss with the prompt by that without
    (adds loss_alone). learnability: loss_before and loss_after, by --model and --reference, for the
    ranker lobass. ask-llm: how likely the model says that the row is worth training on (ask_llm).
    difficulty: 3DS's difficulty_understanding, _confidence, _correctness, and how far a row is from
    the middle of them (difficulty_band). rds: hidden states as vectors, for --ranker
    rds:vectors=rds and --queries.

    [bold]Examples[/]

      smartx features llm rows.jsonl --run-dir work --model SmolLM2-135M-Instruct

      smartx rank --run-dir work --ranker score:column=ifd

      smartx features llm --run-dir work --model base --reference tuned --scores learnability

      smartx features llm --run-dir work --model base --scores rds --queries dev=dev.jsonl
    """
    from smartx.collect.llm import asked_for, collect_llm
    from smartx.pipeline import features_step

    asked = asked_for(**options)
    return collected_outcome(
        features_step(config, progress, lambda *where: collect_llm(asked, config, *where))
    )


def trajectories(config: RunConfig, progress: Progress, **options: Any) -> Outcome:
    """Fine-tune a small model, and record what it loses on every row at checkpoints, for S2L.

    The ranker s2l then takes rows from all clusters of these trajectories alike.

    Example:  smartx features trajectories --run-dir work --model SmolLM2-135M --train-rows 5000
    """
    from smartx.collect.trajectories import asked_for, collect_trajectories
    from smartx.pipeline import features_step

    asked = asked_for(**options, seed=config.seed)
    return collected_outcome(
        features_step(config, progress, lambda *where: collect_trajectories(asked, config, *where))
    )


def gradients(config: RunConfig, progress: Progress, **options: Any) -> Outcome:
    """Warm up adapters (LoRA), and keep the gradients that they have on rows and targets, for LESS.

    The ranker influence then takes the rows that help --targets most.

    [bold]Examples[/]

      smartx features gradients --run-dir work --model SmolLM2-135M --targets dev.jsonl
      --lora-rank 8 --dimensions 1024 --max-length 512

      smartx rank --run-dir work --ranker influence
    """
    from smartx.collect.gradients import asked_for, collect_gradients
    from smartx.pipeline import features_step

    asked = asked_for(**options, seed=config.seed)
    return collected_outcome(
        features_step(config, progress, lambda *where: collect_gradients(asked, config, *where))
    )


FEATURE_COMMANDS = (
    Command(llm, FIELDS, True, (*MODEL, *LLM), True, None),
    Command(trajectories, (*FIELDS, "seed"), True, TRAJECTORIES, True, None),
    Command(gradients, (*FIELDS, "seed"), True, GRADIENTS, True, None),
)
