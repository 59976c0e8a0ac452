"""Sources become a corpus: each row is in its group, or counted under a reason, file and line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from smartx.corpus.blocks import Drop
from smartx.corpus.columns import Columns
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
from smartx.corpus.grouping import Arrivals, Order
from smartx.corpus.reading import Options, Reading
from smartx.corpus.sources import SourceFile, find_sources
from smartx.corpus.tables import table_file, write_table
from smartx.corpus.tokens import Counting, token_counter
from smartx.errors import CorpusError, InputError, plain
from smartx.progress import Progress, Silent, step
from smartx.store import FileEntry, Stage, file_digest, key_of, storing

_MANY_TASKS = 5_000  # a guessed task column with more values than this is pointed out
# Parameters that leave texts, groups and order as they are.
_BESIDES_TEXT = ("other_columns", "tokens")
_NO_COLUMNS = Columns()
_SILENT = Silent()


def ingest(
    sources: Sequence[str | Path],
    folder: Path,
    *,
    columns: Columns = _NO_COLUMNS,
    keep_empty_responses: bool = False,
    task_name: str | None = None,
    other_columns: bool = True,
    duplicates: Literal["keep", "drop"] = "keep",
    tokenizer: str | None = None,
    progress: Progress = _SILENT,
) -> Corpus:
    """Read the sources into a corpus folder, rows by (source, task, template) and source order.

    sources: files, folders or globs, in this order.  columns: what the guess would get wrong.
    task_name: one task for all rows.  other_columns: keep what else the rows carry.
    duplicates: whether a row that says what an earlier one says, in any group, is left out.
    tokenizer: tokenizer.json, its folder or a Hub name; None: tokens are estimated.
    A folder that holds just this corpus is used as it is.
    Raises CorpusError for a file that is missing, damaged or not understood, or if no row is left.
    """
    if task_name is not None and columns.task is not None:
        raise InputError("a task name and a task column exclude each other", fix="pass one of them")
    if duplicates not in ("keep", "drop"):
        raise InputError(f"duplicates cannot be {duplicates!r}", fix='pass "keep" or "drop"')
    counter = token_counter(tokenizer)
    files = find_sources(sources, progress.note)
    digests = {file.name: _digest(file) for file in files}
    options = Options(columns, keep_empty_responses, task_name, other_columns)
    parameters = {
        **asdict(options),
        "duplicates": duplicates,
        "tokens": counter.parameters(),
        "order": [[file.name, file.default_name] for file in files],
    }
    key = key_of(STAGE, SCHEMA, parameters, digests)
    texts = {name: value for name, value in parameters.items() if name not in _BESIDES_TEXT}
    stage = Stage(STAGE, Path(folder))
    if stage.reuse(key):
        progress.note(f"the corpus in {folder} is up to date and is used again")
        return open_corpus(stage.folder)
    stage.begin()
    with storing(stage.folder):
        facts, entries = _make(
            stage.folder, files, options, duplicates == "drop", Counting(counter), progress
        )
    facts["digest"] = key_of(STAGE, SCHEMA, texts, digests)
    facts["sources"] = [{**fact, "sha256": digests[fact["name"]]} for fact in facts["sources"]]
    stage.finish(
        key=key, schema=SCHEMA, parameters=parameters, inputs=digests, files=entries, facts=facts
    )
    return open_corpus(stage.folder)


def _make(
    folder: Path,
    files: list[SourceFile],
    options: Options,
    drop_repeats: bool,
    counting: Counting,
    progress: Progress,
) -> tuple[dict[str, Any], list[FileEntry]]:
    """Write the files of the corpus. Returns what the manifest says, and the files."""
    arrivals = Arrivals(folder, rows_per_file=ROWS_PER_FILE)
    try:
        with table_file(folder / DROPPED_FILE, DROPPED) as writer:
            reading = Reading(options, arrivals, DropLedger(writer), progress)
            _read(reading, files)
            order = arrivals.order(drop_repeats=drop_repeats)
            _account_for_repeats(reading, order, files)
        entries = _write_rows(arrivals, order, folder, counting, progress)
    finally:
        arrivals.close()
    dropped = sum(reading.ledger.reasons.values())
    entries.append(_write_groups(order, folder))
    entries.append(FileEntry.of(folder / DROPPED_FILE, dropped))
    _report(reading, order, progress)
    return {**_facts(reading, order), "tokens": counting.facts()}, entries


def _digest(file: SourceFile) -> str:
    try:
        return file_digest(file.path)
    except OSError as problem:
        fault = f"it cannot be read ({problem.strerror})"
        raise CorpusError(file.path, 0, fault, fix="check its permissions, and the disk") from None


def _facts(reading: Reading, order: Order) -> dict[str, Any]:
    """What the manifest says about the corpus."""
    rows = {
        "read": reading.position,
        "kept": order.rows,
        "dropped": dict(reading.ledger.reasons),
        "duplicates": len(order.again),  # whether they were kept or not
    }
    return {
        "num_rows": order.rows,
        "num_groups": len(order.names),
        "rows": rows,
        "extra": {"columns": reading.extra.facts(), "turns": reading.turns.facts()},
        "sources": reading.facts,
    }


def _read(reading: Reading, files: list[SourceFile]) -> None:
    """All rows of all files, into the arrivals or the ledger."""
    total = sum(file.path.stat().st_size for file in files)
    with step(reading.progress, "ingest", total, "bytes"):
        for number, file in enumerate(files):
            reading.read(number, file)
    if sum(reading.ledger.reasons.values()) == reading.position:
        reasons = "\n  ".join(["no row can be used", *reading.ledger.summary()])
        raise CorpusError(files[0].path, 0, reasons, fix=_nothing_left_fix(reading))


def _account_for_repeats(reading: Reading, order: Order, files: list[SourceFile]) -> None:
    """What is left out because an earlier row says it, behind what could not be used."""
    if order.rows < len(order.row_id):
        asked = np.union1d(order.again, order.first)
        origin = reading.arrivals.origins(asked)
        file, line, position = (column.to_numpy() for column in origin.columns)
        again, first = np.searchsorted(asked, order.again), np.searchsorted(asked, order.first)
        for row, earlier in zip(again.tolist(), first.tolist(), strict=True):
            why = Drop("duplicate", f"of {files[file[earlier]].name}:{line[earlier]}")
            reading.ledger.add(int(position[row]), files[file[row]], int(line[row]), why)
    reading.ledger.flush()


def _nothing_left_fix(reading: Reading) -> str:
    reasons = reading.ledger.reasons
    if not reasons:
        return "the sources are empty: name others"
    if reasons["not an object"] or reasons["not JSON"]:
        return "write one JSON object per line"
    if reasons["empty response"]:
        return "pass --keep-empty-responses if the responses are meant to be empty"
    return "check that the columns are the right ones"


def _write_rows(
    arrivals: Arrivals, order: Order, folder: Path, counting: Counting, progress: Progress
) -> list[FileEntry]:
    entries: list[FileEntry] = []
    with step(progress, "group rows", order.rows, "rows") as advance:
        for bucket in arrivals.placed(order):
            for start in range(0, bucket.num_rows, ROWS_PER_FILE):
                part = counting.counted(bucket.slice(start, ROWS_PER_FILE))
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


def _report(reading: Reading, order: Order, progress: Progress) -> None:
    for line in reading.ledger.summary():
        progress.note(plain(line))
    if len(order.again) and order.rows == len(order.row_id):
        progress.note(
            f"{len(order.again):,} rows say word for word what an earlier row says; they are kept "
            "(--duplicates drop leaves them out)"
        )
    tasks = len({(source, task) for source, task, _ in order.names})
    if tasks > _MANY_TASKS and reading.options.columns.task is None:
        progress.note(
            f"{tasks:,} tasks were found; if that is not meant, pass --task-column or --task"
        )
