"""Nemotron's data preparation: a file for each task, and a blend that names them."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from smartx.exports.format import VALIDATION, Format, Job
from smartx.exports.writing import at_home, by_task, write_json

_SPLITS = {"train": "train", VALIDATION: "valid"}


def _write(job: Job) -> None:
    blend: dict[str, list[dict[str, Any]]] = {_SPLITS[split]: [] for split in job.splits}
    for split, _, rows, place in by_task(job, "{split}/{task}.parquet"):
        name = PurePosixPath(place).stem
        entry = {"name": name, "path": at_home(job, place), "weight": float(rows)}
        blend[_SPLITS[split]].append(entry)
    write_json(job, "blend.json", blend if len(job.splits) > 1 else {"datasets": blend["train"]})


FORMAT = Format(
    name="nemotron",
    holds="a file of Parquet for each task, blend.json (DataBlend) that names them",
    weight="how often rows of a task come relative to others: the number of its rows, so that "
    "reading all of them once and drawing by weight give the same shares",
    use="DataBlend.load('{home}/blend.json')",
    proven="unproven by the tool itself; its fields by its source",
    write=_write,
    local=True,
)
