"""Files in a mixture that point TRL, Axolotl and LLaMA-Factory at it; what exports say of them too.

A mixture holds what these read already; `smartx export` writes other files, for more trainers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from smartx.files import canonical_json

Files = dict[str, bytes]
FINISHED = "none are needed: the rows are chosen, all are to be read once an epoch"  # of weights
TRL, AXOLOTL = "TRL", "Axolotl"
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
        "axolotl.yaml": _beside(AXOLOTL, _axolotl(met)),
        "trl.yaml": _beside(TRL, _trl(met)),
    }


def to_copy(trainer: str, *more: str) -> str:
    """The first lines of a file of YAML for people to copy from. more: lines behind it."""
    return "\n".join([f"For {trainer}: copy these lines into your configuration.", *more])


def commented(head: str, content: Mapping[str, Any]) -> bytes:
    """A file of YAML. head: lines above, as comments."""
    comments = "".join(f"# {line}\n" for line in head.splitlines())
    return (comments + yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True)).encode()


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
        return place | axolotl_turns(tools=met["tools"])
    fields = {
        "field_instruction": "prompt",
        "field_output": "completion",
        "format": "{instruction}",
        "no_input_format": "{instruction}",
    }
    return {**place, "type": fields}


def axolotl_turns(*, tools: bool) -> dict[str, Any]:
    """How Axolotl is told of turns. tools: that rows may offer."""
    turns = {"type": "chat_template", "field_messages": "messages"}
    return turns | ({"field_tools": "tools"} if tools else {})


def _trl(met: dict[str, Any]) -> dict[str, Any]:
    """TRL reads the listed columns only; `tools` as lists of JSON schemas or as their JSON text."""
    columns = ["messages"] if met["conversations"] else ["prompt", "completion"]
    columns += ["tools"] if met["conversations"] and met["tools"] else []
    return {"path": "data", "split": "train", "columns": columns}


def _beside(trainer: str, entry: dict[str, Any]) -> bytes:
    """The lines for a data set that lies in the folder `data` beside them."""
    return commented(to_copy(trainer, *_BESIDE), {"datasets": [entry]})


_BESIDE = (
    "`path` is the folder `data` beside this file, seen from where you start the training.",
    f"Weights or fractions: {FINISHED}.",
)
