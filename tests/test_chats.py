"""A corpus of chats as people have it: one long system prompt for all, tools that are called."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

import smartx
from smartx.embed.encoders import PACKAGED

ROWS, ASKED_TWICE = 2_000, 100
SYSTEM = "You are the assistant of a shop. " + "Be kind, be short, and never guess a price. " * 180
CITIES = ("Kyoto", "Lagos", "Lima", "Oslo", "Quito", "Turin", "Varna")


def chat(number: int) -> dict[str, object]:
    """Every third one ends in a tool call, every third reads what a tool returned."""
    day = number % (ROWS - ASKED_TWICE)
    question = f"What is the weather in {CITIES[day % 7]} on day {day}?"
    call = {
        "id": f"c{number}",
        "type": "function",
        "function": {"name": "weather", "arguments": json.dumps({"day": number})},
    }
    messages: list[dict[str, object]] = [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": question},
    ]
    if number % 3 == 0:
        messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
    elif number % 3 == 1:
        messages += [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": f"c{number}", "content": "rain"},
            {"role": "assistant", "content": "It rains."},
        ]
    else:
        messages.append({"role": "assistant", "content": f"I cannot know {number}."})
    return {"messages": messages, "task": CITIES[number % (ROWS - ASKED_TWICE) % 7]}


def asked(number: int) -> str:
    """What tells a row apart: what the user said, and what the tool returned."""
    messages = chat(number)["messages"]
    assert isinstance(messages, list)
    return "\n\n".join(m["content"] for m in messages if m["role"] in ("user", "tool"))


@pytest.mark.slow
@pytest.mark.encoder
def test_a_shared_system_prompt_hides_no_row_and_no_tool_call_is_dropped(tmp_path):
    pytest.importorskip("sentence_transformers")
    source = tmp_path / "chats.jsonl"
    source.write_text("".join(json.dumps(chat(number)) + "\n" for number in range(ROWS)))
    mixture = smartx.run(
        {
            "sources": [str(source)], "encoder": PACKAGED, "max_length": 64, "rows": 500,
            "out": tmp_path / "mix", "run_dir": tmp_path / "work",
        }
    )  # fmt: skip
    run = smartx.open_run(tmp_path / "work")
    assert run.corpus().num_rows == ROWS
    assert mixture.manifest["corpus_rows"]["dropped"] == {}
    vectors = run.embeddings().rows(0, ROWS)
    distinct = len({asked(number) for number in range(ROWS)})
    assert distinct > ROWS - 2 * ASKED_TWICE
    assert len(np.unique(vectors, axis=0)) == distinct
    chosen = pq.read_table(tmp_path / "mix" / "data")
    assert chosen.num_rows == 500
    assert chosen["messages"].null_count == 0
