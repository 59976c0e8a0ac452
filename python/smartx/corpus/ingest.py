"""Sources become a corpus: each row is in its group, or counted under a reason, file and line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from smartx.corpus.blocks import Block, SourceReader
from smartx.corpus.columns import Columns, Layout, find_layout
from smartx.corpus.corpus import (
    DROPPED_FILE,
    GROUPS_FILE,
    ROWS_PER_FILE,
    SCHEMA,
    STAGE,
    Corpus,
    open_corpus,
    rows_file,
)
from smartx.corpus.dropped import DROPPED, DropLedger
from smartx.corpus.formats import open_source
from smartx.corpus.grouping import ARRIVAL, Arrivals, Order
from smartx.corpus.normalise import normalise
from smartx.corpus.sources import SourceFile, find_sources
from smartx.corpus.tables import table_file, write_table
from smartx.errors import CorpusError, InputError
from smartx.progress import Progress, Silent, step
from smartx.store import FileEntry, Stage, file_digest, key_of

_MANY_TASKS = 5_000  # a guessed task column with more values than this is pointed out
_NO_COLUMNS = Columns()
_SILENT = Silent()


def ingest(
    sources: Sequence[str | Path],
    folder: Path,
    *,
    columns: Columns = _NO_COLUMNS,
    keep_empty_responses: bool = False,
    task_name: str | None = None,
    progress: Progress = _SILENT,
) -> Corpus:
    """Read the sources into a corpus folder, rows by (source, task, template) and source order.

    sources: files, folders or globs, in this order.  columns: what the guess would get wrong.
    task_name: one task for all rows.  A folder that holds just this corpus is used as it is.
    Raises CorpusError for a file that is missing, damaged or not understood, or if no row is left.
    """
    if task_name is not None and columns.task is not None:
        raise InputError("a task name and a task column exclude each other", fix="pass one of them")
    files = find_sources(sources, progress.note)
    digests = {file.name: file_digest(file.path) for file in files}
    options = _Options(columns, keep_empty_responses, task_name)
    parameters = {**asdict(options), "order": [[file.name, file.default_name] for file in files]}
    key = key_of(STAGE, SCHEMA, parameters, digests)
    stage = Stage(STAGE, Path(folder))
    if stage.is_done(key):
        progress.note(f"the corpus in {folder} is up to date and is used again")
        return open_corpus(stage.folder)
    stage.begin()
    arrivals = Arrivals(stage.folder, rows_per_file=ROWS_PER_FILE)
    try:
        reading = _read(files, options, arrivals, stage.folder, progress)
        order = arrivals.order()
        entries = _write_rows(arrivals, order, stage.folder, progress)
    finally:
        arrivals.close()
    dropped = sum(reading.ledger.reasons.values())
    entries.append(_write_groups(order, stage.folder))
    entries.append(FileEntry.of(stage.folder / DROPPED_FILE, dropped))
    stage.finish(
        key=key,
        schema=SCHEMA,
        parameters=parameters,
        inputs=digests,
        files=entries,
        facts=_facts(reading, order, digests),
    )
    _report(reading, order, progress)
    return open_corpus(stage.folder)


def _facts(reading: _Reading, order: Order, digests: dict[str, str]) -> dict[str, Any]:
    """What the manifest says about the corpus."""
    kept = len(order.row_id)
    return {
        "num_rows": kept,
        "num_groups": len(order.names),
        "rows": {"read": reading.position, "kept": kept, "dropped": dict(reading.ledger.reasons)},
        "sources": [{**fact, "sha256": digests[fact["name"]]} for fact in reading.facts],
    }


@dataclass(frozen=True)
class _Options:
    columns: Columns
    keep_empty_responses: bool
    task_name: str | None


@dataclass
class _Reading:
    """Where reading stands. position: rows read so far.  facts: of each finished source."""

    options: _Options
    arrivals: Arrivals
    ledger: DropLedger
    progress: Progress
    position: int = 0
    facts: list[dict[str, Any]] = field(default_factory=list)
    layouts: dict[frozenset[str], Layout] = field(default_factory=dict)
    unkept: set[str] = field(default_factory=set)


def _read(
    files: list[SourceFile], options: _Options, arrivals: Arrivals, folder: Path, progress: Progress
) -> _Reading:
    """All rows of all files, into the arrivals or the ledger."""
    total = sum(file.path.stat().st_size for file in files)
    with table_file(folder / DROPPED_FILE, DROPPED) as writer:
        reading = _Reading(options, arrivals, DropLedger(writer), progress)
        with step(progress, "ingest", total, "bytes"):
            for number, file in enumerate(files):
                _read_file(reading, number, file)
        reading.ledger.flush()
        if sum(reading.ledger.reasons.values()) == reading.position:
            reasons = "\n  ".join(["no row can be used", *reading.ledger.summary()])
            raise CorpusError(files[0].path, 0, reasons, fix=_nothing_left_fix(reading))
    return reading


def _nothing_left_fix(reading: _Reading) -> str:
    reasons = reading.ledger.reasons
    if not reasons:
        return "the sources are empty: name others"
    if reasons["not an object"] or reasons["not JSON"]:
        return "write one JSON object per line"
    if reasons["empty response"]:
        return "pass --keep-empty-responses if the responses are meant to be empty"
    return "check that the columns are the right ones"


def _read_file(reading: _Reading, number: int, file: SourceFile) -> None:
    before = file.path.stat()
    reader, start = open_source(file), reading.position
    layout = _layout(reading, reader, file)
    for block in reader.blocks(layout.columns()):
        _read_block(reading, number, file, layout, block, start)
        reading.progress.advance(block.read)
    after = file.path.stat()
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise CorpusError(file.path, 0, "the file changed while it was read", fix="run again")
    reading.facts.append(
        {
            "name": file.name,
            "bytes": after.st_size,
            "rows": reading.position - start,
            "columns": layout.roles(),
            **({"hub": file.hub} if file.hub else {}),
        }
    )


def _layout(reading: _Reading, reader: SourceReader, file: SourceFile) -> Layout:
    """Files with the same columns are read in the same way; what was guessed is said once."""
    sample = reader.sample()
    if not sample.names:
        return Layout(prompt="prompt", response="response")  # no row has anything, whatever it is
    names = frozenset(sample.names)
    if names not in reading.layouts:
        one_task = reading.options.task_name is not None
        layout = find_layout(sample, reading.options.columns, file, one_task=one_task)
        reading.layouts[names] = layout
        reading.progress.note(f"{file.path}: {layout.words()}")
    return reading.layouts[names]


def _read_block(
    reading: _Reading, number: int, file: SourceFile, layout: Layout, block: Block, start: int
) -> None:
    drops = list(block.drops)
    reading.position += len(block.drops) + len(block.places)
    if len(block.places):
        options = reading.options
        normal = normalise(
            block,
            layout,
            default_name=file.default_name,
            task_name=options.task_name,
            keep_empty=options.keep_empty_responses,
        )
        reading.unkept |= normal.unkept
        drops += [
            (int(block.places[i]), int(block.lines[i]), why) for i, why in normal.drops.items()
        ]
        kept = normal.kept()
        if len(kept):
            taken = {name: column.take(pa.array(kept)) for name, column in normal.columns.items()}
            origin = {
                "origin_file": pa.repeat(pa.scalar(number, pa.int32()), len(kept)),
                "origin_row": pa.array(block.lines[kept]),
                "source_position": pa.array(block.places[kept] + start),
            }
            rows = [{**taken, **origin}[name] for name in ARRIVAL.names]
            reading.arrivals.add(
                pa.RecordBatch.from_arrays(rows, schema=ARRIVAL),
                (taken["source"], taken["task"], taken["template"]),
            )
    for place, line, why in sorted(drops, key=lambda drop: drop[0]):
        reading.ledger.add(start + place, file, line, why)


def _write_rows(
    arrivals: Arrivals, order: Order, folder: Path, progress: Progress
) -> list[FileEntry]:
    entries: list[FileEntry] = []
    with step(progress, "group rows", len(order.row_id), "rows") as advance:
        for bucket in arrivals.placed(order):
            for start in range(0, bucket.num_rows, ROWS_PER_FILE):
                part = bucket.slice(start, ROWS_PER_FILE)
                entries.append(write_table(folder / rows_file(len(entries)), part))
                advance(part.num_rows)
    return entries


def _write_groups(order: Order, folder: Path) -> FileEntry:
    source, task, template = (list(names) for names in zip(*order.names, strict=True))
    return write_table(
        folder / GROUPS_FILE,
        pa.table(
            {
                "group_id": pa.array(np.arange(len(order.names), dtype=np.int32)),
                "source": pa.array(source, pa.string()),
                "task": pa.array(task, pa.string()),
                "template": pa.array(template, pa.string()),
                "start": pa.array(np.cumsum(order.sizes) - order.sizes),
                "rows": pa.array(order.sizes),
            }
        ),
    )


def _report(reading: _Reading, order: Order, progress: Progress) -> None:
    for line in reading.ledger.summary():
        progress.note(line)
    if reading.unkept:
        keys = ", ".join(f'"{key}"' for key in sorted(reading.unkept))
        progress.note(f"turns carry more than role and content; this is not kept: {keys}")
    tasks = len({(source, task) for source, task, _ in order.names})
    if tasks > _MANY_TASKS and reading.options.columns.task is None:
        progress.note(
            f"{tasks:,} tasks were found; if that is not meant, pass --task-column or --task"
        )
