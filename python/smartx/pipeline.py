"""Every step of a run, in order: ingest, embed, rank, mix. Each reads only what the ones before it
wrote.

    sources -> corpus -> embeddings -> rankings -> mixture

The costly steps (embed, rank) do not depend on the budget. A step whose inputs and parameters have
not changed is reused, so a second mixture at another budget, weight law or number of tasks takes
seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from smartx.budget import Budget
from smartx.clean import Asked as CleanAsked
from smartx.clean import Result as CleanResult
from smartx.clean import Wanted as CleanWanted
from smartx.config import RunConfig
from smartx.corpus import Corpus
from smartx.dividing import Shard, make_shard
from smartx.embed import Embeddings
from smartx.errors import ConfigError, plain
from smartx.forecast import forecast
from smartx.frames import call_of
from smartx.mixture import Mixture
from smartx.planning import Plan
from smartx.preflight import check_tasks
from smartx.progress import Progress, Silent, counted, warn
from smartx.rankers import Rankings
from smartx.runs import open_run as open_run
from smartx.session import Session
from smartx.strategies import TASKS as TASK_FINDERS
from smartx.tasks import FoundTasks, tasks_of
from smartx.units import shard_of

_T = TypeVar("_T")


def run(config: Any = None, *, progress: Progress | None = None, **fields: Any) -> Mixture:
    """Turn rows into a mixture: which of them to train on, and how much of each task.

    config: the rows, or a whole configuration: a RunConfig, a mapping of its fields, or the path of
    a YAML file.  fields: those of `smartx.RunConfig`, by keyword; they go before the others.
    sources: a pandas or polars frame, an Arrow table, whatever else has `__arrow_c_stream__`, a
    `datasets.Dataset`, a list of dicts, or files, folders and globs; several as a list, or by name
    as a dict. Columns are found as they are in files; `task_column` and its like name them.
    vectors: ready ones of the rows, (n, d), or a file; without them `encoder` makes them.
    feature, include_rows, exclude_rows, leave_out, trained take what is in memory in the same way.
    out, run_dir: folders of the mixture and of the stages, which the next run uses again. Without
    `out` the mixture lies in a temporary folder for as long as the returned object lives; stages
    without a folder are deleted at the end.
    Raises ConfigError before any work where a field is missing or wrong; SmartxError where a step
    fails.

    >>> import smartx
    >>> rows = [
    ...     {"prompt": f"{a} {sign} {b} =", "response": str(a + b), "task": sign}
    ...     for sign, count in (("+", 9), ("plus", 3)) for a in range(count) for b in range(3)
    ... ]
    >>> mixture = smartx.run(rows, rows=10, preset="equal")
    >>> mixture
    Mixture of 10 rows of 36, in 2 tasks
      task  rows  of  share
      +        5  27  50.0%
      plus     5   9  50.0%
    >>> sorted(rows[i]["task"] for i in mixture.indices)[4:6]
    ['+', 'plus']
    """
    call = call_of(config, fields, makes=True)
    with call.files(progress or Silent()) as checked:
        return call.kept(_run(checked, progress))


def _run(config: RunConfig, progress: Progress | None) -> Mixture:
    session = Session(config, progress, command="run")
    session.check_out()
    with session.alone():
        session.ingest()
        if session.config.tasks is None:
            session.budget.check(session.corpus)
            check_tasks(session.config, session.corpus)
        planned = forecast(session, fetch=True, speed=False)
        session.progress.note(planned.line())
        planned.check()
        if session.needs_vectors:
            session.embed()
        session.group()
        return session.mix()


def plan(config: Any = None, *, progress: Progress | None = None, **fields: Any) -> Plan:
    """What `run` with these arguments will take: seconds, memory and disk for each stage.

    The sizes of the groups decide, so sources are ingested first, unless that was done already;
    then a few seconds go into measuring this machine. Raises as `run` does, up to the ingest.

    >>> import smartx
    >>> rows = [{"prompt": f"{n} + 1", "response": f"{n + 1}", "task": "sums"} for n in range(9)]
    >>> plan = smartx.plan(rows, rows=3, preset="random")
    >>> [stage.name for stage in plan.stages]
    ['rank']
    """
    call = call_of(config, fields, makes=False)
    try:
        with call.files(progress or Silent()) as checked:
            return _plan(checked, progress)
    finally:
        call.clean()


def _plan(config: RunConfig, progress: Progress | None) -> Plan:
    session = Session(config, progress, command="plan")
    if session.config.sources:
        session.ingest()
    if session.config.tasks is None:
        check_tasks(session.config, session.corpus)
        if budget := Budget.of(session.config):
            budget.check(session.corpus)
    return forecast(session, fetch=False, speed=True)


def ingest_step(config: RunConfig, progress: Progress) -> Corpus:
    """Sources -> RUN/corpus/ID."""
    return Session(config, progress, command="ingest").ingest()


def embed_step(config: RunConfig, progress: Progress) -> Embeddings:
    """The corpus of a run -> RUN/embeddings/ID."""
    return Session(config, progress, command="embed").embed()


def features_step(
    config: RunConfig, progress: Progress, work: Callable[[Corpus, Path, Progress], _T]
) -> _T:
    """Sources, or the corpus of a run -> RUN/features/ID: what a model says of the rows.

    work: gets the corpus, the run folder and progress, and keeps what it finds by
    `smartx.collect.Collected`.
    """
    session = Session(config, progress, command="features")
    with session.alone():
        return session.collect(work)


def clean(
    config: Any = None,
    *,
    rules: Any = None,
    rows_to: Path | str | None = None,
    format: str = "parquet",
    progress: Progress | None = None,
    **fields: Any,
) -> CleanResult:
    """Find rows that are no good, as `smartx clean` does: RUN/clean/ID.

    config, fields: the rows and the configuration as `run` takes them; `run_dir` is needed.
    rules: "instructions" (the default), "published", a YAML file, or a mapping of sections.
    rows_to, format: a folder for the rows that stay, and what they are there: parquet or jsonl.
    Raises ConfigError before any work; SmartxError where a step fails.

    >>> import smartx.pipeline
    >>> rows = [{"prompt": f"{n} + 1", "response": f"{n + 1}", "task": "sums"} for n in (1, 2, 1)]
    >>> found = smartx.pipeline.clean(rows, run_dir="work-clean")
    >>> found.cleaned.table.select(["line", "reason", "detail"]).to_pylist()
    [{'line': 3, 'reason': 'copy: exact', 'detail': 'of table.parquet:1'}]
    """
    call = call_of(config, fields, makes=False)
    if call.temporary is not None:
        call.clean()
        raise ConfigError("it is needed here and not given", place="run_dir", fix="give `run_dir`")
    with call.files(progress or Silent()) as checked:
        out = None if rows_to is None else Path(rows_to)
        return clean_step(checked, progress or Silent(), rules=rules, out=out, format=format)


def clean_step(config: RunConfig, progress: Progress, **options: Any) -> CleanResult:
    """Sources, or the corpus of a run -> RUN/clean/ID, and OUT. options: of `clean.Wanted`."""
    wanted = CleanWanted(**options)
    rules = wanted.checked()
    session = Session(config, progress, command="clean")
    with session.alone():
        if config.sources:
            session.ingest()
        found = session.clean(CleanAsked(rules, config.seed, wanted.sample))
        assert found is not None
        return CleanResult(found, wanted.write(session.corpus, found, session.progress))


def tasks_step(config: RunConfig, progress: Progress) -> FoundTasks:
    """The corpus and the embeddings of a run -> RUN/tasks/ID, and both again under these tasks.

    Without `tasks` those that its rows are in, or automatic ones where they are in those of the
    sources.
    """
    session = Session(config, progress, command="tasks")
    if config.tasks is None:
        found = tasks_of(session.corpus, session.run.folder)
        if found is not None:
            return found
        asked = {"tasks": TASK_FINDERS.made("auto", seed=config.seed)}
        warn(
            session.progress,
            f"the rows are in {counted(len(session.corpus.groups.tasks()), 'task')} of the sources;"
            " others are found, and later commands mean these (`smartx ingest SOURCES` goes back)",
        )
        session = Session(config.model_copy(update=asked), progress, command="tasks")
    with session.alone():
        session.group()
    found = tasks_of(session.corpus, session.run.folder)
    assert found is not None
    return found


def rank_step(config: RunConfig, progress: Progress) -> Rankings:
    """The corpus and the embeddings of a run -> RUN/rankings/ID."""
    session = Session(config, progress, command="rank")
    with session.alone():
        session.group()
        return session.rank()


def shard_step(config: RunConfig, progress: Progress, stage: str, shard: str) -> Shard:
    """One shard of a stage, "0/4" the first of four; the step without finishes it.

    stage: ingest, embed or rank.

    Any number of shards may be at work at once, on one machine or on several that share the run
    folder. Raises ConfigError for what is no shard, and for an executor beside one.
    """
    number = shard_of(shard)
    if config.executor not in (None, "this"):
        raise ConfigError(
            "a shard is made by the process that it is started in",
            place="executor",
            fix="give `executor` or a shard, not both",
        )
    return make_shard(Session(config, progress, command=stage), stage, *number)


def means_step(config: RunConfig, progress: Progress) -> NDArray[np.float64]:
    """The corpus and the embeddings of a run -> RUN/means/ID: the mean vector of every task."""
    return Session(config, progress, command="rank").means()


def mix_step(config: RunConfig, progress: Progress) -> Mixture:
    """The corpus of a run and a ranking -> OUT, which trainers load. Ranks first if need be."""
    session = Session(config, progress, command="mix")
    session.check_out()
    with session.alone():
        session.group()
        session.progress.note(_which_corpus(session.corpus))
        return session.mix()


def _which_corpus(corpus: Corpus) -> str:
    """Whose rows are mixed: of the last command on the run folder, which may have read others."""
    files = [file["name"] for file in corpus.manifest.get("sources", [])]
    more = [f"{len(files) - 3:,} more"] if len(files) > 3 else []
    names = f" of {', '.join([*files[:3], *more])}" if files else ""
    tasks = counted(len(corpus.groups.tasks()), "task")
    return plain(f"corpus: {counted(corpus.num_rows, 'row')}{names}, {tasks} (the last one read)")
