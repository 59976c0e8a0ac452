"""All that is asked for, a pass at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from smartx.collect.llm.ask_llm import Asking
from smartx.collect.llm.asked import (
    AFTER,
    ALONE,
    ASK,
    BAND,
    BEFORE,
    CONFIDENCE,
    CORRECTNESS,
    IFD,
    LOSS,
    PERPLEXITY,
    RDS,
    UNDERSTANDING,
    Asked,
)
from smartx.collect.llm.derived import band, derived, quotient
from smartx.collect.llm.passes import Pass, Where, run_pass
from smartx.collect.llm.scores import After, Alone, Own, Querying, Reading
from smartx.corpus import Corpus, ingestion
from smartx.engine import resolve_threads
from smartx.errors import ConfigError
from smartx.progress import Progress
from smartx.run_folder import CORPUS
from smartx.store import folder_of

if TYPE_CHECKING:
    from smartx.config import RunConfig
    from smartx.features import StoredFeature


def collect_llm(
    asked: Asked, config: RunConfig, corpus: Corpus, run: Path, progress: Progress
) -> dict[str, StoredFeature]:
    """The features of all rows, by name. Raises ModelError where a model cannot be asked."""
    where = Where(corpus, run, resolve_threads(config.threads), progress)
    found: dict[str, StoredFeature] = {}
    for one in passes_of(asked):
        found |= run_pass(one, where)
    for name, source in query_sets(asked.queries).items():
        found |= run_pass(Querying(asked, (name,)), _table(name, source, config, where))
    if asked.asks("ifd"):
        found[IFD] = derived(IFD, quotient, [found[LOSS], found[ALONE]], where)
    if asked.asks("difficulty"):
        all_three = (UNDERSTANDING, CONFIDENCE, CORRECTNESS)
        found[BAND] = derived(BAND, band, [found[n] for n in all_three if n in found], where)
    return found


def query_sets(given: Sequence[str]) -> dict[str, str]:
    """NAME=SOURCE by name. Raises ConfigError for anything else."""
    found: dict[str, str] = {}
    for one in given:
        name, sign, source = one.partition("=")
        if not sign or not name.strip() or not source or name in found:
            raise ConfigError(
                f'"{one}" is not of the form NAME=SOURCE, each name once',
                place="queries",
                fix="write a name, = and a file of rows",
            )
        found[name.strip()] = source
    return found


def _table(name: str, source: str, config: RunConfig, where: Where) -> Where:
    wanted = ingestion(
        [source],
        keep_empty_responses=True,
        task_name="queries",
        source_name=name,
        other_columns=False,
        progress=where.progress,
    )
    folder = folder_of(where.run / CORPUS, wanted.key)
    return replace(where, table=wanted.into(folder, memory=config.memory))


def passes_of(asked: Asked) -> list[Pass]:
    """The fewest passes that give what is asked for."""
    read = [
        *([LOSS] if asked.asks("loss", "ifd") else []),
        *([PERPLEXITY] if asked.asks("perplexity") else []),
        *([BEFORE] if asked.asks("learnability") else []),
        *([UNDERSTANDING, CORRECTNESS] if asked.asks("difficulty") else []),
        *([RDS] if asked.asks("rds") else []),
    ]
    return [
        *([Reading(asked, tuple(read))] if read else []),
        *([Alone(asked, (ALONE,))] if asked.asks("ifd") else []),
        *([Own(asked, (CONFIDENCE,))] if asked.asks("difficulty") and asked.answer_tokens else []),
        *([Asking(asked, (ASK,))] if asked.asks("ask-llm") else []),
        *([After(asked, (AFTER,))] if asked.asks("learnability") else []),
    ]
