"""alignment-handbook: a data set for each task, and the section `dataset_mixture`."""

from __future__ import annotations

from smartx.exports.format import Format, Job
from smartx.exports.writing import by_task, write_yaml
from smartx.mixture.trainers import to_copy

_HEAD = to_copy(
    "alignment-handbook",
    "`weight` is the part of a task's rows that is kept, drawn at random; 1.0 is all of them.",
    "`columns` must be the same everywhere. `test_split_size` would draw rows to test on itself.",
)


def _write(job: Job) -> None:
    columns = ["messages", "tools"] if job.rows.tools else ["messages"]
    entries = [
        {
            "id": str((job.home / place).parent),
            "split": split,
            "columns": columns,
            "weight": 1.0,
        }
        for split, _, _, place in by_task(job, "{split}/{task}/{split}.parquet")
        if split == "train"
    ]
    write_yaml(
        job, "dataset_mixture.yaml", _HEAD, {"dataset_mixture": {"datasets": entries, "seed": 0}}
    )


FORMAT = Format(
    name="alignment-handbook",
    holds="a folder of Parquet for each task, dataset_mixture.yaml with the lines to copy",
    weight="the part of a task's rows that is kept, drawn at random: 1.0, all that were chosen",
    use="the lines of {home}/dataset_mixture.yaml",
    proven="unproven by the tool itself; its fields by its source",
    write=_write,
    local=True,
)
