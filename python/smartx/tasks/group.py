"""The rows of a run under found tasks: the tasks, the corpus and the vectors that belong together.

corpus, embeddings --find tasks--> RUN/tasks/ID --group--> corpus and embeddings of the same rows
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from smartx.corpus import Corpus, Groups, open_corpus
from smartx.corpus.regroup import REGROUPED, new_groups, original_of, regrouped, regrouped_there
from smartx.embed import Embeddings, embeddings_like, regrouped_embeddings
from smartx.errors import StoreError
from smartx.progress import Progress
from smartx.run_folder import CORPUS, TASKS
from smartx.store import MANIFEST
from smartx.tasks.auto import AutoTasks
from smartx.tasks.run import FoundTasks, find_tasks, open_tasks, tasks_there


@dataclass(frozen=True, eq=False)
class Grouped:
    """The rows under found tasks. corpus, embeddings: of the same rows as before, sorted anew."""

    tasks: FoundTasks
    corpus: Corpus
    embeddings: Embeddings


def group_rows(
    corpus: Corpus,
    embeddings: Embeddings,
    asked: AutoTasks,
    run_folder: Path,
    *,
    threads: int,
    progress: Progress,
) -> Grouped:
    """Find the tasks of a corpus's rows and put the rows under them; what is there is used again.

    corpus, embeddings: as rows were read, not yet grouped. Of hybrid embeddings the student's are
    looked at, and given back: under other tasks other rows are the teacher's.
    """
    embeddings = embeddings.by_one_encoder
    found = find_tasks(
        corpus, embeddings, asked, run_folder / TASKS, threads=threads, progress=progress
    )
    labels, names = found.labels(), found.names
    by, folder = found.manifest["parameters"], run_folder / CORPUS
    made = regrouped(corpus, labels, names, found.digest, folder, by=by, progress=progress)
    order = new_groups(corpus.groups, labels, names)[2]
    vectors = regrouped_embeddings(embeddings, made, order, run_folder, progress=progress)
    return Grouped(found, made, vectors)


def grouped_there(
    corpus: Corpus, embeddings: Embeddings | None, asked: AutoTasks, run_folder: Path
) -> tuple[Corpus, Embeddings | None] | None:
    """The corpus, and its embeddings, that `group_rows` would make, where it stands already."""
    if embeddings is None:
        return None
    embeddings = embeddings.by_one_encoder
    found = tasks_there(corpus, embeddings, asked, run_folder / TASKS)
    if found is None:
        return None
    by = found.manifest["parameters"]
    made = regrouped_there(corpus, found.digest, run_folder / CORPUS, by=by)
    return (made, embeddings_like(embeddings, made, run_folder)) if made else None


def as_read(corpus: Corpus) -> Corpus:
    """The corpus whose rows these are, before they were put under found tasks."""
    folder = original_of(corpus)
    return corpus if folder is None else open_corpus(folder)


def tasks_of(corpus: Corpus, run_folder: Path) -> FoundTasks | None:
    """The tasks that the rows of a corpus were put under; None where they are those of the sources.

    Raises StoreError where these tasks are gone.
    """
    if original_of(corpus) is None:
        return None
    digest = str(corpus.manifest[REGROUPED]["tasks"])
    for found in _finished(run_folder / TASKS):
        if found.digest == digest:
            return found
    raise StoreError(
        "the tasks that its rows are in are gone",
        place=str(corpus.folder),
        fix="run `smartx tasks` again",
    )


def assumed(corpus: Corpus, asked: AutoTasks) -> Corpus:
    """A corpus as its rows would be grouped, for a plan: tasks of equal size. No rows stand there
    in this order.
    """
    count = asked.clusters_of(corpus.num_rows)
    ends = np.arange(1, count + 1, dtype=np.int64) * corpus.num_rows // count
    start = np.concatenate([[0], ends[:-1]]).astype(np.int64)
    names = [f"task {number}" for number in range(1, count + 1)]
    groups = Groups([""] * count, names, [""] * count, start, ends - start)
    return replace(corpus, groups=groups, digest=f"assumed {corpus.digest}")


def _finished(folder: Path) -> Iterator[FoundTasks]:
    for path in sorted(folder.glob(f"*/{MANIFEST}")):
        try:
            yield open_tasks(path.parent)
        except StoreError:
            continue
