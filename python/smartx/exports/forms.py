"""What a row looks like in a file of JSON lines: only the keys that its readers need.

A form turns a row of `rows.objects` into the object of its line, and raises MisfitError for a row
that it has no place for: nothing is flattened or left out of a row silently.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import orjson

from smartx.exports.rows import Row, Turn
from smartx.mixture.chats import ANSWER_FIRST, CALLS, LATE_SYSTEM, ODD_ROLE

Form = Callable[[Row], dict[str, Any]]

# What a form may have no place for.
TOOLS = "tools, or calls of tools"
SYSTEM = "a system turn"
SEVERAL = "several turns, or another order than user, assistant"
NO_ID = "a call of a tool that has no id"
REPEATED = "two turns of one role in a row"
NO_ANSWER = "no answer at the end"
NO_TEXT = "a turn without text"
_ROLES = {"system", "user", "assistant", "tool"}


class MisfitError(Exception):
    """A form has no place for something in a row; the reason is one of those above."""


def messages(row: Row) -> dict[str, Any]:
    """`messages`, with every key of every turn, and `tools` where the row offers some."""
    return row


def bare_messages(row: Row) -> dict[str, Any]:
    """`messages` alone, each turn with `role` and `content` alone, both texts, in turns."""
    turns = _without_tools(row)
    if any(turn["role"] not in _ROLES for turn in turns):
        raise MisfitError(ODD_ROLE)
    if any(turn["content"] is None for turn in turns):
        raise MisfitError(NO_TEXT)
    if any(a["role"] == b["role"] for a, b in pairwise(turns)):
        raise MisfitError(REPEATED)
    if len(turns) < 2 or turns[-1]["role"] != "assistant":
        raise MisfitError(NO_ANSWER)
    return {"messages": [{"role": turn["role"], "content": turn["content"]} for turn in turns]}


def alternating(row: Row) -> dict[str, Any]:
    """`bare_messages`, with a system turn in the first place alone, and a user who begins."""
    made = bare_messages(row)
    roles = [turn["role"] for turn in made["messages"]]
    if "system" in roles[1:]:
        raise MisfitError(LATE_SYSTEM)
    if roles[roles[0] == "system"] != "user":
        raise MisfitError(ANSWER_FIRST)
    return made


def openai_messages(row: Row) -> dict[str, Any]:
    """`messages` and `tools` by the letter of OpenAI: calls have ids, and arguments as texts."""
    made = []
    for turn in row["messages"]:
        if turn["role"] not in _ROLES:
            raise MisfitError(ODD_ROLE)
        if turn["content"] is None and not turn.get(CALLS):
            raise MisfitError(NO_TEXT)
        kept = {key: turn[key] for key in ("role", "content", "tool_call_id") if key in turn}
        if CALLS in turn:
            kept[CALLS] = [_call(call) for call in turn[CALLS]]
        made.append(kept)
    return {**row, "messages": made}


def _call(call: Any) -> dict[str, Any]:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(call.get("id"), str):
        raise MisfitError(NO_ID)
    arguments = function.get("arguments")
    text = arguments if isinstance(arguments, str) else orjson.dumps(arguments).decode()
    return {"id": call["id"], "type": "function", "function": {**function, "arguments": text}}


def prompt_completion(row: Row) -> dict[str, Any]:
    """`prompt`: all turns but the last answer, `completion`: that one; `tools` as they are."""
    turns = row["messages"]
    if len(turns) < 2 or turns[-1]["role"] != "assistant":
        raise MisfitError(NO_ANSWER)
    offered = {"tools": row["tools"]} if "tools" in row else {}
    return {"prompt": turns[:-1], "completion": turns[-1:], **offered}


def alpaca(row: Row) -> dict[str, Any]:
    """`instruction`, an empty `input`, `output`: one question and one answer."""
    turns = _without_tools(row)
    roles = [turn["role"] for turn in turns]
    if "system" in roles:
        raise MisfitError(SYSTEM)
    if roles != ["user", "assistant"]:
        raise MisfitError(SEVERAL)
    question, answer = (turn["content"] or "" for turn in turns)
    return {"instruction": question, "input": "", "output": answer}


def _without_tools(row: Row) -> list[Turn]:
    """The turns of a row. Raises MisfitError where it has to do with tools."""
    turns: list[Turn] = row["messages"]
    if "tools" in row or any(CALLS in turn or turn["role"] == "tool" for turn in turns):
        raise MisfitError(TOOLS)
    return turns
