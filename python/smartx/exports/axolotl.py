"""Axolotl: Parquet of turns, and the section `datasets` of a configuration."""

from __future__ import annotations

from typing import Any

from smartx.exports.format import VALIDATION, Format, Job
from smartx.exports.writing import PARQUET, at_home, parquet, turns, write_yaml
from smartx.mixture.trainers import AXOLOTL, axolotl_turns, to_copy

_HEAD = to_copy(AXOLOTL, "It learns the turns of the assistant.")


def _write(job: Job) -> None:
    columns, read = turns(job)
    parquet(job, columns, read=read)
    content: dict[str, Any] = {"datasets": [_entry(job, "train")]}
    if VALIDATION in job.splits:
        content["test_datasets"] = [_entry(job, VALIDATION)]
    write_yaml(job, "axolotl.yaml", _HEAD, content)


def _entry(job: Job, split: str) -> dict[str, Any]:
    """Of one file. A file of Parquet has the one split `train`, whatever it is called."""
    entry = {"path": at_home(job, PARQUET[split]), "ds_type": "parquet", "split": "train"}
    return entry | axolotl_turns(tools=job.rows.tools)


FORMAT = Format(
    name="axolotl",
    holds="Parquet of `messages` (and `tools`), axolotl.yaml with the lines to copy",
    weight="it knows none: every row of the list is read once an epoch",
    use="the lines of {home}/axolotl.yaml",
    proven="axolotl.yaml taken by its own schema (0.19), the files loaded as it loads them",
    write=_write,
    local=True,
)
