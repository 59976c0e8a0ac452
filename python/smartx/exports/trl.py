"""TRL: Parquet with nothing but what it trains on, and the lines of a configuration."""

from __future__ import annotations

from smartx.exports.format import VALIDATION, Format, Job
from smartx.exports.writing import parquet, turns, write_yaml
from smartx.mixture.trainers import TRL, to_copy

_HEAD = to_copy(
    f"{TRL} (trl sft --config ...)",
    "It learns every turn. With `assistant_only_loss: true` those of the assistant alone, if it",
    "knows the chat template of the model; `smartx export --format prompt-completion` learns the",
    "last answer alone, with any template.",
)


def _write(job: Job) -> None:
    columns, read = turns(job)
    parquet(job, columns, read=read)
    content = {"dataset_name": str(job.home), "dataset_train_split": "train"}
    if VALIDATION in job.splits:
        content |= {"dataset_test_split": VALIDATION, "eval_strategy": "epoch"}
    write_yaml(job, "trl.yaml", _HEAD, content)


FORMAT = Format(
    name="trl",
    holds="Parquet of `messages` (and `tools`), trl.yaml with the lines to copy",
    weight="`fraction` of a data set would keep its first rows: none is needed",
    use="the lines of {home}/trl.yaml",
    proven="trained on by TRL",
    write=_write,
    local=True,
)
