"""Files that point a trainer at a mixture folder: TRL, Axolotl and LLaMA-Factory."""

from __future__ import annotations

from typing import Any

import yaml

from smartx.store import canonical_json

Files = dict[str, bytes]


def trainer_files(*, conversations: bool, tools: bool = False) -> Files:
    """The trainers' files by name.

    conversations: every row of the mixture has `messages`.  tools: there is a column `tools`.
    """
    return {
        "dataset_info.json": canonical_json({"smartx_mixture": _llama_factory(conversations)}),
        "axolotl.yaml": _yaml(_AXOLOTL_HEAD, {"datasets": [_axolotl(conversations)]}),
        "trl.yaml": _yaml(_TRL_HEAD, {"datasets": [_trl(conversations, tools)]}),
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
    columns = {"prompt": "prompt", "response": "completion"}
    return {"file_name": "data", "formatting": "alpaca", "columns": columns}


def _axolotl(conversations: bool) -> dict[str, Any]:
    place = {"path": ".", "split": "train"}
    if conversations:
        return {**place, "type": "chat_template", "field_messages": "messages"}
    fields = {
        "field_instruction": "prompt",
        "field_output": "completion",
        "format": "{instruction}",
        "no_input_format": "{instruction}",
    }
    return {**place, "type": fields}


def _trl(conversations: bool, tools: bool) -> dict[str, Any]:
    """TRL reads the listed columns only; `tools` as lists of JSON schemas or as their JSON text."""
    columns = ["messages"] if conversations else ["prompt", "completion"]
    columns += ["tools"] if conversations and tools else []
    return {"path": ".", "split": "train", "columns": columns}


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
