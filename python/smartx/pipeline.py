"""Every step of a run, in order: ingest, embed, rank, mix. Each reads only what the ones before it
wrote.

    sources -> corpus -> embeddings -> rankings -> mixture

The costly steps (embed, rank) do not depend on the budget. A step whose inputs and parameters have
not changed is reused, so a second mixture at another budget, weight law or number of tasks takes
seconds.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartx import __version__
from smartx.budget import Allotment, Budget, allot, chosen_rows, supply_of, total_of
from smartx.config import RunConfig, config_from
from smartx.corpus import Columns, Corpus, ingestion
from smartx.costs import StagePlan
from smartx.embed import (
    Embeddings,
    EncoderSpec,
    VectorsSpec,
    default_encoder,
    embed_corpus,
    embedding_rate,
    embeddings_like,
    embeddings_there,
    open_embeddings,
    warnings_of,
)
from smartx.engine import default_memory, resolve_threads
from smartx.errors import ConfigError, StoreError
from smartx.features import feature_files, feature_there, kept_feature
from smartx.files import storing
from smartx.leave_out import Asked, LeftOut, left_out_line
from smartx.lock import working_in
from smartx.means import kept_task_means
from smartx.mixture import (
    Chosen,
    Mixture,
    all_ranked,
    assemble,
    check_replaceable,
    mixture_facts,
    write_mixture,
)
from smartx.needs import VECTORS, Feature, Need
from smartx.planning import ASSUMED_DIMENSIONS, Limits, Plan, Vectors, plan_of
from smartx.preflight import check, check_tasks
from smartx.progress import Progress, Silent, counted, warn
from smartx.rankers import Rankings, is_ranked, near_duplicates_line, rank_corpus
from smartx.report import render
from smartx.run_folder import (
    CORPUS,
    EMBEDDINGS,
    FEATURES,
    LEAVE_OUT,
    MEANS,
    RANKINGS,
    TASKS,
    mean,
    meant,
    record,
)
from smartx.runs import Run
from smartx.runs import open_run as open_run
from smartx.store import folder_of
from smartx.strategies import TASKS as TASK_FINDERS
from smartx.strategies import facts_of
from smartx.tasks import (
    FoundTasks,
    as_read,
    assumed,
    group_rows,
    grouped_there,
    tasks_cost,
    tasks_of,
)

LONG = 10.0  # nominal seconds of ranking from which a run measures this machine


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
        planned = session.plan(fetch=True, speed=False)
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
    return session.plan(fetch=False, speed=True)


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


class Session:
    """One command at work in a run folder: each stage is opened once, or made, and then held."""

    def __init__(self, config: RunConfig, progress: Progress | None, *, command: str) -> None:
        """command: run, plan, ingest, embed, tasks, rank or mix. Raises what can be known at the
        start.
        """
        check(config, command=command)
        self.config, self.progress = config, progress or Silent()
        self.run = Run(config.work_folder)
        self.law, self.ranker = config.law, config.row_ranker
        self.asked = Asked(config)
        self.left_out: LeftOut | None = None

    @cached_property
    def corpus(self) -> Corpus:
        """The corpus that this command made, or that an earlier one named."""
        return self.run.corpus()

    @cached_property
    def embeddings(self) -> Embeddings:
        """The embeddings that this command made, or that an earlier one named."""
        return self.run.embeddings(self.corpus)

    @property
    def ranks_vectors(self) -> bool:
        """Whether ranking looks at vectors."""
        return VECTORS in self.ranker.reads or self.config.near_duplicates is not None

    def features(self, needs: Sequence[Need], *, make: bool = True) -> dict[str, Feature]:
        """What is needed of the rows besides vectors and tokens, by `Need.key`.

        make: what is not in the run folder yet; else it is not among what is returned.
        """
        given, folder = feature_files(self.config.feature), self.run.folder / FEATURES
        found: dict[str, Feature] = {}
        for need in needs:
            if not need.name:
                continue
            asked = (self.corpus, need, given.get(need.name), folder)
            feature = (
                kept_feature(*asked, progress=self.progress) if make else feature_there(*asked)
            )
            if feature is not None:
                found[need.key] = feature
        return found

    @property
    def needs_vectors(self) -> bool:
        """Whether anything looks at vectors."""
        asked = self.law.needs_means or self.asked.near or self.config.tasks is not None
        return self.ranks_vectors or asked

    @cached_property
    def threads(self) -> int:
        """How many threads work."""
        return resolve_threads(self.config.threads)

    @property
    def memory(self) -> int:
        """Bytes that may be used."""
        return self.config.memory or default_memory()

    @property
    def budget(self) -> Budget:
        """How much is asked for. Raises ConfigError where nothing is."""
        found = Budget.of(self.config)
        return found or _required(self.config, "rows")  # raises

    def alone(self) -> Any:
        """Nobody else works in the run folder inside this block."""
        return working_in(self.run.folder, self.progress)

    def check_out(self) -> None:
        """Raise InputError where another mixture, or something else, stands in OUT."""
        config = self.config
        settings: dict[str, Any] = {
            "budget": self.budget.facts(),
            "seed": config.seed,
            "preset": self.preset,
            "weights": facts_of(self.law),
            "ranker": facts_of(self.ranker),
            "leave_out": self.asked.facts(),
        }
        if config.tasks is not None or config.sources:
            settings["found_tasks"] = None if config.tasks is None else facts_of(config.tasks)
        out = _required(config, "out")
        check_replaceable(out, settings, overwrite=config.overwrite)

    @property
    def preset(self) -> str:
        """The name of the preset, where it is what runs; else nothing."""
        return "" if self.config.changes_preset else self.config.preset

    def ingest(self) -> Corpus:
        """Sources -> RUN/corpus/ID."""
        config, progress = self.config, self.progress
        with self._doing("ingest", self.run.folder / CORPUS):
            wanted = ingestion(
                _required(config, "sources"),
                columns=_columns(config),
                keep_empty_responses=config.keep_empty_responses,
                task_name=config.task,
                source_name=config.source,
                other_columns=not config.drop_other_columns,
                duplicates=config.duplicates,
                tokenizer=config.tokenizer,
                progress=progress,
            )
            folder = folder_of(self.run.folder / CORPUS, wanted.key)
            self.corpus = wanted.into(folder, memory=self.memory, progress=progress)
            mean(self.run.folder, corpus=folder)
        tasks, groups = len(self.corpus.groups.tasks()), len(self.corpus.groups)
        counts = ((self.corpus.num_rows, "row"), (tasks, "task"), (groups, "group"))
        progress.note(f"corpus: {', '.join(counted(number, one) for number, one in counts)}")
        return self.corpus

    def embed(self) -> Embeddings:
        """The corpus -> RUN/embeddings/ID."""
        corpus = self.corpus
        with self._doing("embed", self.run.folder / EMBEDDINGS):
            asked = vectors_of(self.config)
            self.embeddings = embed_corpus(corpus, asked, self.run.folder, progress=self.progress)
            mean(self.run.folder, embeddings=self.embeddings.folder)
        if self.config.tasks is None:
            self._tell_of_vectors()
        return self.embeddings

    def _tell_of_vectors(self) -> None:
        for line in warnings_of(self.embeddings, self.corpus):
            worst = line.startswith("WARNING: ")
            tell = partial(warn, self.progress) if worst else self.progress.note
            tell(line.removeprefix("WARNING: "))

    def group(self) -> None:
        """Put the rows under found tasks, where these are asked for: RUN/tasks/ID, then a corpus
        and embeddings of the same rows. What is there is used again.
        """
        asked, folder = self.config.tasks, self.run.folder
        if asked is None:
            return
        corpus = as_read(self.corpus)
        embeddings = self._embeddings_of(corpus)
        there = grouped_there(corpus, embeddings, asked, folder) is not None
        self._tasks_plan(corpus, embeddings.dimensions, there).check_memory(self.memory)
        with self._doing("tasks", folder / TASKS, folder / CORPUS, folder / EMBEDDINGS):
            made = group_rows(
                corpus, embeddings, asked, folder, threads=self.threads, progress=self.progress
            )
            self.corpus, self.embeddings = made.corpus, made.embeddings
            mean(folder, corpus=made.corpus.folder, embeddings=made.embeddings.folder)
        tasks, groups = counted(len(made.tasks.names), "task"), len(made.corpus.groups)
        self.progress.note(f"tasks: {tasks}, {counted(groups, 'group')}")
        self._tell_of_vectors()

    def _embeddings_of(self, corpus: Corpus) -> Embeddings:
        """The embeddings of a corpus that are made as those which the run folder means."""
        held: Embeddings | None = vars(self).get("embeddings")
        held = held or open_embeddings(meant(self.run.folder, EMBEDDINGS))
        if held.manifest["inputs"].get("corpus") == corpus.digest:
            return held
        found = embeddings_like(held, corpus, self.run.folder)
        if found is None:
            raise StoreError(
                "the vectors that are there are those of other rows",
                place=str(self.run.folder),
                fix="run `smartx embed` on this run folder first",
            )
        return found

    def _tasks_plan(self, corpus: Corpus, dimensions: int | None, there: bool) -> StagePlan:
        return tasks_cost(
            corpus,
            self.config.tasks,
            dimensions or ASSUMED_DIMENSIONS,
            self.run.folder / TASKS,
            encoder=self.config.vectors is None,
            threads=self.threads,
            done=there,
        )

    def leave_out(self) -> LeftOut | None:
        """The corpus, evaluation sets and what was trained on -> RUN/leave_out/ID."""
        if not self.asked:
            return None
        with self._doing("leave_out", *(self.run.folder / one for one in (LEAVE_OUT, EMBEDDINGS))):
            self.left_out = self.asked.find(
                self.corpus,
                self.run.folder,
                vectors_of(self.config),
                lambda: self.embeddings,
                threads=self.threads,
                memory=self.memory,
                progress=self.progress,
            )
        line = left_out_line(self.corpus.num_rows, self.left_out.facts())
        self.progress.note(f"leave out: {line}")
        return self.left_out

    def rank(self) -> Rankings:
        """The corpus and the embeddings -> RUN/rankings/ID."""
        self.leave_out()
        embeddings = self.embeddings if self.ranks_vectors else None
        made = Vectors(embeddings.dimensions, 0.0, False, done=True) if embeddings else None
        limits = self._limits(rows=None, out=None)
        self._plan_with(self.corpus, embeddings, made, limits, measure=False).check()
        with self._doing("rank", self.run.folder / RANKINGS, self.run.folder / FEATURES):
            features = self.features(self.ranker.reads)
            rankings = rank_corpus(
                self.corpus,
                embeddings,
                self.ranker,
                self.run.folder / RANKINGS,
                threads=self.threads,
                features=features,
                **self._apart(),
                near_duplicates=self.config.near_duplicates,
                near_within=self.config.near_duplicates_within,
                memory=self.memory,
                progress=self.progress,
            )
            mean(self.run.folder, rankings=rankings.folder)
        if rankings.near_duplicates:
            line = near_duplicates_line(rankings.num_rows, rankings.near_duplicates)
            self.progress.note(f"rank: {line}")
        return rankings

    def _leave_out_cost(self, dimensions: int) -> StagePlan:
        done, folder = self.left_out is not None, self.run.folder
        return self.asked.cost(
            self.corpus, folder, dimensions=dimensions, threads=self.threads, done=done
        )

    def _apart(self) -> dict[str, NDArray[np.int64]]:
        """Rows that nobody takes, as `rank_corpus` has them."""
        found = self.left_out
        return {"left_out": found.contaminated, "trained": found.trained} if found else {}

    def means(self) -> NDArray[np.float64]:
        """The corpus and the embeddings -> RUN/means/ID: the mean vector of every task."""
        folder = self.run.folder / MEANS
        with self._doing("means", folder):
            return kept_task_means(self.corpus, self.embeddings, folder, progress=self.progress)

    def mix(self) -> Mixture:
        """The corpus and a ranking -> OUT, a folder that trainers load. Ranks first if need be."""
        out, ranked = _required(self.config, "out"), self._ranked()
        with self._doing("mix", out, out.parent):
            chosen, facts = self._chosen(*ranked)
            return write_mixture(
                self.corpus,
                chosen,
                out,
                facts=facts,
                report=render,
                overwrite=self.config.overwrite,
                progress=self.progress,
            )

    def choose(self) -> tuple[Chosen, dict[str, Any]]:
        """The rows of the mixture, and the facts of its manifest. Ranks first if need be."""
        with self.alone():
            return self._chosen(*self._ranked())

    def _ranked(self) -> tuple[Rankings, NDArray[np.float64] | None]:
        """The rankings, and the means of the tasks where the law needs them."""
        self.budget.check(self.corpus)
        check_tasks(self.config, self.corpus)
        return self.rank(), self.means() if self.law.needs_means else None

    def _chosen(
        self, rankings: Rankings, means: NDArray[np.float64] | None
    ) -> tuple[Chosen, dict[str, Any]]:
        corpus, law = self.corpus, self.law
        asked: dict[str, Any] = {
            "means": means,
            "seed": self.config.seed,
            "demands": self.budget.demands,
            "rounding": self.budget.rounding,
            "features": {
                key: feature.rows(0, corpus.num_rows)
                for key, feature in self.features(law.needs).items()
            },
        }
        take = self._row_by_row if self.budget.by_row else self._prefixes
        chosen, allotment, tokens = take(rankings, asked)
        return chosen, mixture_facts(
            corpus,
            rankings,
            allotment,
            chosen,
            law=law,
            ranker=self.ranker,
            preset=self.preset,
            seed=self.config.seed,
            version=__version__,
            budget=self.budget.facts(),
            tokens=tokens,
            embedding=self._embedding_facts(),
            left_out=self.left_out,
        )

    def _prefixes(
        self, rankings: Rankings, asked: dict[str, Any]
    ) -> tuple[Chosen, Allotment, NDArray[np.int64] | None]:
        """The first rows of rankings: no other row is read."""
        corpus, law = self.corpus, self.law
        groups = corpus.groups.resized(rankings.kept_of_groups(corpus.groups))
        gone = corpus.num_rows - int(groups.rows.sum())
        total = total_of(self.budget.amount, groups, None, self.budget.demands)
        if law.follows_ranking:  # of the whole corpus
            best = rankings.prefix(0, int(groups.rows.sum()))[0]
            asked["ranked"] = corpus.groups.of_rows(best)
        allotment = allot(groups, law, total=total, left_out=gone, told_of=corpus.groups, **asked)
        by_task = rankings.per != "template" and not allotment.for_templates
        budgets, of = (allotment.tasks, "task") if by_task else (allotment.groups, "template")
        chosen = assemble(corpus, rankings, budgets, of=of, seed=self.config.seed)
        return chosen, allotment, None

    def _row_by_row(
        self, rankings: Rankings, asked: dict[str, Any]
    ) -> tuple[Chosen, Allotment, NDArray[np.int64] | None]:
        """Rows for a budget in tokens, with rows that must be in or may not be, or in copies."""
        corpus, budget = self.corpus, self.budget
        ranked = all_ranked(corpus, rankings)
        limits = budget.limits(corpus, ranked.takeable)
        supply = supply_of(corpus.groups, **limits)
        gone = corpus.num_rows - int(np.count_nonzero(ranked.takeable))
        total = total_of(budget.amount, corpus.groups, supply, budget.demands)
        if self.law.follows_ranking:
            may = limits["takeable"]
            best = ranked.row_ids if may is None else ranked.row_ids[may[ranked.row_ids]]
            asked["ranked"] = corpus.groups.of_rows(best)
        allotment = allot(
            corpus.groups, self.law, total=total, left_out=gone, supply=supply, **asked
        )
        per: Any = rankings.per
        taken = chosen_rows(ranked.row_ids, corpus.groups, allotment, ranked=per, **limits)
        copies = taken.copies if budget.epochs > 1 else None
        chosen = ranked.chosen(taken.places, copies, seed=self.config.seed)
        return chosen, allotment, limits["tokens"]

    def plan(self, *, fetch: bool, speed: bool) -> Plan:
        """fetch: the encoder, to time it, if it is not here.  speed: measure that of ranking even
        where it is quick.

        Says what a whole run with this configuration takes. Where tasks are to be found first, they
        are assumed to be of equal size.
        """
        embeddings, vectors, tasks, finder = None, None, None, self.config.tasks
        corpus = self.corpus if finder is None else as_read(self.corpus)
        if self.needs_vectors:
            asked = vectors_of(self.config)
            embeddings = self._embeddings_there(asked, corpus)
            folder = self.run.folder
            vectors = embedding_rate(corpus, asked, embeddings, folder, self.progress, fetch=fetch)
        if finder is not None:
            there = grouped_there(corpus, embeddings, finder, self.run.folder)
            tasks = self._tasks_plan(corpus, vectors.dimensions if vectors else None, bool(there))
            if there:
                with self.alone():  # what an earlier run grouped is what later commands mean
                    mean(self.run.folder, corpus=there[0].folder)
            corpus, embeddings = there or (assumed(corpus, finder), None)
        if self.asked:
            encoding = vectors_of(self.config)
            self.left_out = self.asked.there(corpus, self.run.folder, encoding, embeddings)
        limits = self._limits(rows=self._rows_of_plan(corpus), out=self.config.out)
        planned = partial(self._plan_with, corpus, embeddings, vectors, limits, tasks=tasks)
        quick = planned(measure=False)
        if not speed and all(s.name != "rank" or (s.seconds or 0) < LONG for s in quick.stages):
            return quick
        return planned(measure=True)

    def _rows_of_plan(self, corpus: Corpus) -> int | None:
        """About how many rows the mixture will have."""
        budget = Budget.of(self.config)
        if budget is None:
            return None
        supply = budget.supply(corpus)
        return supply.rows_for(total_of(budget.amount, corpus.groups, supply))

    def _embeddings_there(
        self, asked: EncoderSpec | VectorsSpec, corpus: Corpus
    ) -> Embeddings | None:
        """The vectors that are asked for, if they are there; where none are named, those that the
        run folder means.
        """
        config = self.config
        if config.sources or config.encoder is not None or config.vectors is not None:
            return embeddings_there(corpus, asked, self.run.folder)
        try:
            return self._embeddings_of(corpus)
        except StoreError:
            return None

    def _limits(self, *, rows: int | None, out: Path | None) -> Limits:
        folder = self.run.folder
        return Limits(threads=self.threads, memory=self.memory, work=folder, out=out, rows=rows)

    def _plan_with(
        self,
        corpus: Corpus,
        embeddings: Embeddings | None,
        vectors: Vectors | None,
        limits: Limits,
        *,
        measure: bool,
        tasks: StagePlan | None = None,
    ) -> Plan:
        near, within = self.config.near_duplicates, self.config.near_duplicates_within
        folder = self.run.folder / RANKINGS
        features = self.features(self.ranker.reads, make=False)
        found = self.left_out is not None or not self.asked
        ranked = found and is_ranked(
            corpus,
            embeddings,
            self.ranker,
            folder,
            features=features,
            **self._apart(),
            near_duplicates=near,
            near_within=within,
        )
        return plan_of(
            corpus,
            self.ranker,
            vectors,
            limits,
            ranked=ranked,
            measure=measure,
            tasks=tasks,
            near_within=None if near is None else within or self.ranker.per,
            leave_out=self._leave_out_cost if self.asked else None,
        )

    def _embedding_facts(self) -> dict[str, Any] | None:
        """What made the vectors, where the weight law or the ranker looked at any."""
        if not self.needs_vectors:
            return None
        manifest = self.embeddings.manifest
        names = ("cut", "shared", "one_vector")
        seen = {name: manifest[name] for name in names if name in manifest}
        return {**manifest["parameters"], "digest": self.embeddings.digest, **seen}

    @contextmanager
    def _doing(self, step: str, *places: Path) -> Iterator[None]:
        """One step, alone in the run folder. What a disk refuses in `places` is a StoreError."""
        with self.alone():
            started, clock = datetime.now(timezone.utc), time.perf_counter()
            with storing(*places):
                yield
            record(self.run.folder, step, started, time.perf_counter() - clock, self.threads)


def vectors_of(config: RunConfig) -> EncoderSpec | VectorsSpec:
    """Where the vectors come from: a file of ready ones, or an encoder."""
    if config.vectors is not None:
        return VectorsSpec(config.vectors, config.vectors_column)
    return EncoderSpec(
        name=config.encoder or default_encoder(),
        revision=config.encoder_revision,
        batch_size=config.batch_size,
        max_length=config.max_length,
        prompt_prefix=config.prompt_prefix,
        turns=config.embed_turns,
        device=config.device,
        dtype=config.dtype,
        threads=resolve_threads(config.threads),
    )


def _columns(config: RunConfig) -> Columns:
    return Columns(
        prompt=config.prompt_column,
        response=config.response_column,
        system=config.system_column,
        messages=config.messages_column,
        source=config.source_column,
        task=config.task_column,
        template=config.template_column,
    )


def _checked(config: RunConfig | Mapping[str, Any] | Path | str) -> RunConfig:
    if isinstance(config, RunConfig):
        return config
    if isinstance(config, Mapping):
        return config_from(config)
    return config_from({}, file=Path(config))


def _required(config: RunConfig, field: str) -> Any:
    value = getattr(config, field)
    if value in (None, []):
        raise ConfigError("it is needed here and not given", place=field, fix=f"give `{field}`")
    return value
