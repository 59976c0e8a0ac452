"""Files of JSON lines, and what of trainers takes nothing else: messages, Alpaca, ids, all."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import ExitStack
from functools import partial
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.csv as pa_csv

from smartx.errors import InputError
from smartx.exports.format import TRAIN, VALIDATION, Format, Job
from smartx.exports.forms import alpaca, messages, prompt_completion
from smartx.exports.writing import JSON_LINES, json_lines, parquet
from smartx.mixture.chats import CALLS
from smartx.mixture.trainers import FINISHED
from smartx.progress import step

_ID_COLUMNS = ("id", "_id", "ids", "uuid", "guid", "idx", "row_id", "example_id", "sample_id")


def _everything(job: Job) -> None:
    """Every column of the mixture, in JSON lines; what is JSON there is an object here."""
    for field in job.rows.schema:
        if "binary" in str(field.type):
            raise InputError(
                f"the column {field.name!r} holds bytes, and JSON has no place for these",
                place="format",
                fix="take the format datasets, which keeps them",
            )
    parsed = {"tools"} & set(job.rows.schema.names)
    with ExitStack() as stack, step(job.progress, "write", len(job.rows), "rows") as advance:
        files = {
            split: stack.enter_context((job.folder / JSON_LINES[split]).open("wb"))
            for split in job.splits
        }
        for places, table in job.rows.pieces():
            aside = job.of_split(VALIDATION, places) if VALIDATION in job.splits else None
            for place, row in enumerate(table.to_pylist()):
                split = VALIDATION if aside is not None and aside[place] else TRAIN
                files[split].write(orjson.dumps(_objects(row, parsed), default=str) + b"\n")
                job.written[split] += 1
            advance(table.num_rows)


def _objects(row: dict[str, Any], parsed: Collection[str]) -> dict[str, Any]:
    """A row with calls of tools, and the columns named, as objects instead of their JSON."""
    for name in parsed:
        row[name] = None if row[name] is None else orjson.loads(row[name])
    for turn in row.get("messages") or ():
        if turn.get(CALLS) is not None:
            turn[CALLS] = [orjson.loads(call) for call in turn[CALLS]]
    return row


def _ids(job: Job) -> None:
    """Numbers and names of rows, without their texts."""
    there = job.rows.schema.names
    first = ["smartx_index", "source", "task", "template", "smartx_row", "smartx_rank"]
    names = [*first, *(name for name in _ID_COLUMNS if name in there)]
    table = job.rows.columns([name for name in names if name in there])
    for split in job.splits:
        own = table.filter(pa.array(job.of_split(split)))
        pa_csv.write_csv(own, job.folder / f"{split}.csv")
        job.written[split] += own.num_rows


FORMATS = (
    Format(
        name="datasets",
        holds="Parquet with every column of the mixture (data/train-*.parquet)",
        weight=FINISHED,
        use='datasets.load_dataset("{home}", split="train")',
        proven="loaded by datasets",
        write=partial(parquet, columns=lambda table: table),
    ),
    Format(
        name="jsonl",
        holds="JSON lines with every column of the mixture",
        weight=FINISHED,
        use='datasets.load_dataset("json", data_files="{home}/train.jsonl")',
        proven="loaded by datasets",
        write=_everything,
    ),
    Format(
        name="messages",
        holds="JSON lines of `messages`, and `tools` where a row offers some: nothing else",
        weight=FINISHED,
        use='datasets.load_dataset("json", data_files="{home}/train.jsonl")',
        proven="loaded by datasets, and trained on by TRL",
        write=partial(json_lines, form=messages),
    ),
    Format(
        name="prompt-completion",
        holds="JSON lines of `prompt` (all turns but the last answer) and `completion` (that one)",
        weight=FINISHED,
        use="trl.SFTTrainer learns `completion` alone, in any chat template: "
        'datasets.load_dataset("json", data_files="{home}/train.jsonl")',
        proven="loaded by datasets, and trained on by TRL",
        write=partial(json_lines, form=prompt_completion),
    ),
    Format(
        name="alpaca",
        holds="JSON lines of `instruction`, `input` (empty) and `output`",
        weight=FINISHED,
        use="what takes Alpaca: {home}/train.jsonl",
        proven="loaded by datasets",
        write=partial(json_lines, form=alpaca),
    ),
    Format(
        name="ids",
        holds="CSV: the row's number in the sources (from 0), its source, task, template and rank",
        weight="none",
        use="smartx mix --include-rows {home}/train.csv, or whatever joins by number or id",
        proven="read again by `smartx mix --include-rows`",
        write=_ids,
        columns=("smartx_index",),
    ),
)
