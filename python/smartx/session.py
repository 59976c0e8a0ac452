"""One command at work in a run folder: each stage is opened once, or made, and then held."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from smartx import __version__
from smartx.budget import Budget
from smartx.clean import Asked as CleanAsked
from smartx.clean import Cleaned, apart, asked_facts, asked_of, clean_rows, cleaned_there
from smartx.collect import needed_feature
from smartx.config import RunConfig
from smartx.corpus import Corpus, ingested
from smartx.corpus.overview import one_task_advice
from smartx.embed import (
    Embeddings,
    embed_corpus,
    embeddings_like,
    open_embeddings,
    warnings_of,
)
from smartx.embed.again import encoder_again
from smartx.embed.run import Spec
from smartx.engine import default_memory, resolve_threads
from smartx.engine.on_card import similarities_on
from smartx.errors import StoreError
from smartx.executors import elsewhere
from smartx.features import feature_files
from smartx.files import storing
from smartx.forecast import ranking_plan, tasks_plan
from smartx.from_config import ingestion_of, required, stages_of, vectors_of
from smartx.leave_out import Asked, LeftOut, left_out_line
from smartx.lock import working_in
from smartx.means import kept_task_means
from smartx.mixture import (
    Chosen,
    Mixture,
    check_replaceable,
    mixture_facts,
    write_mixture,
)
from smartx.mixture.choose import choose
from smartx.mixture.in_store import check_store
from smartx.needs import VECTORS, Feature, Need
from smartx.preflight import check, check_tasks
from smartx.progress import Progress, Silent, counted, stage, stages, warn
from smartx.rankers import Rankings, near_duplicates_line, rank_corpus
from smartx.report import Material, render
from smartx.run_folder import (
    CLEAN,
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
from smartx.strategies import facts_of
from smartx.tasks import as_read, group_rows, grouped_there

_T = TypeVar("_T")
WORKER = "worker"  # the command of one who makes units for a process that checked everything
_GOES_ON = ("embed", "tasks", "rank", "mix")  # commands with what an earlier one left
_MAY_READ = ("features", "clean")  # and those that do so where no sources are given


class Session:
    """One command at work in a run folder: each stage is opened once, or made, and then held."""

    def __init__(self, config: RunConfig, progress: Progress | None, *, command: str) -> None:
        """command: run, plan, ingest, embed, features, tasks, rank or mix. Raises what can be known
        at the start.
        """
        goes_on = command in _GOES_ON or (command in _MAY_READ and not config.sources)
        if goes_on and (config.run_dir or config.out):
            _check_there(config.work_folder)
        if command != WORKER:
            check(config, command=command)
        self.command = command
        self.config, self.progress = config, progress or Silent()
        self.run = Run(config.work_folder)
        self.law, self.ranker = config.law, config.row_ranker
        self.asked, self._goes_on = Asked(config), command in ("rank", "mix")
        self.left_out: LeftOut | None = None
        self.cleaned: Cleaned | None = None
        self.divide = elsewhere(config, self.progress)  # has units of a stage made elsewhere
        stages(self.progress, stages_of(command, config, embeds=self.needs_vectors))

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
        given, folder = feature_files(self.config.feature), self.run.folder
        found: dict[str, Feature] = {}
        for need in needs:
            if not need.name:
                continue
            feature = needed_feature(
                self.corpus, need, given, folder, make=make, progress=self.progress
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
    def encoding(self) -> Spec:
        """Where the vectors come from: a file of ready ones, or an encoder. Evaluation rows are
        embedded by what embedded the corpus, where a command goes on from that and names nothing.
        """
        config = self.config
        if self._goes_on and self.asked.near and config.encoder is None and config.vectors is None:
            made = self.embeddings.by_one_encoder.manifest["parameters"]
            if "vectors" not in made:
                return encoder_again(made, batch_size=config.batch_size, threads=self.threads)
        return vectors_of(config)

    @cached_property
    def threads(self) -> int:
        """How many threads work."""
        return resolve_threads(self.config.threads)

    @property
    def memory(self) -> int:
        """Bytes that may be used."""
        return self.config.memory or default_memory()

    @cached_property
    def budget(self) -> Budget:
        """How much is asked for. Raises ConfigError where nothing is."""
        found = Budget.of(self.config)
        return found or required(self.config, "rows")  # raises

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
            "leave_out": {**self.asked.facts(), **asked_facts(asked_of(config))},
        }
        if config.tasks is not None or config.sources:
            settings["found_tasks"] = None if config.tasks is None else facts_of(config.tasks)
        out = required(config, "out")
        check = check_store if isinstance(out, str) else check_replaceable
        check(out, settings, overwrite=config.overwrite)

    @property
    def preset(self) -> str:
        """The name of the preset, where it is what runs; else nothing."""
        return "" if self.config.changes_preset else self.config.preset

    def ingest(self) -> Corpus:
        """Sources -> RUN/corpus/ID."""
        config, progress = self.config, self.progress
        with self._doing("ingest", self.run.folder / CORPUS):
            quiet = Silent() if self.command == WORKER else progress
            wanted = ingestion_of(config, quiet)
            self.corpus = ingested(
                wanted,
                self.run.folder / CORPUS,
                divide=self.divide,
                memory=self.memory,
                progress=progress,
            )
            mean(self.run.folder, corpus=self.corpus.folder)
        tasks, groups = len(self.corpus.groups.tasks()), len(self.corpus.groups)
        counts = ((self.corpus.num_rows, "row"), (tasks, "task"), (groups, "group"))
        progress.note(f"corpus: {', '.join(counted(number, one) for number, one in counts)}")
        advice = one_task_advice(self.corpus.manifest["sources"])
        if advice and config.tasks is None:
            progress.note(advice)
        return self.corpus

    def embed(self) -> Embeddings:
        """The corpus -> RUN/embeddings/ID."""
        corpus = self.corpus
        with self._doing("embed", self.run.folder / EMBEDDINGS):
            self.embeddings = embed_corpus(
                corpus,
                self.encoding,
                self.run.folder,
                divide=self.divide,
                progress=self.progress,
            )
            mean(self.run.folder, embeddings=self.embeddings.folder)
        if self.config.tasks is None:
            self._tell_of_vectors()
        return self.embeddings

    def _tell_of_vectors(self) -> None:
        for line in warnings_of(self.embeddings, self.corpus):
            worst = line.startswith("WARNING: ")
            tell = partial(warn, self.progress) if worst else self.progress.note
            tell(line.removeprefix("WARNING: "))

    def collect(self, work: Callable[[Corpus, Path, Progress], _T]) -> _T:
        """What a model says of the rows of the corpus -> RUN/features/ID.

        work: gets the corpus, the run folder and progress, and keeps what it finds as `Collected`.
        """
        if self.config.sources:
            self.ingest()
        with self._doing("features", self.run.folder / FEATURES):
            return work(self.corpus, self.run.folder, self.progress)

    def group(self) -> None:
        """Put the rows under found tasks, where these are asked for: RUN/tasks/ID, then a corpus
        and embeddings of the same rows. What is there is used again.
        """
        asked, folder = self.config.tasks, self.run.folder
        if asked is None:
            return
        corpus = as_read(self.corpus)
        embeddings = self.embeddings_of(corpus)
        there = grouped_there(corpus, embeddings, asked, folder) is not None
        tasks_plan(self, corpus, embeddings.dimensions, there).check_memory(self.memory)
        with self._doing("tasks", folder / TASKS, folder / CORPUS, folder / EMBEDDINGS):
            made = group_rows(
                corpus, embeddings, asked, folder, threads=self.threads, progress=self.progress
            )
            self.corpus, self.embeddings = made.corpus, made.embeddings
            mean(folder, corpus=made.corpus.folder, embeddings=made.embeddings.folder)
        tasks, groups = counted(len(made.tasks.names), "task"), len(made.corpus.groups)
        self.progress.note(f"tasks: {tasks}, {counted(groups, 'group')}")
        self._tell_of_vectors()

    def embeddings_of(self, corpus: Corpus) -> Embeddings:
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

    def leave_out(self) -> LeftOut | None:
        """The corpus, evaluation sets and what was trained on -> RUN/leave_out/ID."""
        if not self.asked:
            return None
        with self._doing("leave_out", *(self.run.folder / one for one in (LEAVE_OUT, EMBEDDINGS))):
            self.left_out = self.asked.find(
                self.corpus,
                self.run.folder,
                self.encoding,
                lambda: self.embeddings,
                threads=self.threads,
                memory=self.memory,
                progress=self.progress,
            )
        line = left_out_line(self.corpus.num_rows, self.left_out.facts())
        self.progress.note(f"leave out: {line}")
        return self.left_out

    def clean(self, asked: CleanAsked | None = None) -> Cleaned | None:
        """The corpus and rules -> RUN/clean/ID. asked: instead of what the configuration says."""
        asked = asked or asked_of(self.config)
        if asked is None:
            return None
        run = self.run.folder
        with self._doing("clean", run / CLEAN, run / FEATURES):
            self.cleaned = clean_rows(
                self.corpus,
                asked,
                run,
                band=self.features(asked.needs).get,
                threads=self.threads,
                progress=self.progress,
            )
        self.progress.note(f"clean: {self.cleaned.line()}")
        return self.cleaned

    def cleaning_is_there(self, corpus: Corpus) -> bool:
        """Whether it is known which rows cleaning drops, or none are to be; they are held then."""
        if (asked := asked_of(self.config)) is not None and self.cleaned is None:
            found = self.features(asked.needs, make=False) if asked.needs else {}
            if len(found) == len(asked.needs):
                self.cleaned = cleaned_there(corpus, asked, self.run.folder, band=found.get)
        return asked is None or self.cleaned is not None

    def rank(self) -> Rankings:
        """The corpus and the embeddings -> RUN/rankings/ID."""
        self.leave_out()
        self.clean()
        embeddings = self.embeddings if self.ranks_vectors else None
        if self.command != WORKER:  # whose units were found to fit
            ranking_plan(self, embeddings).check()
        places = self.run.folder / RANKINGS, self.run.folder / FEATURES
        with self._doing("rank", *places), similarities_on(self.config.device, self.progress):
            features = self.features(self.ranker.reads)
            rankings = rank_corpus(
                self.corpus,
                embeddings,
                self.ranker,
                self.run.folder / RANKINGS,
                threads=self.threads,
                features=features,
                **self.apart(),
                near_duplicates=self.config.near_duplicates,
                near_within=self.config.near_duplicates_within,
                memory=self.memory,
                divide=self.divide,
                progress=self.progress,
            )
            mean(self.run.folder, rankings=rankings.folder)
        if rankings.near_duplicates:
            line = near_duplicates_line(rankings.num_rows, rankings.near_duplicates)
            self.progress.note(f"rank: {line}")
        return rankings

    def apart(self) -> dict[str, NDArray[np.int64]]:
        """Rows that nobody takes, as `rank_corpus` has them."""
        found = self.left_out
        rows = {"left_out": found.contaminated, "trained": found.trained} if found else {}
        if self.cleaned is not None:
            rows["left_out"] = np.union1d(rows.get("left_out", []), self.cleaned.rows).astype(int)
        return rows

    def means(self) -> NDArray[np.float64]:
        """The corpus and the embeddings -> RUN/means/ID: the mean vector of every task."""
        folder = self.run.folder / MEANS
        with self._doing("means", folder):
            return kept_task_means(self.corpus, self.embeddings, folder, progress=self.progress)

    def mix(self) -> Mixture:
        """The corpus and a ranking -> OUT, a folder that trainers load. Ranks first if need be."""
        out, ranked = required(self.config, "out"), self._ranked()
        places = [self.run.folder] if isinstance(out, str) else [out, out.parent]
        with self._doing("mix", *places):
            chosen, facts = self._chosen(*ranked)
            return write_mixture(
                self.corpus,
                chosen,
                out,
                facts=facts,
                report=partial(render, material=self._material(ranked[0], chosen)),
                overwrite=self.config.overwrite,
                staging=self.run.folder / "mixture",
                progress=self.progress,
            )

    def _material(self, rankings: Rankings, chosen: Chosen) -> Material:
        embeddings = self.embeddings if self.needs_vectors else None
        return Material(self.corpus, rankings, chosen.row_ids, embeddings)

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
        corpus, needs = self.corpus, self.law.needs
        found = self.features(needs)
        picked = choose(
            corpus,
            rankings,
            self.law,
            self.budget,
            means=means,
            features={key: feature.rows(0, corpus.num_rows) for key, feature in found.items()},
            seed=self.config.seed,
        )
        return picked.chosen, mixture_facts(
            corpus,
            rankings,
            picked.allotment,
            picked.chosen,
            law=self.law,
            ranker=self.ranker,
            preset=self.preset,
            seed=self.config.seed,
            version=__version__,
            budget=self.budget.facts(),
            tokens=picked.tokens,
            embedding=self.embeddings.facts() if self.needs_vectors else None,
            left_out=apart(self.left_out, self.cleaned),
        )

    @contextmanager
    def _doing(self, step: str, *places: Path) -> Iterator[None]:
        """One step, alone in the run folder. What a disk refuses in `places` is a StoreError."""
        stage(self.progress, step)
        with self.alone():
            started, clock = datetime.now(timezone.utc), time.perf_counter()
            with storing(*places):
                yield
            record(self.run.folder, step, started, time.perf_counter() - clock, self.threads)


def _check_there(run: Path) -> None:
    if not run.is_dir():
        raise StoreError(
            "there is no such run folder",
            place=str(run),
            fix="name that of an earlier run in `run_dir` (OUT.run where none was named), or make "
            "one with `smartx run` or `smartx ingest`",
        )
