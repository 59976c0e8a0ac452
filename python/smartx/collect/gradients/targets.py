"""What the selection is to help: a few rows for each subtask, read like any source."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from smartx.causal import Row, rows_of
from smartx.corpus import Corpus, ingestion
from smartx.progress import Progress
from smartx.run_folder import CORPUS
from smartx.store import folder_of

MANY = 2_000  # rows, above which one is told that a few are meant


@dataclass(frozen=True)
class Targets:
    """A corpus of its own; each of its tasks is a subtask."""

    corpus: Corpus

    @property
    def names(self) -> list[str]:
        """Of the subtasks, in order."""
        tasks = self.corpus.groups.tasks()
        pairs = zip(tasks.source, tasks.task, strict=True)
        return [f"{source}/{task}" if source else task for source, task in pairs]

    def rows(self, subtask: int) -> list[Row]:
        """Of a subtask, by number."""
        tasks = self.corpus.groups.tasks()
        start = int(tasks.start[subtask])
        return rows_of(self.corpus, start, start + int(tasks.rows[subtask]))


def targets_of(file: Path, run: Path, memory: int | None, progress: Progress) -> Targets:
    """Read a file of targets into RUN/corpus/ID, or use it as it stands there.

    Raises CorpusError for what is missing or not understood.
    """
    wanted = ingestion([file], other_columns=False)
    corpus = wanted.into(folder_of(run / CORPUS, wanted.key), memory=memory)
    made = Targets(corpus)
    progress.note(f"targets: {corpus.num_rows:,} rows of {len(made.names):,} subtasks")
    if corpus.num_rows > MANY:
        progress.note("targets: a few rows a subtask are meant; LESS has 5 or fewer")
    return made
