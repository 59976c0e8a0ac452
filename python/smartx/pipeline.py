"""Every step of a run, in order: ingest, embed, rank, mix. Each reads only what the ones before it
wrote.

    sources -> corpus -> embeddings -> rankings -> mixture

The costly steps (embed, rank) do not depend on the budget. A step whose inputs and parameters have
not changed is reused, so a second mixture at another budget, weight law or number of tasks takes
seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartx.budget import Budget
from smartx.config import RunConfig, config_from
from smartx.corpus import Corpus
from smartx.embed import Embeddings
from smartx.forecast import forecast
from smartx.mixture import Mixture
from smartx.planning import Plan
from smartx.preflight import check_tasks
from smartx.progress import Progress, counted, warn
from smartx.rankers import Rankings
from smartx.runs import open_run as open_run
from smartx.session import Session
from smartx.strategies import TASKS as TASK_FINDERS
from smartx.tasks import FoundTasks, tasks_of


def run(
    config: RunConfig | Mapping[str, Any] | Path | str, *, progress: Progress | None = None
) -> Mixture:
    """Turn sources into a mixture: every step, reusing what an earlier run with the same folder
    left.

    config: a RunConfig, a mapping of its fields, or the path of a YAML file.
    Raises ConfigError before any work where a needed field is missing; SmartxError where a step
    fails.
    """
    session = Session(_checked(config), progress, command="run")
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


def plan(
    config: RunConfig | Mapping[str, Any] | Path | str, *, progress: Progress | None = None
) -> Plan:
    """What `run` with this configuration will take: seconds, memory and disk for each stage.

    The sizes of the groups decide, so sources are ingested first, unless that was done already;
    then a few seconds go into measuring this machine. Raises as `run` does, up to the ingest.
    """
    session = Session(_checked(config), progress, command="plan")
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


def means_step(config: RunConfig, progress: Progress) -> NDArray[np.float64]:
    """The corpus and the embeddings of a run -> RUN/means/ID: the mean vector of every task."""
    return Session(config, progress, command="rank").means()


def mix_step(config: RunConfig, progress: Progress) -> Mixture:
    """The corpus of a run and a ranking -> OUT, which trainers load. Ranks first if need be."""
    session = Session(config, progress, command="mix")
    session.check_out()
    with session.alone():
        session.group()
        return session.mix()


def _checked(config: RunConfig | Mapping[str, Any] | Path | str) -> RunConfig:
    if isinstance(config, RunConfig):
        return config
    if isinstance(config, Mapping):
        return config_from(config)
    return config_from({}, file=Path(config))
