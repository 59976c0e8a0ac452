"""What a strategy chooses of the whole corpus, or of the pool of a fold, as a mixture would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartx.budget import allot
from smartx.compare.candidates import Candidate
from smartx.compare.holdout import Fold, Split
from smartx.corpus import Corpus
from smartx.corpus.corpus import Groups
from smartx.embed import Embeddings
from smartx.means import task_sums
from smartx.mixture import assemble
from smartx.needs import Feature, Need, digest_of
from smartx.progress import Progress, Silent
from smartx.rankers import Rankings, rank_corpus
from smartx.strategies import facts_of

IntVector = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Choice:
    """row_ids: (n,) int64, rising.  tasks: (M,) int64, how many rows of each task of the corpus."""

    row_ids: IntVector
    tasks: IntVector


@dataclass(eq=False)
class Chooser:
    """Ranks what has to be ranked, once, and takes the first rows by the budgets.

    folder: the run's rankings, where all of these are kept.
    """

    corpus: Corpus
    embeddings: Embeddings
    split: Split
    folder: Path
    features: Mapping[str, Feature] = field(default_factory=dict)
    seed: int = 0
    threads: int = 1
    memory: int | None = None
    progress: Progress = field(default_factory=Silent)
    _rankings: dict[str, Rankings] = field(default_factory=dict)
    _sums: NDArray[np.int64] | None = None

    def choose(self, candidate: Candidate, rows: int, fold: Fold | None) -> Choice:
        """`rows` rows of the pool of a fold, or of the whole corpus.

        The law sees the groups of the pool alone, with the means of their rows.
        Raises BudgetError where the pool, or the tasks that the law chose, hold fewer rows.
        """
        groups = self.corpus.groups
        pool = np.ones(len(groups), dtype=np.bool_) if fold is None else fold.groups
        rankings = self.rankings(candidate, fold)
        kept, own = rankings.kept_of_groups(groups), part_of(groups, pool)
        means = self._means(pool) if candidate.law.needs_means else None
        allotment = allot(
            own.resized(kept[pool]),
            candidate.law,
            means=means,
            total=rows,
            seed=self.seed,
            left_out=int((own.rows - kept[pool]).sum()),
            features=self._features(candidate.law.needs, pool),
            told_of=own,
            ranked=self._ranked(candidate, rankings, pool),
        )
        by_group = np.zeros(len(groups), dtype=np.int64)
        by_group[pool] = allotment.groups
        by_task = np.add.reduceat(by_group, groups.tasks().first_group[:-1])
        whole = rankings.per != "template" and not allotment.for_templates
        budgets, of = (by_task, "task") if whole else (by_group, "template")
        chosen = assemble(self.corpus, rankings, budgets, of=of, seed=self.seed)
        return Choice(np.sort(chosen.row_ids), by_task)

    def rankings(self, candidate: Candidate, fold: Fold | None) -> Rankings:
        """All rows in order, those that the fold holds out behind the others of their unit.

        Groups that are no part of a unit do not change its order: a ranking of templates serves
        every fold, and one of tasks without the held-out templates does.
        """
        ranker, near = candidate.ranker, candidate.near
        left_out = self._left_out(candidate, fold)
        key = f"{facts_of(ranker)} {ranker.per} {near} {digest_of(left_out)}"
        if key not in self._rankings:
            self._rankings[key] = rank_corpus(
                self.corpus,
                self.embeddings,
                ranker,
                self.folder,
                threads=self.threads,
                features=self.features,
                left_out=left_out,
                near_duplicates=near.cosine if near else None,
                near_within=near.within if near else None,
                memory=self.memory,
                progress=self.progress,
            )
        return self._rankings[key]

    def _ranked(
        self, candidate: Candidate, rankings: Rankings, pool: NDArray[np.bool_]
    ) -> IntVector | None:
        """For a law that follows a ranking of the whole corpus: the group, among those of the pool,
        of each row that may be taken, best first.
        """
        if not candidate.law.follows_ranking:
            return None
        groups = self.corpus.groups
        best = rankings.prefix(0, int(rankings.kept_of_groups(groups).sum()))[0]
        places: IntVector = (np.cumsum(pool) - 1)[groups.of_rows(best)]
        return places

    def _left_out(self, candidate: Candidate, fold: Fold | None) -> IntVector:
        """Rising row ids."""
        groups, per = self.corpus.groups, [candidate.ranker.per]
        per += [candidate.near.within] if candidate.near else []
        out = np.zeros(len(groups), dtype=np.bool_)
        if fold is not None and "corpus" in per:
            out = ~fold.groups
        elif fold is not None and "task" in per:
            out = self.split.templates
        return np.flatnonzero(np.repeat(out, groups.rows)).astype(np.int64)

    def _features(self, needs: Sequence[Need], pool: NDArray[np.bool_]) -> dict[str, NDArray[Any]]:
        """What a law needs, of the rows of the pool."""
        there = np.repeat(pool, self.corpus.groups.rows)
        found = {n.key: self.features[n.key].rows(0, self.corpus.num_rows) for n in needs}
        tables = {need.key for need in needs if need.kind == "table"}
        return {k: values if k in tables else values[there] for k, values in found.items()}

    def _means(self, pool: NDArray[np.bool_]) -> NDArray[np.float64]:
        """(m, d) of the tasks that have a group in the pool: the mean of its rows."""
        if self._sums is None:
            self._sums = task_sums(self.embeddings, self.corpus.groups, progress=self.progress)
        own = part_of(self.corpus.groups, pool)
        first = own.tasks().first_group[:-1]
        means: NDArray[np.float64] = (
            np.add.reduceat(self._sums[pool], first, axis=0) / (own.tasks().rows[:, np.newaxis])
        )
        return means


def part_of(groups: Groups, kept: NDArray[np.bool_]) -> Groups:
    """The groups that are kept, as those of a corpus of their own. kept: (g,) bool."""
    rows = groups.rows[kept]
    source, task, template = (
        [name for name, stays in zip(column, kept.tolist(), strict=True) if stays]
        for column in (groups.source, groups.task, groups.template)
    )
    return Groups(source, task, template, np.cumsum(rows) - rows, rows)
