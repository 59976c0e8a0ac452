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


def collected_outcome(features: dict[str, StoredFeature]) -> Outcome:
    """A line for each feature: how large it is, and where."""
    for name, feature in features.items():
        rows = counted(int(feature.manifest["rows"]), "row")
        each = f" of {counted(feature.dimensions, 'value')}" if feature.dimensions > 1 else ""
        yield line(f"{name}: {rows}{each} in {feature.folder}")


def llm(config: RunConfig, progress: Progress, **options: Any) -> Outcome:
    """Score every row by a causal language model: perplexity, IFD and others.

    Example:  smartx features llm rows.jsonl --run-dir work --model SmolLM2-135M-Instruct
    """
    from smartx.collect.llm import Asked, collect_llm
    from smartx.pipeline import features_step

    asked = Asked(**options)
    return collected_outcome(
        features_step(config, progress, lambda *where: collect_llm(asked, config, *where))
    )


FEATURE_COMMANDS = (Command(llm, FIELDS, True, MODEL, True, None),)
