"""Trainers that take JSON lines with exactly the keys that they know."""

from __future__ import annotations

from functools import partial

from smartx.exports.format import TRAIN, VALIDATION, Format, Job
from smartx.exports.forms import alpaca, bare_messages, messages, openai_messages
from smartx.exports.writing import JSON_LINES, at_home, json_lines, write_yaml
from smartx.mixture.trainers import FINISHED, to_copy

_LITGPT = {TRAIN: "train.jsonl", VALIDATION: "val.jsonl"}
# A folder that it reads must hold data and nothing else: no README.md.
_FOUNDRY = {TRAIN: "data/train.jsonl", VALIDATION: "data/validation.jsonl"}


def _oumi(job: Job) -> None:
    json_lines(job, openai_messages)
    kinds = {TRAIN: "train", VALIDATION: "validation"}
    content = {
        kinds[split]: {
            "datasets": [
                {
                    "dataset_name": "text_sft_jsonl",
                    "dataset_path": at_home(job, JSON_LINES[split]),
                }
            ]
        }
        for split in job.splits
    }
    write_yaml(job, "oumi.yaml", to_copy("Oumi"), {"data": content})


FORMATS = (
    Format(
        name="open-instruct",
        holds="JSON lines of `messages`, and `tools` where a row offers some",
        weight="behind a file stands how much of it: 1.0 is all rows once, 1 would be one row",
        use="--dataset_mixer_list {home}/train.jsonl 1.0",
        proven="unproven by the tool itself; its keys by its source",
        write=partial(json_lines, form=messages),
    ),
    Format(
        name="nemo",
        holds="JSON lines of `messages`, and `tools` where a row offers some (NeMo AutoModel)",
        weight=FINISHED,
        use="dataset: ChatDataset(path_or_dataset_id={home}/train.jsonl)",
        proven="unproven by the tool itself; its keys by its documentation",
        write=partial(json_lines, form=messages),
    ),
    Format(
        name="litgpt",
        holds="JSON lines of `instruction`, `input` (empty), `output`: train.jsonl, val.jsonl",
        weight=FINISHED,
        use="litgpt finetune MODEL --data JSON --data.json_path {home} "
        "(without a validation split: {home}/train.jsonl)",
        proven="filled into its own template of a prompt (0.5); its file names by its source",
        write=partial(json_lines, form=alpaca, names=_LITGPT),
    ),
    Format(
        name="llm-foundry",
        holds="JSON lines of `messages` alone: roles in turns, texts alone, an answer at the end",
        weight=FINISHED,
        use="train_loader.dataset: hf_name: {home}/data, split: train",
        proven="unproven by the tool itself; its checks by its source",
        write=partial(json_lines, form=bare_messages, names=_FOUNDRY),
    ),
    Format(
        name="oumi",
        holds="JSON lines of `messages` and `tools` (calls have ids), oumi.yaml with lines to copy",
        weight="mixture_proportion: none is needed, all rows are read once an epoch",
        use="the lines of {home}/oumi.yaml (data.train.datasets)",
        proven="taken by its own conversations (0.9)",
        write=_oumi,
        local=True,
    ),
)
