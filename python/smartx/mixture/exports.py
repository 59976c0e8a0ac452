"""Files that point a trainer at a mixture folder: TRL, Axolotl and LLaMA-Factory."""

from __future__ import annotations

from typing import Any

import yaml

from smartx.files import canonical_json

Files = dict[str, bytes]
LLAMA_FACTORY = "llama_factory"  # folder of the copy that it reads where tools are called

# Columns that a trainer takes for what it trains on, whatever they hold. One of a source that is
# called so becomes original_NAME. Measured: UltraChat's `prompt` beside `messages` trains the
# prompt without a template, a `text` beside `prompt` and `completion` takes their end token, and
# Axolotl takes `system` for the first turn.
READ_BY_TRAINERS = (
    *("messages", "conversations", "prompt", "completion", "chosen", "rejected", "text", "system"),
    *("input_ids", "labels", "attention_mask", "completion_mask", "assistant_masks"),
)


def trainer_files(met: dict[str, Any]) -> Files:
    """The trainers' files by name. met: `trainers` of the manifest."""
    return {
        "dataset_info.json": canonical_json({"smartx_mixture": llama_factory_entry(met)}),
        "axolotl.yaml": _yaml(_AXOLOTL_HEAD, {"datasets": [_axolotl(met)]}),
        "trl.yaml": _yaml(_TRL_HEAD, {"datasets": [_trl(met)]}),
    }


def llama_factory_entry(met: dict[str, Any]) -> dict[str, Any]:
    """The entry of a mixture in dataset_info.json. met: `trainers` of the manifest.

    Its own copy where tools are called: it reads calls as turns of their own kind.

    Its `openai` format would read ours, but adds "detailed thinking off" to every system prompt and
    writes the arguments of a call as the text of a text (0.9.5).
    """
    if not met["conversations"]:
        columns = {"prompt": "prompt", "response": "completion"}
        return {"file_name": "data", "formatting": "alpaca", "columns": columns}
    if met["tools"] or met["calls"]:
        columns = {"messages": "conversations"} | ({"tools": "tools"} if met["tools"] else {})
        tags = {
            "role_tag": "from",
            "content_tag": "value",
            "user_tag": "human",
            "assistant_tag": "gpt",
            "observation_tag": "observation",
            "function_tag": "function_call",
            "system_tag": "system",
        }
        place = {"file_name": LLAMA_FACTORY, "formatting": "sharegpt"}
        return {**place, "columns": columns, "tags": tags}
    tags = {
        "role_tag": "role",
        "content_tag": "content",
        "user_tag": "user",
        "assistant_tag": "assistant",
        "observation_tag": "tool",
        "function_tag": "function_call",
        "system_tag": "system",
    }
    columns = {"messages": "messages"}
    return {"file_name": "data", "formatting": "sharegpt", "columns": columns, "tags": tags}


def _axolotl(met: dict[str, Any]) -> dict[str, Any]:
    place = {"path": "data", "split": "train"}
    if met["conversations"]:
        return {**place, "type": "chat_template", "field_messages": "messages"}
    fields = {
        "field_instruction": "prompt",
        "field_output": "completion",
        "format": "{instruction}",
        "no_input_format": "{instruction}",
    }
    return {**place, "type": fields}


def _trl(met: dict[str, Any]) -> dict[str, Any]:
    """TRL reads the listed columns only; `tools` as lists of JSON schemas or as their JSON text."""
    columns = ["messages"] if met["conversations"] else ["prompt", "completion"]
    columns += ["tools"] if met["conversations"] and met["tools"] else []
    return {"path": "data", "split": "train", "columns": columns}


def _yaml(head: str, content: dict[str, Any]) -> bytes:
    return (head + yaml.safe_dump(content, sort_keys=False, allow_unicode=True)).encode()


_AXOLOTL_HEAD = """\
# For Axolotl: copy these lines into your configuration. The mixture is finished: no weights needed.
# `path` is the folder `data` beside this file, seen from where you start the training.
"""
_TRL_HEAD = """\
# For TRL: copy these lines into your configuration. The mixture is finished: no fractions needed.
# `path` is the folder `data` beside this file, seen from where you start the training.
"""
