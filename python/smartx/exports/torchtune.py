"""torchtune: JSON lines of messages, and the section `dataset` of a configuration."""

from __future__ import annotations

from typing import Any

from smartx.exports.format import VALIDATION, Format, Job
from smartx.exports.forms import alternating
from smartx.exports.writing import JSON_LINES, at_home, json_lines, write_yaml
from smartx.mixture.trainers import to_copy

_HEAD = to_copy("torchtune", "`train_on_input: false` learns the turns of the assistant alone.")


def _write(job: Job) -> None:
    json_lines(job, alternating)
    content = {"dataset": _entry(job, "train")}
    if VALIDATION in job.splits:
        content["dataset_val"] = _entry(job, VALIDATION)
    write_yaml(job, "torchtune.yaml", _HEAD, content)


def _entry(job: Job, split: str) -> dict[str, Any]:
    return {
        "_component_": "torchtune.datasets.chat_dataset",
        "source": "json",
        "data_files": at_home(job, JSON_LINES[split]),
        "split": "train",
        "conversation_column": "messages",
        "conversation_style": "openai",
        "train_on_input": False,
    }


FORMAT = Format(
    name="torchtune",
    holds="JSON lines of `messages` alone, torchtune.yaml with the lines to copy",
    weight="it knows none: a list of data sets is read one after another",
    use="the lines of {home}/torchtune.yaml",
    proven="taken by its own transform and checks of messages (0.6.1)",
    write=_write,
    local=True,
)
