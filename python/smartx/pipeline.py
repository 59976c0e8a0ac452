"""Every step of a run, in order: ingest, embed, rank, mix. Each reads only what the ones before it
wrote.

    sources -> corpus -> embeddings -> rankings -> mixture

The costly steps (embed, rank) do not depend on the budget. A step whose inputs and parameters have
not changed is reused, so a second mixture at another budget, weight law or number of tasks takes
seconds.
"""

from __future__ import annotations

import json
import platform
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartx import __version__
from smartx.budget import allot, check_total
from smartx.config import RunConfig, config_from
from smartx.corpus import Columns, Corpus, ingest, open_corpus
from smartx.embed import (
    Embeddings,
    EncoderSpec,
    VectorsSpec,
    default_encoder,
    embed_corpus,
    embedding_rate,
    embeddings_there,
    open_embeddings,
)
from smartx.engine import default_memory, resolve_threads
from smartx.errors import ConfigError
from smartx.lock import working_in
from smartx.means import kept_task_means
from smartx.mixture import Mixture, assemble, check_out, mixture_facts, write_mixture
from smartx.planning import Limits, Plan, Vectors, plan_of
from smartx.progress import Progress, Silent
from smartx.rankers import (
    Rankings,
    is_ranked,
    near_duplicates_line,
    open_rankings,
    rank_corpus,
    ranker_from,
)
from smartx.report import render
from smartx.store import MANIFEST, canonical_json, commit_bytes, storing, sweep
from smartx.weights import WeightLaw, law_from

WORTH_TIMING = 20_000  # rows for which a run times the encoder before it starts
LONG = 10.0  # nominal seconds of ranking from which a run measures this machine
CORPUS, EMBEDDINGS, MEANS, RANKINGS = "corpus", "embeddings", "means", "rankings"
RUN_FILE = "run.json"


def run(
    config: RunConfig | Mapping[str, Any] | Path | str, *, progress: Progress | None = None
) -> Mixture:
    """Turn sources into a mixture: every step, reusing what an earlier run with the same folder
    left.

    config: a RunConfig, a mapping of its fields, or the path of a YAML file.
    Raises ConfigError before any work where a needed field is missing; SmartxError where a step
    fails.
    """
    config, progress = _checked(config), progress or Silent()
    for field in ("sources", "rows"):
        _required(config, field)
    check_out(_required(config, "out"))
    with working_in(config.work_folder, progress):
        corpus = ingest_step(config, progress)
        check_total(corpus.groups, _required(config, "rows"))  # before hours go into vectors
        worth = corpus.num_rows >= WORTH_TIMING
        planned = _planned(config, corpus, progress, encoder=worth, speed=False)
        progress.note(planned.line())
        planned.check()
        if _needs_vectors(config):
            embed_step(config, progress)
        return mix_step(config, progress)


def plan(
    config: RunConfig | Mapping[str, Any] | Path | str, *, progress: Progress | None = None
) -> Plan:
    """What `run` with this configuration will take: seconds, memory and disk for each stage.

    The sizes of the groups decide, so sources are ingested first, unless that was done already;
    then a few seconds go into measuring this machine. Raises as `run` does, up to the ingest.
    """
    config, progress = _checked(config), progress or Silent()
    if config.sources:
        corpus = ingest_step(config, progress)
    else:
        corpus = open_corpus(config.work_folder / CORPUS)
    return _planned(config, corpus, progress, encoder=True, speed=True)


def _planned(
    config: RunConfig, corpus: Corpus, progress: Progress, *, encoder: bool, speed: bool
) -> Plan:
    """encoder: time it, if it is here.  speed: measure that of ranking even where it is quick."""
    embeddings, vectors = None, None
    if _needs_vectors(config):
        asked = vectors_of(config)
        embeddings = _embeddings_there(config, corpus, asked)
        encodes = isinstance(asked, EncoderSpec)
        if embeddings is None:
            rate = embedding_rate(corpus, asked, progress, measure=encoder)
            vectors = Vectors(
                rate.dimensions, rate.seconds, encodes, done=False, devices=rate.devices
            )
        else:
            vectors = Vectors(embeddings.dimensions, 0.0, encodes, done=True)
    limits = _limits(config, rows=config.rows, out=config.out)
    quick = _plan_with(config, corpus, embeddings, vectors, limits, measure=False)
    if not speed and all(s.name != "rank" or (s.seconds or 0) < LONG for s in quick.stages):
        return quick
    return _plan_with(config, corpus, embeddings, vectors, limits, measure=True)


def _embeddings_there(
    config: RunConfig, corpus: Corpus, asked: EncoderSpec | VectorsSpec
) -> Embeddings | None:
    """The vectors that are asked for, if they are there; any of a run that exists, if none are."""
    folder = config.work_folder / EMBEDDINGS
    if config.sources or config.encoder is not None or config.vectors is not None:
        return embeddings_there(corpus, asked, folder)
    return open_embeddings(folder) if (folder / MANIFEST).exists() else None


def _limits(config: RunConfig, *, rows: int | None, out: Path | None) -> Limits:
    return Limits(
        threads=resolve_threads(config.threads),
        memory=config.memory or default_memory(),
        work=config.work_folder,
        out=out,
        rows=rows,
    )


def _plan_with(
    config: RunConfig,
    corpus: Corpus,
    embeddings: Embeddings | None,
    vectors: Vectors | None,
    limits: Limits,
    *,
    measure: bool,
) -> Plan:
    ranker, near = ranker_from(config), config.near_duplicates
    folder = config.work_folder / RANKINGS
    ranked = is_ranked(corpus, embeddings, ranker, folder, near_duplicates=near)
    looked_for = near is not None
    return plan_of(
        corpus, ranker, vectors, limits, ranked=ranked, measure=measure, near_duplicates=looked_for
    )


@dataclass(frozen=True)
class Run:
    """The folder of a run, for reading what its stages left."""

    folder: Path

    def corpus(self) -> Corpus:
        """The ingested rows. Raises StoreError where the stage has not been finished."""
        return open_corpus(self.folder / CORPUS)

    def embeddings(self) -> Embeddings:
        """The vectors of the rows. Raises StoreError where the stage has not been finished."""
        return open_embeddings(self.folder / EMBEDDINGS)

    def rankings(self) -> list[Rankings]:
        """Every finished ranking, one for each choice of ranker and parameters."""
        finished = sorted(path.parent for path in (self.folder / RANKINGS).glob(f"*/{MANIFEST}"))
        return [open_rankings(folder) for folder in finished]


def open_run(folder: Path | str) -> Run:
    """The run in a folder. Raises StoreError where there is none."""
    run = Run(Path(folder))
    run.corpus()
    return run


def ingest_step(config: RunConfig, progress: Progress) -> Corpus:
    """Sources -> RUN/corpus."""
    sources = _required(config, "sources")
    columns = Columns(
        prompt=config.prompt_column,
        response=config.response_column,
        system=config.system_column,
        messages=config.messages_column,
        source=config.source_column,
        task=config.task_column,
        template=config.template_column,
    )
    folder = config.work_folder / CORPUS
    with _doing(config, "ingest", progress, folder):
        corpus = ingest(
            sources,
            folder,
            columns=columns,
            keep_empty_responses=config.keep_empty_responses,
            task_name=config.task,
            other_columns=not config.drop_other_columns,
            duplicates=config.duplicates,
            tokenizer=config.tokenizer,
            memory=config.memory or default_memory(),
            progress=progress,
        )
    tasks, groups = len(corpus.groups.tasks().task), len(corpus.groups)
    progress.note(f"corpus: {corpus.num_rows:,} rows, {tasks:,} tasks, {groups:,} groups")
    return corpus


def embed_step(config: RunConfig, progress: Progress) -> Embeddings:
    """RUN/corpus -> RUN/embeddings."""
    corpus = open_corpus(config.work_folder / CORPUS)
    folder = config.work_folder / EMBEDDINGS
    with _doing(config, "embed", progress, folder):
        return embed_corpus(corpus, vectors_of(config), folder, progress=progress)


def rank_step(config: RunConfig, progress: Progress) -> Rankings:
    """RUN/corpus and RUN/embeddings -> RUN/rankings/ID."""
    corpus, ranker = open_corpus(config.work_folder / CORPUS), ranker_from(config)
    embeddings = _embeddings(config) if _ranks_vectors(config) else None
    folder = config.work_folder / RANKINGS
    made = Vectors(embeddings.dimensions, 0.0, False, done=True) if embeddings else None
    limits = _limits(config, rows=None, out=None)
    _plan_with(config, corpus, embeddings, made, limits, measure=False).check()
    with _doing(config, "rank", progress, folder):
        rankings = rank_corpus(
            corpus,
            embeddings,
            ranker,
            folder,
            threads=resolve_threads(config.threads),
            near_duplicates=config.near_duplicates,
            memory=config.memory or default_memory(),
            progress=progress,
        )
    if rankings.near_duplicates:
        line = near_duplicates_line(rankings.num_rows, rankings.near_duplicates)
        progress.note(f"rank: {line}")
    return rankings


def means_step(config: RunConfig, progress: Progress) -> NDArray[np.float64]:
    """RUN/corpus and RUN/embeddings -> RUN/means: the mean vector of every task."""
    corpus, embeddings = open_corpus(config.work_folder / CORPUS), _embeddings(config)
    folder = config.work_folder / MEANS
    with _doing(config, "means", progress, folder):
        return kept_task_means(corpus, embeddings, folder, progress=progress)


def mix_step(config: RunConfig, progress: Progress) -> Mixture:
    """RUN/corpus and a ranking -> OUT, a folder that trainers load. Ranks first if need be."""
    total, out = _required(config, "rows"), _required(config, "out")
    corpus, law = open_corpus(config.work_folder / CORPUS), law_from(config)
    rankings = rank_step(config, progress)
    means = means_step(config, progress) if law.needs_means else None
    with _doing(config, "mix", progress, out):
        groups = corpus.groups.resized(rankings.kept(corpus.groups.rows))
        check_total(groups, total, left_out=corpus.num_rows - int(groups.rows.sum()))
        allotment = allot(groups, law, means=means, total=total, seed=config.seed)
        chosen = assemble(corpus, rankings, allotment.groups, seed=config.seed)
        facts = mixture_facts(
            corpus,
            rankings,
            allotment,
            chosen,
            law=law,
            ranker=ranker_from(config),
            preset="" if config.weights or config.ranker else config.preset,
            seed=config.seed,
            version=__version__,
            embedding=_embedding_facts(config, law),
        )
        return write_mixture(corpus, chosen, out, facts=facts, report=render, progress=progress)


def _needs_vectors(config: RunConfig) -> bool:
    return _ranks_vectors(config) or law_from(config).needs_means


def _ranks_vectors(config: RunConfig) -> bool:
    return ranker_from(config).needs_embeddings or config.near_duplicates is not None


def vectors_of(config: RunConfig) -> EncoderSpec | VectorsSpec:
    """Where the vectors come from: a file of ready ones, or an encoder."""
    if config.vectors is not None:
        if config.encoder is not None:
            raise ConfigError(
                "an encoder and ready vectors are both given",
                place="vectors",
                fix="give one of --encoder and --vectors",
            )
        return VectorsSpec(config.vectors, config.vectors_column)
    return EncoderSpec(
        name=config.encoder or default_encoder(),
        revision=config.encoder_revision,
        batch_size=config.batch_size,
        max_length=config.max_length,
        prompt_prefix=config.prompt_prefix,
        device=config.device,
        dtype=config.dtype,
        threads=resolve_threads(config.threads),
    )


def _embeddings(config: RunConfig) -> Embeddings:
    return open_embeddings(config.work_folder / EMBEDDINGS)


def _embedding_facts(config: RunConfig, law: WeightLaw) -> dict[str, Any] | None:
    """What made the vectors, where the weight law or the ranker looked at any."""
    if not (law.needs_means or _ranks_vectors(config)):
        return None
    embeddings = _embeddings(config)
    return {**embeddings.manifest["parameters"], "digest": embeddings.digest}


def _checked(config: RunConfig | Mapping[str, Any] | Path | str) -> RunConfig:
    if isinstance(config, RunConfig):
        return config
    if isinstance(config, Mapping):
        return config_from(config)
    return config_from({}, file=Path(config))


def _required(config: RunConfig, field: str) -> Any:
    value = getattr(config, field)
    if value in (None, []):
        given = "SOURCES" if field == "sources" else f"--{field}"
        raise ConfigError("it is needed here and not given", place=field, fix=f"pass {given}")
    return value


@contextmanager
def _doing(config: RunConfig, step: str, progress: Progress, *places: Path) -> Iterator[None]:
    """One step, alone in the run folder. What a disk refuses in `places` is a StoreError, and
    nothing half-written stays in the first of them.

    What is true of this run only (when, where, how long) goes into RUN/run.json.
    """
    with working_in(config.work_folder, progress):
        started, clock = datetime.now(timezone.utc), time.perf_counter()
        try:
            with storing(*places):
                yield
        finally:
            sweep(places[0])
        _record(config, step, started, time.perf_counter() - clock)


def _record(config: RunConfig, step: str, started: datetime, seconds: float) -> None:
    record = {
        "step": step,
        "started": started.isoformat(timespec="seconds"),
        "seconds": round(seconds, 3),
        "command": sys.argv,
        "smartx": __version__,
        "python": platform.python_version(),
        "numpy": metadata.version("numpy"),
        "pyarrow": metadata.version("pyarrow"),
        "platform": platform.platform(),
        "threads": resolve_threads(config.threads),
    }
    path = config.work_folder / RUN_FILE
    commit_bytes(path, canonical_json([*_earlier_records(path), record]))


def _earlier_records(path: Path) -> list[Any]:
    """What run.json says already; nothing if it is missing or damaged: only people read it."""
    try:
        records = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return []
    return records if isinstance(records, list) else []
