"""The commands of `smartx augment` (LLM2LLM), which feature_commands.py describes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from smartx.console import Command
from smartx.display import line, table
from smartx.feature_commands import MODEL
from smartx.flags import keyword, own_option
from smartx.outcomes import Outcome
from smartx.progress import Progress

if TYPE_CHECKING:
    from smartx.config import RunConfig

WORDS = """
LLM2LLM: find the rows that a fine-tuned model gets wrong, ask any generator for a new one like
each, and take its answers back as a source.

[bold]Example[/]

  smartx augment ask --run-dir work --mixture mix --model tuned --out round1

  (have a generator answer round1/prompts.jsonl, a chat a line)

  smartx augment take round1 answers.jsonl --to new.jsonl

  smartx run rows.jsonl new.jsonl --rows 6000 --out mix2
"""
_JUDGED = {"rich_help_panel": "Which rows are wrong"}
_ASKED = {"rich_help_panel": "What is asked, and where it is written"}
ASK = (
    own_option(
        "out", Path, ..., "folder for what is asked: absent, empty or begun by the same command",
        metavar="FOLDER", **_ASKED,
    ),
    own_option(
        "mixture", Path | None, None,
        "look at the rows of this mixture alone [dim](default: all rows of the run folder)[/]",
        metavar="FOLDER", **_JUDGED,
    ),
    *MODEL,
    own_option(
        "judge", str, "exact",
        "exact: the greedy answer and the response are one text, but for case, punctuation, "
        "articles and white space; number: their last numbers are equal; loss: the mean loss of "
        "the response is above --quantile of all",
        metavar="NAME", **_JUDGED,
    ),
    own_option("quantile", float, 0.75, "of --judge loss", metavar="X", **_JUDGED),
    own_option(
        "max_new_tokens", int, 256, "of an answer, at most", min=1, metavar="N", **_JUDGED
    ),
    own_option(
        "neighbours", int, 3,
        "nearest rows of the corpus that a prompt shows for their form; 0 is as published, and "
        "needs no vectors",
        min=0, metavar="N", **_ASKED,
    ),
    own_option(
        "generator", str, "",
        "write batch.jsonl too: requests for this model, as batches of OpenAI and vLLM take them",
        metavar="NAME", **_ASKED,
    ),
)  # fmt: skip
_FOLDER = typer.Argument(help="folder of `smartx augment ask`", show_default=False)
_ANSWERS = typer.Argument(
    help="JSON Lines: `id` and `answer`, or the responses of a batch", show_default=False
)
TAKE = (
    keyword("asked", Annotated[Path, _FOLDER], ...),
    keyword("answers", Annotated[list[Path], _ANSWERS], ...),
    own_option("to", Path, ..., "file for the new rows", metavar="FILE"),
    own_option(
        "overlap", float, 0.95,
        "ROUGE-L of prompts above which a new row is a copy of a wrong one or of another new one",
        metavar="X",
    ),
    own_option("overwrite", bool, False, "replace the file", metavar=""),
)  # fmt: skip


def ask(
    config: RunConfig,
    progress: Progress,
    *,
    out: Path,
    mixture: Path | None,
    generator: str,
    **options: Any,
) -> Outcome:
    """Find the rows that MODEL gets wrong, and write what to ask a generator for each.

    OUT/prompts.jsonl has a chat for each wrong row, OUT/judged.jsonl what the model said. Rows that
    were generated before are left aside. A command that was stopped goes on where it was.

    Example:  smartx augment ask --run-dir work --mixture mix --model tuned --out round1
    """
    from smartx.augment import Asked
    from smartx.augment import ask as ask_for
    from smartx.augment.run import told

    asked = Asked(**options)
    run = config.run_dir
    if run is None and mixture is not None:
        run = mixture.with_name(f"{mixture.name}.run")
    found = ask_for(
        config.work_folder if run is None else run,
        out,
        asked,
        mixture=mixture,
        generator=generator,
        threads=config.threads,
        progress=progress,
    )
    rows = [
        (one["task"], f"{one['rows']:,}", f"{one['wrong']:,}", f"{one['wrong'] / one['rows']:.1%}")
        for one in sorted(found.facts["tasks"], key=lambda one: -one["wrong"])[:20]
    ]
    return [table(("task", "rows", "wrong", "share"), rows), *map(line, told(found))]


def take(config: RunConfig, progress: Progress, *, asked: Path, **options: Any) -> Outcome:
    """Take the answers of a generator as new rows, at most one for each wrong row.

    The file is a source for `smartx ingest`: rows have the source and task of the row they were
    made from, the template llm2llm, and columns that name it. FILE.dropped.jsonl says why answers
    gave no row.

    Example:  smartx augment take round1 answers.jsonl --to new.jsonl
    """
    from smartx.augment import take as take_from
    from smartx.augment.answers import told

    del config, progress
    return map(line, told(take_from(asked, **options)))


AUGMENT_COMMANDS = (
    Command(ask, ("run_dir", "threads"), False, ASK, True, None),
    Command(take, (), False, TAKE, True, None),
)
