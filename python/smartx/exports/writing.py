"""The ways to write rows that formats share: JSON lines, Parquet, a file for each task."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from smartx.exports.format import TRAIN, VALIDATION, Job
from smartx.exports.forms import Form, MisfitError
from smartx.exports.rows import message_columns, messages_of, objects
from smartx.mixture.trainers import commented
from smartx.progress import step

JSON_LINES = {TRAIN: "train.jsonl", VALIDATION: "validation.jsonl"}
PARQUET = {
    TRAIN: "data/train-00000-of-00001.parquet",
    VALIDATION: "data/validation-00000-of-00001.parquet",
}
Columns = Callable[[pa.Table], pa.Table]


def json_lines(job: Job, form: Form, names: Mapping[str, str] = JSON_LINES) -> None:
    """A file of JSON lines for each split, in the order of the mixture. names: of the files."""
    columns = message_columns(job.rows)
    with ExitStack() as stack, step(job.progress, "write", len(job.rows), "rows") as advance:
        files = {
            split: stack.enter_context(_new(job.folder / names[split])) for split in job.splits
        }
        for places, table in job.rows.pieces(columns):
            aside = job.of_split(VALIDATION, places) if job.validation is not None else None
            for place, row in enumerate(objects(table)):
                split = VALIDATION if aside is not None and aside[place] else TRAIN
                try:
                    line = orjson.dumps(form(row), default=str)
                except MisfitError as why:
                    job.misfits[str(why)] += 1
                    continue
                files[split].write(line + b"\n")
                job.written[split] += 1
            advance(table.num_rows)


def parquet(
    job: Job,
    columns: Columns,
    names: Mapping[str, str] = PARQUET,
    read: Sequence[str] | None = None,
) -> None:
    """A Parquet file for each split, in the order of the mixture.

    columns: makes those of the file from rows of the mixture, as many rows.  names: of the files.
    read: columns of the mixture that it needs; None: all.
    """
    with ExitStack() as stack, step(job.progress, "write", len(job.rows), "rows") as advance:
        files: dict[str, pq.ParquetWriter] = {}
        for places, table in job.rows.pieces(read):
            made = columns(table)
            for split in job.splits:
                if split not in files:
                    path = job.folder / names[split]
                    path.parent.mkdir(parents=True, exist_ok=True)
                    writer = pq.ParquetWriter(path, made.schema, compression="zstd")
                    files[split] = stack.enter_context(writer)
                own = made.filter(pa.array(job.of_split(split, places)))
                files[split].write_table(own)
                job.written[split] += own.num_rows
            advance(table.num_rows)


def turns(job: Job) -> tuple[Columns, list[str]]:
    """(what makes the columns `messages` and, where there are any, `tools`; what it needs)."""

    def columns(table: pa.Table) -> pa.Table:
        if job.rows.chats:
            return table.select(message_columns(job.rows))
        return pa.table({"messages": messages_of(table)})

    return columns, message_columns(job.rows)


def by_task(job: Job, place: str) -> Iterator[tuple[str, str, int, str]]:
    """A Parquet file of turns for each task and split, best rows first, all columns alike.

    place: of a file, with {task} and {split}.  Yields (split, name, rows, place of the file) of
    each. The rows are in memory once.
    """
    make, read = turns(job)
    made = make(job.rows.columns(read)).combine_chunks()
    rank = job.rows.columns(["smartx_rank"])["smartx_rank"].to_numpy()
    names, task = job.rows.tasks
    order = np.lexsort((rank, task))
    ends = np.cumsum(np.bincount(task, minlength=len(names)))
    with step(job.progress, "write", len(job.rows), "rows") as advance:
        for split in job.splits:
            own = job.of_split(split)
            for which, (source, name) in enumerate(names):
                rows = order[(ends[which - 1] if which else 0) : ends[which]]
                rows = rows[own[rows]]
                if not len(rows):
                    continue
                path = place.format(task=file_name(which, name), split=split)
                (job.folder / path).parent.mkdir(parents=True, exist_ok=True)
                pq.write_table(made.take(pa.array(rows)), job.folder / path, compression="zstd")
                job.written[split] += len(rows)
                advance(len(rows))
                yield split, f"{source}/{name}" if source else name, len(rows), path


def file_name(number: int, name: str) -> str:
    """A name for the file of a task that holds nothing but letters, digits, - and _."""
    plain = re.sub(r"[^A-Za-z0-9]+", "-", name)[:40].strip("-")
    return f"{number:05d}-{plain}" if plain else f"{number:05d}"


def write_yaml(job: Job, name: str, head: str, content: Mapping[str, Any]) -> None:
    """A YAML file. head: lines above, as comments."""
    (job.folder / name).write_bytes(commented(head, content))


def write_json(job: Job, name: str, content: Any) -> None:
    """A JSON file, indented."""
    (job.folder / name).write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2) + b"\n")


def at_home(job: Job, name: str) -> str:
    """Where a file will stand."""
    return str(job.home / name)


def _new(path: Path) -> Any:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("wb")
