"""Vectors -> tasks: RUN/tasks/ID says which task each row of a corpus is in, and what it is called.

centres.npy is what was found on the sample: a killed run goes on from there. labels.npy holds the
task of every row, tasks.parquet a row for each task, in the order of their names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from smartx.corpus import Corpus
from smartx.corpus.tables import as_written, write_table
from smartx.embed import Embeddings
from smartx.embed.npy import open_npy, write_npy
from smartx.embed.texts import Texts, strings
from smartx.files import canonical_json
from smartx.progress import Progress, Silent, step
from smartx.store import FileEntry, Sidecar, Stage, folder_of, key_of
from smartx.tasks.auto import AutoTasks
from smartx.tasks.clusters import Assigned, assigned, centres_of, read_sample, sample_of
from smartx.tasks.words import WordCounts, names_of

STAGE = "tasks"
SCHEMA = 1  # raised when the same vectors and texts give other tasks
CENTRES, LABELS, TABLE = "centres.npy", "labels.npy", "tasks.parquet"
SHOWN = 300  # characters of a typical prompt that are kept


@dataclass(frozen=True, eq=False)
class FoundTasks:
    """The tasks of a corpus's rows, by number in the order of their names.

    digest: names who belongs to which, and what they are called.
    """

    folder: Path
    manifest: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """Names the content."""
        return str(self.manifest["digest"])

    @cached_property
    def table(self) -> pa.Table:
        """A row for each task: name, rows, words, typical_row, typical_prompt, centre."""
        with as_written(self.folder, self.manifest, TABLE, fix=_AGAIN) as path:
            return pq.read_table(path, page_checksum_verification=True)

    @property
    def names(self) -> list[str]:
        """Of the tasks, by number."""
        return list(self.table.column("name").to_pylist())

    def labels(self) -> NDArray[np.int32]:
        """(n,) the number of each row's task."""
        with as_written(self.folder, self.manifest, LABELS, fix=_AGAIN) as path:
            rows = open_npy(path)
            return np.asarray(rows.read(0, rows.num_rows)[:, 0], dtype=np.int32)


_AGAIN = "run `smartx tasks` again"


def tasks_key(corpus: Corpus, embeddings: Embeddings, asked: AutoTasks) -> str:
    """The key of the tasks of a corpus's rows."""
    return key_of(STAGE, SCHEMA, _parameters(asked), _inputs(corpus, embeddings))


def tasks_there(
    corpus: Corpus, embeddings: Embeddings, asked: AutoTasks, folder: Path
) -> FoundTasks | None:
    """The tasks that are asked for, if they are in folder/ID."""
    key = tasks_key(corpus, embeddings, asked)
    stage = Stage(STAGE, folder_of(folder, key))
    return open_tasks(stage.folder) if stage.is_done(key) else None


def open_tasks(folder: Path) -> FoundTasks:
    """Finished tasks. Raises StoreError where there are none."""
    return FoundTasks(Path(folder), Stage(STAGE, Path(folder)).manifest(SCHEMA))


def find_tasks(
    corpus: Corpus,
    embeddings: Embeddings,
    asked: AutoTasks,
    folder: Path,
    *,
    threads: int,
    progress: Progress | None = None,
) -> FoundTasks:
    """Cluster the rows of a corpus by their vectors, and name the clusters, in folder/ID.

    folder: the run's `tasks`. Tasks that are there are used as they are, whatever version of the
    library made them; `made_by` in the manifest says which.
    The same vectors, texts, parameters and version of the library give the same tasks on any number
    of threads. Raises MissingPackageError without scikit-learn, StoreError.
    """
    progress = progress or Silent()
    key = tasks_key(corpus, embeddings, asked)
    stage = Stage(STAGE, folder_of(folder, key))
    if stage.reuse(key):
        found = open_tasks(stage.folder)
        progress.note(f"tasks: {len(found.names):,} tasks are there and used again")
        return found
    stage.begin()
    sample = sample_of(corpus.num_rows, asked)
    file = Sidecar(stage.folder / CENTRES, key)
    centres_entry = file.whole_part()
    if centres_entry is None:
        centres = _found(embeddings, sample, asked, progress)
        centres_entry = file.commit(len(centres), partial(write_npy, centres))
    centres = open_npy(file.part).read(0, centres_entry.rows)
    rows = assigned(embeddings, centres, threads=threads, progress=progress)
    entries = [centres_entry, *_named(corpus, rows, sample, stage, key, progress)]
    content = [entry.sha256 for entry in entries[1:]]
    stage.finish(
        key=key,
        schema=SCHEMA,
        parameters=_parameters(asked),
        inputs=_inputs(corpus, embeddings),
        files=entries,
        facts={
            "digest": hashlib.sha256(canonical_json(content)).hexdigest(),
            "num_rows": corpus.num_rows,
            "tasks": len(rows.rows),
            "sampled": len(sample),
            "made_by": {name: metadata.version(name) for name in ("scikit-learn", "numpy")},
        },
    )
    return open_tasks(stage.folder)


def _parameters(asked: AutoTasks) -> dict[str, Any]:
    return {"name": asked.name, **asked.parameters()}


def _inputs(corpus: Corpus, embeddings: Embeddings) -> dict[str, str]:
    return {"corpus": corpus.digest, "embeddings": embeddings.digest}


def _found(
    embeddings: Embeddings, sample: NDArray[np.int64], asked: AutoTasks, progress: Progress
) -> NDArray[np.int16]:
    count = asked.clusters_of(embeddings.num_rows)
    words = f"find {count:,} tasks" if count > 1 else "find a task"
    with step(progress, words, len(sample), "rows") as advance:
        rows = read_sample(embeddings, sample)
        centres = centres_of(rows, sample, count, seed=asked.seed)
        advance(len(sample))
    return centres


def _named(
    corpus: Corpus,
    found: Assigned,
    sample: NDArray[np.int64],
    stage: Stage,
    key: str,
    progress: Progress,
) -> list[FileEntry]:
    """Write who is in which task, and the table of these, numbered in the order of their names."""
    words, prompts = _words(corpus, found, sample, progress)
    names = names_of(words, found.rows.tolist())
    order = sorted(range(len(names)), key=lambda cluster: names[cluster])
    number = np.empty(len(order), dtype=np.int32)
    number[order] = np.arange(len(order), dtype=np.int32)
    labels = number[found.labels][:, np.newaxis]
    file = Sidecar(stage.folder / LABELS, key)
    entry = file.commit(len(labels), partial(write_npy, labels))
    table = pa.table(
        {
            "name": pa.array([names[c] for c in order], pa.string()),
            "rows": pa.array(found.rows[order]),
            "words": pa.array([words[c] for c in order], pa.list_(pa.string())),
            "typical_row": pa.array(found.typical[order]),
            "typical_prompt": pa.array([prompts[c] for c in order], pa.string()),
            "centre": pa.array(list(found.centres[order]), pa.list_(pa.int16())),
        }
    )
    return [entry, write_table(stage.folder / TABLE, table)]


def _words(
    corpus: Corpus, found: Assigned, sample: NDArray[np.int64], progress: Progress
) -> tuple[list[list[str]], list[str]]:
    """The typical words of each cluster, by the texts of the sample and of its typical row, and
    the beginning of that row's text.
    """
    counts, prompts = WordCounts(len(found.rows)), [""] * len(found.rows)
    typical = {row: cluster for cluster, row in enumerate(found.typical.tolist())}
    rows = np.union1d(sample, found.typical)
    own_system = np.empty(0, dtype=np.int64)  # system prompts are not what a row is about
    done = 0
    with step(progress, "name tasks", len(rows), "rows") as advance:
        for texts in Texts(corpus, "user", own_system).of(rows):
            own = rows[done : done + len(texts)]
            done += len(texts)
            said = strings(texts)
            counts.add(found.labels[own].tolist(), said)
            for row, text in zip(own.tolist(), said, strict=True):
                if row in typical:
                    prompts[typical[row]] = text[:SHOWN]
            advance(len(own))
    return counts.typical(_common_words()), prompts


def _common_words() -> frozenset[str]:
    """English words that say nothing. In other languages only counts tell which these are."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return frozenset(ENGLISH_STOP_WORDS)
