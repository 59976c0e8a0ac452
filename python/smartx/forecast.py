"""What a command will take, by what stands in its run folder and how fast this machine is."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from smartx.budget import total_of
from smartx.corpus import Corpus
from smartx.costs import StagePlan
from smartx.embed import Embeddings, embedding_rate, embeddings_there
from smartx.embed.run import Spec
from smartx.engine.on_card import similarities_on
from smartx.errors import StoreError
from smartx.planning import ASSUMED_DIMENSIONS, Limits, Plan, Vectors, plan_of
from smartx.rankers import is_ranked
from smartx.run_folder import RANKINGS, TASKS, mean
from smartx.tasks import as_read, assumed, grouped_there, tasks_cost

if TYPE_CHECKING:
    from smartx.session import Session

LONG = 10.0  # nominal seconds of ranking from which a run measures this machine


def forecast(session: Session, *, fetch: bool, speed: bool) -> Plan:
    """What a whole run with the session's configuration takes. Where tasks are to be found first,
    they are assumed to be of equal size.

    fetch: the encoder, to time it, if it is not here.  speed: measure that of ranking even where
    it is quick.
    """
    config, folder = session.config, session.run.folder
    embeddings, vectors, tasks, finder = None, None, None, config.tasks
    corpus = session.corpus if finder is None else as_read(session.corpus)
    if session.needs_vectors:
        embeddings = _embeddings_there(session, session.encoding, corpus)
        vectors = embedding_rate(
            corpus, session.encoding, embeddings, folder, session.progress, fetch=fetch
        )
    if finder is not None:
        there = grouped_there(corpus, embeddings, finder, folder)
        tasks = tasks_plan(session, corpus, vectors.dimensions if vectors else None, bool(there))
        if there:
            with session.alone():  # what an earlier run grouped is what later commands mean
                mean(folder, corpus=there[0].folder)
        corpus, embeddings = there or (assumed(corpus, finder), None)
    if session.asked:
        session.left_out = session.asked.there(corpus, folder, session.encoding, embeddings)
    limits = _limits(session, rows=_rows(session, corpus), out=config.out)
    planned = partial(_plan, session, corpus, embeddings, vectors, limits, tasks=tasks)
    quick = planned(measure=False)
    if not speed and all(s.name != "rank" or (s.seconds or 0) < LONG for s in quick.stages):
        return quick
    with similarities_on(config.device):
        return planned(measure=True)


def ranking_plan(session: Session, embeddings: Embeddings | None) -> Plan:
    """What ranking takes, once the vectors are there."""
    made = Vectors(embeddings.dimensions, 0.0, False, done=True) if embeddings else None
    limits = _limits(session, rows=None, out=None)
    return _plan(session, session.corpus, embeddings, made, limits, measure=False)


def tasks_plan(session: Session, corpus: Corpus, dimensions: int | None, there: bool) -> StagePlan:
    """What finding tasks takes. dimensions: None: not known yet.  there: they are found already."""
    return tasks_cost(
        corpus,
        session.config.tasks,
        dimensions or ASSUMED_DIMENSIONS,
        session.run.folder / TASKS,
        encoder=session.config.vectors is None,
        threads=session.threads,
        done=there,
    )


def _rows(session: Session, corpus: Corpus) -> int | None:
    """About how many rows the mixture will have."""
    if session.config.rows is None and session.config.tokens is None:
        return None
    budget = session.budget
    supply = budget.supply(corpus)
    return supply.rows_for(total_of(budget.amount, corpus.groups, supply))


def _embeddings_there(session: Session, asked: Spec, corpus: Corpus) -> Embeddings | None:
    """The vectors that are asked for, if they are there; where none are named, those that the run
    folder means.
    """
    config = session.config
    if config.sources or config.encoder is not None or config.vectors is not None:
        return embeddings_there(corpus, asked, session.run.folder)
    try:
        return session.embeddings_of(corpus)
    except StoreError:
        return None


def _limits(session: Session, *, rows: int | None, out: Path | str | None) -> Limits:
    work = session.run.folder
    by_row = rows is not None and session.budget.by_row
    return Limits(
        threads=session.threads,
        memory=session.memory,
        work=work,
        out=work / "mixture" if isinstance(out, str) else out,
        rows=rows,
        by_row=by_row,
    )


def _plan(
    session: Session,
    corpus: Corpus,
    embeddings: Embeddings | None,
    vectors: Vectors | None,
    limits: Limits,
    *,
    measure: bool,
    tasks: StagePlan | None = None,
) -> Plan:
    near, within = session.config.near_duplicates, session.config.near_duplicates_within
    found = session.left_out is not None or not session.asked
    found &= session.cleaning_is_there(corpus)
    ranked = found and is_ranked(
        corpus,
        embeddings,
        session.ranker,
        session.run.folder / RANKINGS,
        features=session.features(session.ranker.reads, make=False),
        **session.apart(),
        near_duplicates=near,
        near_within=within,
    )
    return plan_of(
        corpus,
        session.ranker,
        vectors,
        limits,
        ranked=ranked,
        measure=measure,
        tasks=tasks,
        near_within=None if near is None else within or session.ranker.per,
        leave_out=partial(_leave_out_cost, session) if session.asked else None,
    )


def _leave_out_cost(session: Session, dimensions: int) -> StagePlan:
    return session.asked.cost(
        session.corpus,
        session.run.folder,
        dimensions=dimensions,
        threads=session.threads,
        done=session.left_out is not None,
    )
