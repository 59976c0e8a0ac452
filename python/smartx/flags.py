"""Flags of the command line, made from the fields of the configuration: one place says what a flag
means.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from smartx.config import LISTS, SIZES, STRATEGIES, RunConfig
from smartx.display import flag, in_flags
from smartx.progress import size

# Which fields of the configuration each panel of --help shows, in order.
PANELS: dict[str, tuple[str, ...]] = {
    "How much, and where to": (
        "rows", "tokens", "token_kind", "out", "overwrite", "run_dir", "threads", "memory",
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
        "leave_out_column", "leave_out_vectors", "trained",
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
RANKING = ("preset", "ranker", "feature", "near_duplicates", "near_duplicates_within", "seed")
METAVARS = {Path: "PATH", int: "N", float: "X", str: "TEXT"}


def parameters(fields: Sequence[str], *, sources: bool) -> list[inspect.Parameter]:
    """The parameters of a command: SOURCES if it takes them, a flag a field, --config, --quiet."""
    first = [_sources_argument()] if sources else []
    return [*first, *map(_option, fields), *_common_options()]


def _option(name: str) -> inspect.Parameter:
    field = RunConfig.model_fields[name]
    panel = next(panel for panel, fields in PANELS.items() if name in fields)
    metavar = "" if field.annotation is bool else _metavar(name, field.annotation)
    option = typer.Option(
        flag(name),
        help=_help(name, field),
        rich_help_panel=panel,
        show_default=False,
        metavar=metavar,
    )
    kind: Any = bool if field.annotation is bool else str
    if name in LISTS:
        kind = list[str]
    return _keyword(name, Annotated[kind | None, option], None)


def _help(name: str, field: FieldInfo) -> str:
    words, choices = [in_flags(str(field.description))], _choices(field.annotation)
    if name in STRATEGIES:
        choices = [*STRATEGIES[name].ours]
    if choices:
        words.append(f"[dim](one of: {', '.join(choices)})[/]")
    if field.default not in (None, "", []) and field.annotation is not bool:
        default = size(field.default) if name in SIZES else field.default
        default = ",".join(default) if isinstance(default, list) else default
        words.append(f"[dim](default: {default})[/]")
    return " ".join(words)


def _metavar(name: str, annotation: Any) -> str:
    """What stands behind the flag in --help."""
    if name in SIZES:
        return "SIZE"
    if name in STRATEGIES or _choices(annotation):
        return "NAME"
    if name in LISTS:
        return "TEXT"
    kinds = _members(annotation)
    return next(word for kind, word in METAVARS.items() if kind in kinds)


def _choices(annotation: Any) -> list[str]:
    """The values of a Literal; none for other types."""
    literals = (kind for kind in _members(annotation) if get_origin(kind) is Literal)
    return [choice for kind in literals for choice in get_args(kind)]


def _members(annotation: Any) -> tuple[Any, ...]:
    """The types of a union; a single type stands alone."""
    if get_origin(annotation) in (Union, UnionType):
        return get_args(annotation)
    return (annotation,)


def paragraphs(text: str) -> str:
    """A docstring whose paragraphs are single lines, which the help breaks at its own width."""
    return "\n\n".join(
        " ".join(part.split()) if not part.startswith("  ") else part
        for part in inspect.cleandoc(text).split("\n\n")
    )


def _sources_argument() -> inspect.Parameter:
    argument = typer.Argument(
        help="files, folders, globs or a Hub name: Parquet, JSON Lines, JSON, CSV, Arrow",
        show_default=False,
    )
    return inspect.Parameter(
        "sources",
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[list[str] | None, argument],
    )


def _common_options() -> list[inspect.Parameter]:
    config = typer.Option(
        "--config", "-c", help="a YAML file; flags win over it", show_default=False
    )
    quiet = typer.Option(
        "--quiet", "-q", help="no progress, only the outcome", show_default=False, metavar=""
    )
    return [
        _keyword("config", Annotated[Path | None, config], None),
        _keyword("quiet", Annotated[bool, quiet], False),
    ]


def _keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=default, annotation=annotation)


def _own(name: str, kind: Any, default: Any, words: str, **more: Any) -> inspect.Parameter:
    """An option of one command that is no field of the configuration; ... is no default."""
    shown = default not in (None, False, ...)
    option = typer.Option(f"--{name.replace('_', '-')}", help=words, show_default=shown, **more)
    default = inspect.Parameter.empty if default is ... else default
    return _keyword(name, Annotated[kind, option], default)


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
    _keyword(
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
