"""Many strategies on one corpus: what each chooses, and how that looks beside chance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartx import __version__
from smartx.budget import supply_of_rows
from smartx.compare.board import board_of
from smartx.compare.candidates import Candidate, candidates
from smartx.compare.choose import Choice, Chooser
from smartx.compare.controls import random_rows
from smartx.compare.held import PROBED_DRAWS, Column, Compared, Copying, Draws, Held, copying
from smartx.compare.holdout import Split, split_of
from smartx.compare.mixture import Gauge
from smartx.compare.notes import NOTES
from smartx.compare.objective import Objective
from smartx.compare.proxies import overlap
from smartx.config import RunConfig, config_from
from smartx.corpus import Corpus
from smartx.corpus.corpus import Groups
from smartx.embed import Embeddings
from smartx.errors import BudgetError, ConfigError, InputError, SmartxError
from smartx.files import storing
from smartx.progress import Progress, step, warn
from smartx.run_folder import RANKINGS
from smartx.session import Session

TWIN_DRAWS = 3  # random choices of the whole corpus whose twins are looked for


@dataclass(frozen=True)
class Protocol:
    """How strategies are compared.

    folds: of tasks; fewer than 2 hold no task out.  hold_out_tasks: globs of tasks; then these are
    the one fold.  draws: random choices that numbers are compared with.
    """

    folds: int = 4
    hold_out_tasks: Sequence[str] = ()
    draws: Draws = field(default_factory=Draws)


def compare(
    config: RunConfig | Mapping[str, Any],
    strategies: Iterable[Any] = (),
    *,
    protocol: Protocol | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Compare strategies by their mixtures of `rows` rows from the corpus of a run.

    config: `rows` and `run_dir`, and `seed`, `feature`, `threads` and `memory` where they matter.
    strategies: as `candidates` takes them; none: the usual ones.
    Rankings that are not there are made and kept in the run folder, as `smartx rank` does.
    Returns the facts, as the JSON of `smartx compare` has them. A strategy that cannot be, such as
    one whose tasks hold too few rows, stands under "failed".
    Raises ConfigError, BudgetError where a fold leaves fewer than `rows` rows, and StoreError where
    the run has no corpus or embeddings.
    """
    config = config if isinstance(config, RunConfig) else config_from(config)
    protocol, wanted = protocol or Protocol(), candidates(strategies, seed=config.seed)
    session = Session(config, progress, command="compare")
    if config.rows is None:
        raise ConfigError("it is needed here and not given", place="rows", fix="give `rows`")
    with session.alone(), storing(session.run.folder):
        groups = session.corpus.groups
        rows = supply_of_rows(groups).total(config.rows)
        split = split_of(
            groups, folds=protocol.folds, patterns=protocol.hold_out_tasks, seed=config.seed
        )
        _check_rows(groups, split, rows)
        chosen, failed = _choose(_chooser(session, wanted, split), wanted, rows)
        if not chosen:
            raise InputError(
                f"none of the strategies can be; the first: {failed[0]['fault']}", place="strategy"
            )
        work = _Comparison(
            session.corpus,
            session.embeddings,
            split,
            rows,
            protocol.draws,
            config.seed,
            session.threads,
            session.progress,
        )
        return work.facts(chosen, failed)


def _chooser(session: Session, wanted: Sequence[Candidate], split: Split) -> Chooser:
    reads = [need for one in wanted for need in (*one.ranker.reads, *one.law.needs)]
    return Chooser(
        session.corpus,
        session.embeddings,
        split,
        session.run.folder / RANKINGS,
        features=session.features(list(dict.fromkeys(reads))),
        seed=session.config.seed,
        threads=session.threads,
        memory=session.memory,
        progress=session.progress,
    )


@dataclass(frozen=True, eq=False)
class _Chosen:
    """What a strategy chose of the whole corpus, and of the pool of each fold."""

    candidate: Candidate
    whole: Choice
    folds: list[Choice]


def _choose(
    chooser: Chooser, wanted: Sequence[Candidate], rows: int
) -> tuple[list[_Chosen], list[dict[str, Any]]]:
    """The choices of all strategies, and those that cannot be, with the reason."""
    chosen, failed = [], []
    for candidate in wanted:
        try:
            whole = chooser.choose(candidate, rows, None)
            folds = [chooser.choose(candidate, rows, fold) for fold in chooser.split.folds]
        except SmartxError as problem:
            warn(chooser.progress, f"{candidate.name}: {problem}")
            failed.append({**candidate.facts(), "fault": str(problem)})
        else:
            chosen.append(_Chosen(candidate, whole, folds))
    return chosen, failed


@dataclass(frozen=True, eq=False)
class _Comparison:
    """The measuring, once everything is chosen."""

    corpus: Corpus
    embeddings: Embeddings
    split: Split
    rows: int
    draws: Draws
    seed: int
    threads: int
    progress: Progress

    def facts(self, chosen: Sequence[_Chosen], failed: list[dict[str, Any]]) -> dict[str, Any]:
        """All that is said of the choices."""
        mixtures, twins_of_chance = self._mixtures(chosen)
        held, columns = self._held(chosen)
        copied = copying(held, [*columns, *held.random], self._responses)
        compared = Compared(held, copied)
        return {
            "smartx": __version__,
            "rows": self.rows,
            "seed": self.seed,
            "inputs": {"corpus": self.corpus.digest, "embeddings": self.embeddings.digest},
            **self._corpus_facts(),
            "held_out": self._held_out(held, copied),
            "chance": {**compared.of_chance(), "twins": twins_of_chance},
            "strategies": [
                {
                    **one.candidate.facts(),
                    **mixture,
                    **compared.facts(column, held.same_sizes(one.folds)),
                }
                for one, mixture, column in zip(chosen, mixtures, columns, strict=True)
            ],
            "failed": failed,
            "overlap": np.round(overlap([one.whole.row_ids for one in chosen]), 4).tolist(),
            "notes": list(NOTES),
        }

    def _mixtures(self, chosen: Sequence[_Chosen]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """What each mixture of the whole corpus is like; and twins of random rows."""
        groups, seed = self.corpus.groups, self.seed
        objective = Objective(groups, self.embeddings, self.threads)
        gauge, found = Gauge(self.corpus, self.embeddings, objective, seed), []
        with step(self.progress, "measure mixtures", len(chosen), "mixtures") as advance:
            for one in chosen:
                found.append(gauge.facts(one.whole))
                advance(1)
        everything = np.arange(self.corpus.num_rows, dtype=np.int64)
        draws = [
            gauge.twins(random_rows(everything, self.rows, draw, seed=seed))
            for draw in range(TWIN_DRAWS)
        ]
        return found, {
            name: round(sum(draw[name] for draw in draws) / len(draws), 6) for name in draws[0]
        }

    def _held(self, chosen: Sequence[_Chosen]) -> tuple[Held, list[Column]]:
        """What chance, and each strategy, shows on rows that were held out."""
        boards = []
        with step(
            self.progress, "look at held-out rows", len(self.split.folds), "folds"
        ) as advance:
            for fold in self.split.folds:
                boards.append(board_of(self.corpus.groups, self.embeddings, fold))
                advance(1)
        held = Held(boards, self.rows, self.split.families, self.draws, self.seed)
        with step(self.progress, "draw at random", 2 * len(boards), "folds") as advance:
            held.draw(advance)
            held.draw_same_sizes([one.folds for one in chosen], advance)
        columns = []
        with step(self.progress, "measure choices", len(chosen), "strategies") as advance:
            for one in chosen:
                columns.append(held.column(one.folds))
                advance(1)
        return held, columns

    def _responses(self, row_ids: NDArray[np.int64]) -> list[str]:
        """Of rows of rising ids."""
        tables = self.corpus.rising(row_ids, ["response"])
        return [text for table in tables for text in table["response"].to_pylist()]

    def _corpus_facts(self) -> dict[str, Any]:
        tasks = self.corpus.groups.tasks()
        names = zip(tasks.source, tasks.task, tasks.rows.tolist(), strict=True)
        return {
            "corpus": {
                "rows": self.corpus.num_rows,
                "groups": len(self.corpus.groups),
                "tokens": self.corpus.manifest.get("tokens"),
            },
            "tasks": [
                {"source": source, "task": task, "rows": rows} for source, task, rows in names
            ],
        }

    def _held_out(self, held: Held, copied: Copying) -> dict[str, Any]:
        """What was held out, and how much of it was looked at."""
        names, draws = self.corpus.groups.tasks().task, self.draws
        return {
            "templates": int(self.split.templates.sum()),
            "folds": [
                {
                    "pool_rows": len(board.pool),
                    "tasks": [names[task] for task in board.fold.tasks.tolist()],
                    "task_rows": len(board.held_tasks),
                    "template_rows": len(board.held_template_tasks),
                }
                for board in held.boards
            ],
            "copied_rows": len(copied.queries),
            "draws": {"rows": draws.rows, "same_sizes": draws.same_sizes, "probe": PROBED_DRAWS},
        }


def _check_rows(groups: Groups, split: Split, rows: int) -> None:
    """Raise BudgetError where a fold leaves fewer rows than are to be chosen."""
    least = min(int(groups.rows[fold.groups].sum()) for fold in split.folds)
    if least < rows:
        raise BudgetError(
            f"a fold holds out so much that {least:,} rows are left, {rows - least:,} fewer than "
            f"the {rows:,} asked",
            asked=rows,
            available=least,
            fix=f"lower `rows` to at most {least:,}, or hold out fewer tasks",
        )
