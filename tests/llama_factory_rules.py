"""How LLaMA-Factory 0.9.5 reads a folder, in a few lines: it needs other versions of what the tests
use.
"""

from __future__ import annotations

import json
from types import SimpleNamespace

import datasets

# Of `DatasetAttr` in llamafactory/data/parser.py (0.9.5).
_COLUMNS = ("prompt", "query", "response", "history", "messages", "system", "tools")
_TAGS = ("role_tag", "content_tag", "user_tag", "assistant_tag", "observation_tag")
_TAGS += ("function_tag", "system_tag")


def llama_factory(folder, name="smartx_mixture"):
    """What LLaMA-Factory learns: (system, tools, roles and texts) of each row that it keeps.

    name: in dataset_info.json.

    After `get_dataset_list`, `AlpacaDatasetConverter` and `SharegptDatasetConverter` (0.9.5).
    """
    info = json.loads((folder / "dataset_info.json").read_text())[name]
    named = SimpleNamespace(
        **{one: info["columns"].get(one) for one in _COLUMNS},
        **{one: info.get("tags", {}).get(one) for one in _TAGS},
    )
    files = sorted(str(path) for path in (folder / info["file_name"]).iterdir())
    loaded = datasets.load_dataset("parquet", data_files=files, split="train")
    made = _pair if info["formatting"] == "alpaca" else _turns
    assert info["formatting"] in ("alpaca", "sharegpt")
    return [found for row in loaded if (found := made(row, named))]


def _pair(row, named):
    return "", "", [("user", row[named.prompt]), ("assistant", row[named.response])]


def _turns(row, named):
    kinds = {
        named.user_tag: "user",
        named.observation_tag: "observation",
        named.assistant_tag: "assistant",
        named.function_tag: "function",
    }
    turns, system = row[named.messages], ""
    if turns[0][named.role_tag] == named.system_tag:
        system, turns = turns[0][named.content_tag], turns[1:]
    odd, even = (named.user_tag, named.observation_tag), (named.assistant_tag, named.function_tag)
    roles = [turn[named.role_tag] for turn in turns]
    if len(roles) % 2 or any(role not in (odd, even)[i % 2] for i, role in enumerate(roles)):
        return None
    said = [(kinds[turn[named.role_tag]], turn[named.content_tag]) for turn in turns]
    return system, row[named.tools] if named.tools else "", said
