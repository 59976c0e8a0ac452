"""The same rows under other tasks: a corpus made from a corpus, by the task of each row.

The task of a row becomes the one that is given; its source, task and template from before, as far
as they tell rows apart, are its template, and it has no source: a task is one, wherever its rows
came from. Rows, their order inside a group, other columns and places in the sources stay, and
so do vectors, which go by texts or by places in the sources.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from smartx.corpus.corpus import (
    DROPPED_FILE,
    ROW_COLUMNS,
    SCHEMA,
    STAGE,
    Corpus,
    Groups,
    open_corpus,
)
from smartx.corpus.pieces import pieces
from smartx.corpus.tables import ROW_GROUP
from smartx.corpus.tokens import COLUMNS as TOKEN_COLUMNS
from smartx.corpus.writing import write_groups, write_rows
from smartx.errors import InputError, StoreError
from smartx.files import committing, storing, unchanged_digest
from smartx.progress import Progress, Silent, step
from smartx.store import FileEntry, Stage, folder_of, key_of

REGROUPED = "regrouped"  # of a manifest: from which corpus, and by which tasks
_COLUMNS = (*ROW_COLUMNS, "source_position", *TOKEN_COLUMNS)
_KEPT = ("num_rows", "rows", "extra", "sources", "tokens", "conversations")  # facts of a manifest
Name = tuple[str, str, str]


def regrouped(
    corpus: Corpus,
    labels: NDArray[np.int32],
    names: Sequence[str],
    digest: str,
    folder: Path,
    *,
    by: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Corpus:
    """A corpus of the same rows in folder/ID, or the one that stands there.

    labels: (n,) int32, the task of each row, by its number in `names`.
    names: of the tasks, all different, in codepoint order.
    digest: names the labels and names.  folder: the run's `corpus`.
    by: how the tasks were found, for the manifest.
    Memory: about 32 bytes a row, and the rows of a piece, or of every 128th part of all rows.
    Raises InputError where labels and names do not fit the corpus or each other.
    """
    progress = progress or Silent()
    _check(corpus, labels, names)
    parameters, inputs = {REGROUPED: dict(by or {})}, _inputs(digest, str(corpus.manifest["key"]))
    key = key_of(STAGE, SCHEMA, parameters, inputs)
    stage = Stage(STAGE, folder_of(folder, key))
    if not stage.reuse(key):
        stage.begin()
        try:
            with storing(stage.folder):
                facts, entries = _made(corpus, labels, names, stage.folder, progress)
        except BaseException:
            stage.abandon()
            raise
        facts[REGROUPED] = {"corpus": corpus.folder.name, "tasks": digest, "by": dict(by or {})}
        facts["digest"] = key_of(STAGE, SCHEMA, {REGROUPED: {}}, _inputs(digest, corpus.digest))
        stage.finish(
            key=key,
            schema=SCHEMA,
            parameters=parameters,
            inputs=inputs,
            files=entries,
            facts=facts,
        )
    return open_corpus(stage.folder)


def regrouped_there(
    corpus: Corpus, digest: str, folder: Path, *, by: Mapping[str, Any] | None = None
) -> Corpus | None:
    """The corpus that `regrouped` would make, where it stands already."""
    inputs = _inputs(digest, str(corpus.manifest["key"]))
    key = key_of(STAGE, SCHEMA, {REGROUPED: dict(by or {})}, inputs)
    stage = Stage(STAGE, folder_of(folder, key))
    return open_corpus(stage.folder) if stage.is_done(key) else None


def found_by(corpus: Corpus) -> dict[str, Any] | None:
    """How the tasks of a corpus were found; None where they are those of the sources."""
    made_from = corpus.manifest.get(REGROUPED)
    return dict(made_from["by"]) if isinstance(made_from, dict) else None


def original_of(corpus: Corpus) -> Path | None:
    """The folder of the corpus that this one was made from; None for one of sources."""
    made_from = corpus.manifest.get(REGROUPED)
    name = str(made_from["corpus"]) if isinstance(made_from, dict) else ""
    return corpus.folder.parent / name if name.isalnum() else None


def template_of(source: str, task: str, template: str) -> str:
    """What the names of a row from before say, as one: each word once, empty ones not."""
    return "/".join(dict.fromkeys(filter(None, (source, task, template))))


def new_groups(
    groups: Groups, labels: NDArray[np.int32], names: Sequence[str]
) -> tuple[list[Name], NDArray[np.int64], NDArray[np.int64]]:
    """The groups of the same rows under other tasks.

    Returns their names in codepoint order; (g,) int64, rows of each; and (n,) int64, the rows as
    they were numbered, in their new order.
    """
    former = [
        template_of(*name) for name in zip(groups.source, groups.task, groups.template, strict=True)
    ]
    if len(set(former)) == 1:
        former = [""] * len(former)  # what all rows are called tells none from another
    templates = sorted(set(former))
    number = {template: place for place, template in enumerate(templates)}
    own = np.array([number[template] for template in former], dtype=np.int64)
    cell = labels.astype(np.int64) * len(templates) + np.repeat(own, groups.rows)
    order = np.argsort(cell, kind="stable").astype(np.int64)
    cells, sizes = np.unique(cell, return_counts=True)
    task, template = np.divmod(cells, len(templates))
    named = [
        ("", names[t], templates[p]) for t, p in zip(task.tolist(), template.tolist(), strict=True)
    ]
    return named, sizes.astype(np.int64), order


def _inputs(tasks: str, corpus: str) -> dict[str, str]:
    """corpus: its key, or its digest where only the content counts."""
    return {"corpus_key": corpus, "tasks": tasks}


def _check(corpus: Corpus, labels: NDArray[np.int32], names: Sequence[str]) -> None:
    if len(labels) != corpus.num_rows:
        raise InputError(
            f"tasks of {len(labels):,} rows do not fit a corpus of {corpus.num_rows:,}",
            place="labels",
        )
    if list(names) != sorted(set(names)):
        raise InputError("names of tasks are to be different and in order", place="names")
    if labels.min(initial=0) < 0 or labels.max(initial=0) >= len(names):
        raise InputError(f"a row is in a task that is none of {len(names):,}", place="labels")


def _made(
    corpus: Corpus,
    labels: NDArray[np.int32],
    names: Sequence[str],
    folder: Path,
    progress: Progress,
) -> tuple[dict[str, Any], list[FileEntry]]:
    """Write the files of the corpus. Returns what the manifest says, and the files."""
    named, sizes, order = new_groups(corpus.groups, labels, names)
    with step(progress, "group rows by task", corpus.num_rows, "rows") as advance:
        read = partial(corpus.rising, columns=_COLUMNS)
        strewn = pieces(read, order, ROW_GROUP, folder)
        entries = write_rows(_numbered(strewn, sizes), folder, advance)
    written = {entry.name for entry in entries}
    entries.append(write_groups(named, sizes, folder))
    for entry in corpus.manifest["files"]:
        if entry["name"] == DROPPED_FILE or entry["name"].startswith("others-"):
            assert entry["name"] not in written
            entries.append(_same_file(corpus.folder / entry["name"], folder, FileEntry(**entry)))
    facts = {name: corpus.manifest[name] for name in _KEPT if name in corpus.manifest}
    return {**facts, "num_groups": len(named)}, entries


def _numbered(tables: Iterator[pa.Table], sizes: NDArray[np.int64]) -> Iterator[pa.Table]:
    """Rows with their new numbers, and those of their groups."""
    ends, start = np.cumsum(sizes), 0
    for table in tables:
        rows = np.arange(start, start + table.num_rows, dtype=np.int64)
        start += table.num_rows
        groups = np.searchsorted(ends, rows, side="right").astype(np.int32)
        for column, values in (("row_id", rows), ("group_id", groups)):
            place = table.schema.get_field_index(column)
            table = table.set_column(place, column, pa.array(values))
        yield table


def _same_file(path: Path, folder: Path, entry: FileEntry) -> FileEntry:
    """The same file in another folder: one more name for it, or a copy where a disk has no such."""
    target = folder / path.name
    with committing(target) as temporary:
        try:
            os.link(path, temporary)
        except OSError:
            shutil.copyfile(path, temporary)
    if unchanged_digest(target) != entry.sha256:
        raise StoreError(
            "its bytes are not those that were written",
            place=str(path),
            fix="delete the corpus folder and run `smartx ingest` again",
        )
    return entry
