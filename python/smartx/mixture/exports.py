"""Files that point a trainer at a mixture folder: TRL, Axolotl and LLaMA-Factory."""

from __future__ import annotations

from typing import Any

import yaml

from smartx.store import canonical_json

Files = dict[str, bytes]


def trainer_files(*, conversations: bool) -> Files:
    """The trainers' files by name. conversations: every row of the mixture has `messages`."""
    return {
        "dataset_info.json": canonical_json({"smartx_mixture": _llama_factory(conversations)}),
        "axolotl.yaml": _yaml(_AXOLOTL_HEAD, {"datasets": [_axolotl(conversations)]}),
        "trl.yaml": _trl(conversations),
    }


def _llama_factory(conversations: bool) -> dict[str, Any]:
    if conversations:
        tags = {
            "role_tag": "role",
            "content_tag": "content",
            "user_tag": "user",
            "assistant_tag": "assistant",
            "system_tag": "system",
        }
        columns = {"messages": "messages"}
        return {"file_name": "data", "formatting": "sharegpt", "columns": columns, "tags": tags}
    columns = {"prompt": "prompt", "response": "response"}
    return {"file_name": "data", "formatting": "alpaca", "columns": columns}


def _axolotl(conversations: bool) -> dict[str, Any]:
    place = {"path": ".", "split": "train"}
    if conversations:
        return {**place, "type": "chat_template", "field_messages": "messages"}
    fields = {
        "field_instruction": "prompt",
        "field_output": "response",
        "format": "{instruction}",
        "no_input_format": "{instruction}",
    }
    return {**place, "type": fields}


def _trl(conversations: bool) -> bytes:
    if conversations:
        entry = {"path": ".", "split": "train", "columns": ["messages"]}
        return _yaml(_TRL_HEAD, {"datasets": [entry]})
    return _yaml(_TRL_HEAD + _TRL_RENAME, {"dataset_name": ".", "dataset_train_split": "train"})


def _yaml(head: str, content: dict[str, Any]) -> bytes:
    return (head + yaml.safe_dump(content, sort_keys=False, allow_unicode=True)).encode()


_AXOLOTL_HEAD = """\
# For Axolotl: copy these lines into your configuration. The mixture is finished: no weights needed.
# `path` is this folder, seen from where you start the training.
"""
_TRL_HEAD = """\
# For TRL: copy these lines into your configuration. The mixture is finished: no fractions needed.
# The path is this folder, seen from where you start the training.
"""
_TRL_RENAME = """\
# TRL calls the response `completion`. In a training script of your own:
#   rows = load_dataset(path, split="train").select_columns(["prompt", "response"])
#   rows = rows.rename_column("response", "completion")
"""
