"""Mixtures of pairs, of chats and of chats with tools, for what reads mixtures."""

from __future__ import annotations

from pathlib import Path

from small import corpus_of, mixture_of_all
from smartx.mixture import Mixture

TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
HOSTILE = "../../x\n<script>|`$(rm)`\u202e\x1b[31m"


def say(role, content, **more):
    return {"role": role, "content": content, **more}


def call(**arguments):
    return [{"type": "function", "function": {"name": "look", "arguments": arguments}}]


PAIRS = [{"task_name": "sums", "inputs": f"Question {i}?", "targets": f"A{i}."} for i in range(12)]
PAIRS += [{"task_name": HOSTILE, "inputs": f"Odd {i}?", "targets": f"O{i}."} for i in range(8)]
CHATS = [
    {
        "task_name": "talk",
        "messages": [
            say("system", "Be kind."),
            say("user", f"Q{i}"),
            say("assistant", f"R{i}"),
            say("user", f"And {i}?"),
            say("assistant", f"S{i}"),
        ],
    }
    for i in range(10)
]
CALLS = [
    {
        "task_name": "calls",
        "messages": [
            say("user", f"Look {i}"),
            say("assistant", None, tool_calls=call(**{f"key{i}": i})),
            say("tool", f"F{i}", name="look"),
            say("assistant", f"T{i}"),
        ],
        "tools": TOOLS,
    }
    for i in range(10)
]


def mixture_of(rows: list[dict[str, object]], folder: Path) -> Mixture:
    """All of the rows as a mixture in folder/mix."""
    corpus = corpus_of(rows, folder)
    assert corpus.num_rows == len(rows)
    return mixture_of_all(corpus, folder)
