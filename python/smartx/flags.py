"""What each command of the command line takes, as typer has it. Flags that are fields of the
configuration are made from these, in field_flags.py; here are their panels, and all other options.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any

import typer

# Which fields of the configuration each panel of --help shows, in order.
PANELS: dict[str, tuple[str, ...]] = {
    "How much, and where to": (
        "rows", "tokens", "token_kind", "out", "overwrite", "run_dir", "threads", "memory",
        "executor",
    ),
    "Who gets how much besides, and how often": (
        "floor", "cap", "pin", "exclude", "include_rows", "exclude_rows", "epochs", "rounding",
    ),
    "Which strategy": (
        "preset", "weights", "ranker", "tasks", "feature", "near_duplicates",
        "near_duplicates_within", "seed",
    ),
    "What must not be in it": (
        "leave_out", "leave_out_by", "leave_out_words", "leave_out_share", "leave_out_cosine",
        "leave_out_column", "leave_out_vectors", "trained", "clean",
    ),
    "How rows are embedded": (
        "encoder", "student_rows", "teacher_rows", "vectors", "vectors_column", "encoder_revision",
        "batch_size", "max_length", "embed_turns", "prompt_prefix", "device", "dtype",
    ),
    "What the columns mean (found by name where not given)": (
        "prompt_column", "response_column", "system_column", "messages_column", "source_column",
        "task_column", "template_column", "task", "source", "keep_empty_responses",
        "duplicates", "drop_other_columns", "tokenizer",
    ),
}  # fmt: skip
OUTPUT, DEMANDS, STRATEGY, LEAVING, EMBEDDING, COLUMNS = PANELS.values()
PROGRESS = ("auto", "lines", "json", "none")
RANKING = ("preset", "ranker", "feature", "near_duplicates", "near_duplicates_within", "seed")


def paragraphs(text: str) -> str:
    """A docstring whose paragraphs are single lines, which the help breaks at its own width."""
    return "\n\n".join(
        " ".join(part.split()) if not part.startswith("  ") else part
        for part in inspect.cleandoc(text).split("\n\n")
    )


def sources_argument() -> inspect.Parameter:
    """SOURCES, of commands that read files."""
    argument = typer.Argument(
        help="files, folders, globs or a Hub name: Parquet, JSON Lines, JSON, CSV, Arrow",
        show_default=False,
    )
    return keyword("sources", Annotated[list[str] | None, argument], None)


def common_options(*, config: bool = True) -> list[inspect.Parameter]:
    """The options of every command that works. config: of one that a configuration says anything
    to.
    """
    file = typer.Option("--config", "-c", help="a YAML file; flags win over it", show_default=False)
    shown = typer.Option(
        "--progress",
        help="how progress is told, on standard error: auto (a live view on a terminal, else "
        "lines), lines, json (an object a line, for programs) or none [dim](default: auto)[/]",
        show_default=False,
        metavar="NAME",
    )
    quiet = typer.Option(
        "--quiet",
        "-q",
        help="only the outcome and warnings: --progress none",
        show_default=False,
        metavar="",
    )
    return [
        *([keyword("config", Annotated[Path | None, file], None)] if config else ()),
        keyword("progress", Annotated[str | None, shown], None),
        keyword("quiet", Annotated[bool, quiet], False),
    ]


def keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    """A parameter of a command's function."""
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=default, annotation=annotation)


def _own(name: str, kind: Any, default: Any, words: str, **more: Any) -> inspect.Parameter:
    """An option of one command that is no field of the configuration; ... is no default."""
    shown = default not in (None, False, ...)
    option = typer.Option(f"--{name.replace('_', '-')}", help=words, show_default=shown, **more)
    default = inspect.Parameter.empty if default is ... else default
    return keyword(name, Annotated[kind, option], default)


own_option = _own  # for commands whose options stand with them

SHARD = (
    _own(
        "shard",
        str | None,
        None,
        "make only the units of one shard, such as 0/4 (the first of four), beside other shards on "
        "this or other machines; the same command without it then finishes",
        metavar="i/N",
    ),
)

_BESIDE = {"rich_help_panel": "What is compared, and how"}
COMPARISON = (
    _own(
        "strategy",
        list[str] | None,
        None,
        "NAME=WEIGHTS / RANKER, or a preset, or: defaults; again for each",
        metavar="TEXT",
        **_BESIDE,
    ),
    _own(
        "strategies",
        Path | None,
        None,
        "a YAML file that lists them: `strategies`",
        metavar="FILE",
        **_BESIDE,
    ),
    _own(
        "folds", int, 4, "in each, other tasks are held out", min=1, max=100, metavar="N", **_BESIDE
    ),
    _own(
        "hold_out_tasks",
        list[str] | None,
        None,
        "glob of the tasks that are held out, instead of folds; again for more",
        metavar="GLOB",
        **_BESIDE,
    ),
    _own(
        "draws",
        int,
        200,
        "random choices to compare with",
        min=2,
        max=10_000,
        metavar="N",
        **_BESIDE,
    ),
    _own("json", Path | None, None, "file for all numbers", metavar="FILE", **_BESIDE),
    _own(
        "report",
        Path | None,
        None,
        "HTML file for the table and pictures",
        metavar="FILE",
        **_BESIDE,
    ),
)

VERIFY = (
    keyword(
        "folder",
        Annotated[
            Path,
            typer.Argument(
                help="a run folder, a mixture, or one stage's folder", show_default=False
            ),
        ],
        inspect.Parameter.empty,
    ),
)

INIT = (
    keyword(
        "file",
        Annotated[Path, typer.Argument(help="the file that is made", show_default=False)],
        Path("smartx.yaml"),
    ),
)

_MADE = Annotated[Path, typer.Argument(help="folder of the mixture", show_default=False)]
REPORT = (
    keyword("mixture", _MADE, inspect.Parameter.empty),
    _own("to", Path, ..., "file to write", metavar="FILE"),
    _own("compared", Path | None, None, "file of smartx compare --json", metavar="FILE"),
)

_SWARM = {"rich_help_panel": "Which mixtures"}
SWARM = (
    _own(
        "design",
        str,
        "dirichlet",
        "dirichlet: draws around the prior; leave-one-out: the prior without one task; scale-one: "
        "one task's share times a factor",
        metavar="NAME",
        **_SWARM,
    ),
    _own("level", str, "task", "what is varied: task, or source", metavar="NAME", **_SWARM),
    _own(
        "count",
        int | None,
        None,
        "mixtures, the prior among them (default: 64 draws, or one a task and the prior)",
        min=1,
        metavar="N",
        **_SWARM,
    ),
    _own(
        "concentration",
        float | None,
        None,
        "of the draws: the larger, the nearer to the prior (default: the number of tasks)",
        metavar="X",
        **_SWARM,
    ),
    _own("factor", float, 2.0, "of scale-one", metavar="X", **_SWARM),
    _own("rows_only", bool, False, "write row ids, a .npy a mixture", metavar="", **_SWARM),
)
_READ = {"rich_help_panel": "What is read"}
_FITTED = {"rich_help_panel": "How it is fitted"}
FIT = (
    keyword(
        "swarm",
        Annotated[
            Path, typer.Argument(help="the folder of a swarm, or a ratios.csv", show_default=False)
        ],
        inspect.Parameter.empty,
    ),
    _own(
        "metrics",
        Path,
        ...,
        "CSV: a line a trained run, its mixture in column run, numbers in the others",
        metavar="FILE",
        **_READ,
    ),
    _own("metric", str | None, None, "column (default: the only one)", metavar="NAME", **_READ),
    _own("lower_is_better", bool, False, "the metric is a loss", metavar="", **_READ),
    _own(
        "allow_missing",
        bool,
        False,
        "fit without the mixtures that have no line",
        metavar="",
        **_READ,
    ),
    _own(
        "model",
        str,
        "auto",
        "log-linear, gp, boosted-trees, or auto: the one with the least error on runs left out",
        metavar="NAME",
        **_FITTED,
    ),
    _own("level", float, 0.9, "of the intervals", metavar="X", **_FITTED),
    _own(
        "kl",
        float | None,
        None,
        "nats that the proposal may be from the prior (default: the median of the swarm)",
        metavar="X",
        **_FITTED,
    ),
    _own(
        "budget",
        int | None,
        None,
        "rows (or tokens, where the swarm has) of the run that is planned, for the repetition cap "
        "(default: the swarm's)",
        min=1,
        metavar="N",
        **_FITTED,
    ),
    _own("json", Path | None, None, "file for all numbers", metavar="FILE", **_FITTED),
)

_WRITTEN = {"rich_help_panel": "What is written"}
CLEANING = (
    _own(
        "rules",
        str | None,
        None,
        "instructions (the default), published (thresholds as they are published, for web pages), "
        "or a YAML file that changes some of them",
        metavar="FILE",
        rich_help_panel="What is dropped",
    ),
    _own(
        "out",
        Path | None,
        None,
        "a folder for the rows that stay: absent, empty, or cleaned earlier",
        metavar="DIR",
        **_WRITTEN,
    ),
    _own("format", str, "parquet", "of OUT: parquet or jsonl", metavar="NAME", **_WRITTEN),
    _own("overwrite", bool, False, "replace what was cleaned otherwise", metavar="", **_WRITTEN),
    _own(
        "sample",
        int,
        40,
        "dropped rows in the report, for human eyes; --seed draws them",
        min=0,
        max=1_000,
        metavar="N",
        **_WRITTEN,
    ),
)
_HUB = {"rich_help_panel": "Where it goes besides"}
EXPORT = (
    keyword(
        "mixture",
        Annotated[Path | None, typer.Argument(help="the folder of a mixture", show_default=False)],
        None,
    ),
    _own(
        "format",
        str | None,
        None,
        "one of those above; without it they are explained, and nothing is written",
        metavar="NAME",
        **_WRITTEN,
    ),
    _own(
        "out",
        Path | None,
        None,
        "the folder to write: absent, empty, or an earlier export (of a map the file)",
        metavar="PATH",
        **_WRITTEN,
    ),
    _own(
        "validation",
        str | None,
        None,
        "rows to set aside, such as 500 or 5%, from every task in proportion; rows with the same "
        "text before the answer stay on one side (default: none)",
        metavar="N",
        **_WRITTEN,
    ),
    _own("seed", int, 0, "draws the rows that are set aside", metavar="N", **_WRITTEN),
    _own(
        "leave_out_misfits",
        bool,
        False,
        "leave out, and count, rows that the format has no place for, instead of stopping",
        metavar="",
        **_WRITTEN,
    ),
    _own(
        "overwrite",
        bool,
        False,
        "replace an export that was made otherwise",
        metavar="",
        **_WRITTEN,
    ),
    _own(
        "points",
        int | None,
        None,
        "rows that a map has, at most [dim](default: 50000)[/]",
        min=2,
        max=1 << 19,
        metavar="N",
        **_WRITTEN,
    ),
    _own(
        "push",
        str | None,
        None,
        "upload it to the Hugging Face Hub as this data set, private unless --public; files that "
        "say where on this machine others are stay here",
        metavar="OWNER/NAME",
        **_HUB,
    ),
    _own("public", bool, False, "everybody may see the data set", metavar="", **_HUB),
)
