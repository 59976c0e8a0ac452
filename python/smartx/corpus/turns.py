"""The turns of a conversation, whatever their layout: role, text, and what else they carry."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import orjson
import pyarrow as pa

from smartx.corpus.blocks import Drop, json_kind
from smartx.corpus.columns import Layout
from smartx.corpus.extra import TooDeepError

TEXT = pa.large_string()
# extra: JSON of the other keys of a turn (tool calls, weights, ...), null for none.
TURN = pa.struct([("role", TEXT), ("content", TEXT), ("extra", TEXT)])
TURNS = pa.list_(TURN)
JOIN = "\n\n"
_ROLES = {
    **dict.fromkeys(("human", "prompter"), "user"),
    **dict.fromkeys(("gpt", "bot", "model", "chatgpt", "bing", "bard"), "assistant"),
    **dict.fromkeys(("observation", "function", "ipython"), "tool"),
}
_CALL = "function_call"  # a role of ShareGPT's turns, a key of older chats
_CALLS = "tool_calls"
_ROLE_KEYS, _CONTENT_KEYS = ("role", "from"), ("content", "value")
_TURN_KEYS = frozenset((*_ROLE_KEYS, *_CONTENT_KEYS))
Turn = dict[str, Any]  # role, content: texts; extra: the other keys


class UnusableError(Exception):
    """A row cannot be used; carries the Drop."""

    def __init__(self, reason: str, detail: str = "") -> None:
        self.drop = Drop(reason, detail)
        super().__init__(reason)


def turns_of_row(row: Mapping[str, Any], layout: Layout) -> list[Turn]:
    """The turns of a row, of its cells by role. Raises UnusableError."""
    turns: list[Turn] = []
    if row.get("system") is not None:
        turns += _as_turns(row["system"], "system", "system")
    turns = [turn for turn in turns if turn["content"].strip()]
    if layout.messages:
        if row["messages"] is None:
            raise UnusableError("no prompt", f'"{layout.messages}" is missing or null')
        if not isinstance(row["messages"], list):
            text_of(row["messages"], "messages")
            raise UnusableError("wrong type: messages", f"{json_kind(row['messages'])}, not a list")
        return turns + _as_turns(row["messages"], "", "messages")
    for role, speaker in (("prompt", "user"), ("response", "assistant")):
        value = row[role]
        if value is None:
            raise UnusableError(f"no {role}", f'"{getattr(layout, role)}" is missing or null')
        if role == "prompt" and isinstance(value, str) and row.get("extra") is not None:
            extra = text_of(row["extra"], "prompt")
            value = JOIN.join(part for part in (value, extra) if part.strip())
        turns += _as_turns(value, speaker, role)
    return turns


def is_conversation(row: Mapping[str, Any]) -> bool:
    """Whether a row says more than a text and its answer."""
    system = row.get("system")
    plain = isinstance(row.get("prompt"), str) and isinstance(row.get("response"), str)
    return not plain or (system is not None and bool(str(system).strip()))


def _as_turns(value: Any, speaker: str, column: str) -> list[Turn]:
    """The turns of a cell: text is one turn of `speaker`, a list holds a turn per object."""
    if not isinstance(value, list):
        return [{"role": speaker, "content": _content(value, column), "extra": {}}]
    turns: list[Turn] = []
    for turn in value:
        if not isinstance(turn, dict):
            raise UnusableError(
                f"wrong type: {column}", f"a turn is {json_kind(turn)}, not an object"
            )
        role = next((turn[key] for key in _ROLE_KEYS if turn.get(key) is not None), None)
        if role is None:
            raise UnusableError(f"wrong type: {column}", "a turn has no role")
        role = text_of(role, column).lower()
        content = next((turn[key] for key in _CONTENT_KEYS if turn.get(key) is not None), "")
        extra = {k: v for k, v in turn.items() if v is not None and k not in _TURN_KEYS}
        if isinstance(content, list) and not all(map(_is_only_text, content)):
            extra["content_parts"] = content
        text = _content(content, column)
        turns.append(_turn(_ROLES.get(role, role), text, extra))
    return turns


def _turn(role: str, content: str, extra: dict[str, Any]) -> Turn:
    """A turn whose calls of tools, if it has any, are `tool_calls`, as trainers read them."""
    called = None
    if role == _CALL:
        role, called = "assistant", _objects(content)
        content = content if called is None else ""
    elif _CALL in extra and _CALLS not in extra:
        called = _objects(extra[_CALL])
        extra = extra if called is None else {k: v for k, v in extra.items() if k != _CALL}
    if called is not None:
        extra = {**extra, _CALLS: [{"type": "function", "function": one} for one in called]}
    return {"role": role, "content": content, "extra": extra}


def _objects(value: Any) -> list[dict[str, Any]] | None:
    """One or more objects, or their JSON, as a list; None for anything else."""
    if isinstance(value, str):
        with suppress(orjson.JSONDecodeError):
            value = orjson.loads(value)
    found = value if isinstance(value, list) else [value]
    return found if found and all(isinstance(one, dict) for one in found) else None


def _is_only_text(part: Any) -> bool:
    """Whether a part of a turn's content says nothing but its text."""
    return (
        isinstance(part, dict)
        and isinstance(part.get("text"), str)
        and ({key for key, value in part.items() if value is not None} <= {"type", "text"})
    )


def _content(value: Any, column: str) -> str:
    """The text of a turn: text itself, or the text parts of a list of parts."""
    if isinstance(value, list) and value and all(isinstance(part, dict) for part in value):
        texts = [part["text"] for part in value if isinstance(part.get("text"), str)]
        return JOIN.join(texts)
    return text_of(value, column)


def text_of(value: Any, column: str) -> str:
    """A cell that has to be text. Raises UnusableError."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError as bad:
            raise UnusableError("not UTF-8", f"{column}: byte {bad.start}: {bad.reason}") from None
    if not isinstance(value, str):
        raise UnusableError(f"wrong type: {column}", f"{json_kind(value)}, not text")
    return value


def question_and_answer(turns: list[Turn]) -> tuple[str, str]:
    """(all turns before the last of the assistant, joined; that last turn).

    A last turn that says nothing and calls tools is answered with the calls, as JSON.
    """
    last = max((i for i, turn in enumerate(turns) if turn["role"] == "assistant"), default=None)
    if last is None:
        raise UnusableError("no assistant turn", f"{len(turns)} turns")
    before = [turn["content"] for turn in turns[:last] if turn["content"].strip()]
    answer, extra = str(turns[last]["content"]), turns[last]["extra"]
    if not answer.strip() and extra.get(_CALLS):
        answer = _json(extra[_CALLS])
    return JOIN.join(before), answer


def _json(value: Any) -> str:
    """A value as JSON; text is taken to be that already."""
    try:
        return value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
    except orjson.JSONEncodeError:
        raise TooDeepError from None
