"""Rows of any layout become prompt, response, turns, source, task, template, or a reason why not.

Text columns stay in Arrow from end to end; conversations are taken turn by turn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from smartx.corpus.blocks import Block, Drop, RowCells, json_kind
from smartx.corpus.columns import Layout
from smartx.corpus.extra import TOO_DEEP, Kinds, TooDeepError, json_bytes

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


class _UnusableError(Exception):
    """A row cannot be used; carries the Drop."""

    def __init__(self, reason: str, detail: str = "") -> None:
        self.drop = Drop(reason, detail)
        super().__init__(reason)


@dataclass(frozen=True)
class Normal:
    """A block in the corpus's own columns.

    columns: by name, n values each; those of dropped rows are meaningless.
    drops: by index in the block.
    """

    columns: Mapping[str, pa.Array]
    drops: dict[int, Drop]

    def kept(self) -> NDArray[np.int64]:
        """Indices of the rows that can be used, rising."""
        rows = len(self.columns["prompt"])
        return np.setdiff1d(np.arange(rows, dtype=np.int64), np.fromiter(self.drops, np.int64))


@dataclass(frozen=True)
class Naming:
    """What normalising needs to know besides the layout.

    label: of the data set: the task of rows that do not say, and their source.
    task: the one task of all rows, or None.
    source: of all rows that do not say, or None. Then rows that say their task have no source, so
    that a task column over several files is one set of tasks.
    keep_empty: rows whose response is empty are kept.
    """

    label: str
    task: str | None
    source: str | None
    keep_empty: bool


def normalise(block: Block, layout: Layout, naming: Naming, turn_kinds: Kinds) -> Normal:
    """Bring a block into the corpus's columns.

    turn_kinds: learns what turns carry beyond role and content.
    """
    drops: dict[int, Drop] = {}
    if layout.messages or layout.system or _has_turns(block, layout):
        prompt, response, messages = _by_row(block, layout, drops, turn_kinds)
    else:
        prompt, response = _by_column(block, layout, drops)
        messages = pa.nulls(len(prompt), TURNS)
    for index in np.flatnonzero(_blank(prompt)):
        drops.setdefault(int(index), Drop("empty prompt"))
    if not naming.keep_empty:
        for index in np.flatnonzero(_blank(response)):
            drops.setdefault(int(index), Drop("empty response"))
    names = {
        role: _names(block, getattr(layout, role), role, drops)
        for role in ("source", "task", "template")
    }
    no_source = pa.scalar("", TEXT)
    if naming.source is not None:
        no_source = pa.scalar(naming.source, TEXT)
    elif naming.task is None:
        no_source = pc.if_else(names["task"].is_null(), pa.scalar(naming.label, TEXT), no_source)
    columns = {
        "prompt": prompt,
        "response": response,
        "messages": messages,
        "source": pc.coalesce(names["source"], no_source),
        "task": names["task"].fill_null(naming.task if naming.task is not None else naming.label),
        "template": names["template"].fill_null(""),
    }
    return Normal(columns, drops)


def _by_column(block: Block, layout: Layout, drops: dict[int, Drop]) -> tuple[pa.Array, pa.Array]:
    texts = {}
    for role in ("prompt", "response"):
        name = getattr(layout, role)
        texts[role] = _texts(block.cells[name], role, drops)
        for index in np.flatnonzero(texts[role].is_null().to_numpy(zero_copy_only=False)):
            drops.setdefault(int(index), Drop(f"no {role}", f'"{name}" is missing or null'))
    prompt = texts["prompt"]
    if layout.extra:
        extra = _texts(block.cells[layout.extra], "prompt", drops).fill_null("")
        joined = pc.binary_join_element_wise(prompt, extra, pa.scalar(JOIN, TEXT))
        joined = pc.if_else(pa.array(_blank(prompt)), extra, joined)
        prompt = pc.if_else(pa.array(_blank(extra)), prompt, joined)
    return prompt.fill_null(""), texts["response"].fill_null("")


def _by_row(
    block: Block, layout: Layout, drops: dict[int, Drop], turn_kinds: Kinds
) -> tuple[pa.Array, pa.Array, pa.Array]:
    rows = len(block.places)
    cells = {role: values_of(block.cells[name]) for role, name in layout.roles().items()}
    prompts, responses = [""] * rows, [""] * rows
    conversations: list[list[Turn] | None] = [None] * rows
    extras: list[dict[str, Any]] = []
    for index in range(rows):
        row = {role: values[index] for role, values in cells.items()}
        try:
            turns = _row_turns(row, layout)
            prompts[index], responses[index] = _split(turns)
            texts = [json_bytes(turn["extra"]) for turn in turns]
        except _UnusableError as problem:
            drops.setdefault(index, problem.drop)
            continue
        except TooDeepError:
            drops.setdefault(index, Drop(TOO_DEEP, "in a turn"))
            continue
        if _is_conversation(row):
            extras += [turn["extra"] for turn in turns if turn["extra"]]
            conversations[index] = [
                {**turn, "extra": text} for turn, text in zip(turns, texts, strict=True)
            ]
    turn_kinds.see_all(extras)
    return pa.array(prompts, TEXT), pa.array(responses, TEXT), pa.array(conversations, TURNS)


def _row_turns(row: Mapping[str, Any], layout: Layout) -> list[Turn]:
    turns: list[Turn] = []
    if row.get("system") is not None:
        turns += _as_turns(row["system"], "system", "system")
    turns = [turn for turn in turns if turn["content"].strip()]
    if layout.messages:
        if row["messages"] is None:
            raise _UnusableError("no prompt", f'"{layout.messages}" is missing or null')
        if not isinstance(row["messages"], list):
            _text(row["messages"], "messages")
            raise _UnusableError(
                "wrong type: messages", f"{json_kind(row['messages'])}, not a list"
            )
        return turns + _as_turns(row["messages"], "", "messages")
    for role, speaker in (("prompt", "user"), ("response", "assistant")):
        value = row[role]
        if value is None:
            raise _UnusableError(f"no {role}", f'"{getattr(layout, role)}" is missing or null')
        if role == "prompt" and isinstance(value, str) and row.get("extra") is not None:
            extra = _text(row["extra"], "prompt")
            value = JOIN.join(part for part in (value, extra) if part.strip())
        turns += _as_turns(value, speaker, role)
    return turns


def _is_conversation(row: Mapping[str, Any]) -> bool:
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
            raise _UnusableError(
                f"wrong type: {column}", f"a turn is {json_kind(turn)}, not an object"
            )
        role = next((turn[key] for key in _ROLE_KEYS if turn.get(key) is not None), None)
        if role is None:
            raise _UnusableError(f"wrong type: {column}", "a turn has no role")
        role = _text(role, column).lower()
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
    return _text(value, column)


def _text(value: Any, column: str) -> str:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError as bad:
            raise _UnusableError("not UTF-8", f"{column}: byte {bad.start}: {bad.reason}") from None
    if not isinstance(value, str):
        raise _UnusableError(f"wrong type: {column}", f"{json_kind(value)}, not text")
    return value


def _split(turns: list[Turn]) -> tuple[str, str]:
    """(all turns before the last of the assistant, joined; that last turn).

    A last turn that says nothing and calls tools is answered with the calls, as JSON.
    """
    last = max((i for i, turn in enumerate(turns) if turn["role"] == "assistant"), default=None)
    if last is None:
        raise _UnusableError("no assistant turn", f"{len(turns)} turns")
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


def _has_turns(block: Block, layout: Layout) -> bool:
    def lists(cells: pa.Array | list[Any]) -> bool:
        if isinstance(cells, list):
            return any(isinstance(value, list) for value in cells)
        return bool(pa.types.is_nested(cells.type))

    return any(lists(block.cells[name]) for name in (layout.prompt, layout.response) if name)


def _names(block: Block, name: str | None, role: str, drops: dict[int, Drop]) -> pa.Array:
    """Source, task or template of each row; numbers are names too; null where a row has none."""
    if name is None:
        return pa.nulls(len(block.places), TEXT)
    cells = block.cells.names_in(name) if isinstance(block.cells, RowCells) else block.cells[name]
    names = _texts(cells, role, drops, scalar_name)
    return pc.if_else(pa.array(_blank(names)), pa.scalar(None, TEXT), names)


def scalar_name(value: Any) -> str | None:
    """How a number or truth value is written as a name; None for what cannot be one."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (int, float)) else None


def _texts(
    cells: pa.Array | list[Any],
    role: str,
    drops: dict[int, Drop],
    convert: Callable[[Any], str | None] = lambda value: None,
) -> pa.Array:
    """A column as text. A cell that cannot become text or is not UTF-8 goes into `drops`."""
    fast = _fast_texts(cells)
    if fast is not None:
        return fast
    texts: list[str | None] = []
    for index, value in enumerate(values_of(cells)):
        text = convert(value)
        if text is None and value is not None:
            try:
                text = _text(value, role)
            except _UnusableError as problem:
                drops.setdefault(index, problem.drop)
        texts.append(text)
    return pa.array(texts, TEXT)


def _fast_texts(cells: pa.Array | list[Any]) -> pa.Array | None:
    """A column that is all text (or null) as an Arrow array; None where it needs a closer look."""
    try:
        if isinstance(cells, list):
            return pa.array(cells, TEXT)
        if pa.types.is_dictionary(cells.type):
            cells = cells.dictionary_decode()
        if not (_is_text_type(cells.type) or pa.types.is_null(cells.type)):
            return None
        texts = cells.cast(TEXT)
        texts.validate(full=True)
        return texts
    except (pa.ArrowException, TypeError, OverflowError):
        return None


def _is_text_type(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or str(kind) == "string_view"
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
    )


def values_of(cells: pa.Array | list[Any]) -> list[Any]:
    """Python values; text that is not UTF-8 comes as its bytes."""
    if isinstance(cells, list):
        return cells
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    try:
        return list(cells.to_pylist())
    except UnicodeDecodeError:
        return [_value(cell) for cell in cells]


def _value(cell: pa.Scalar) -> Any:
    try:
        return cell.as_py()
    except UnicodeDecodeError:
        return cell.cast(pa.large_binary()).as_py() if _is_text_type(cell.type) else b"\xff"


def _blank(texts: pa.Array) -> NDArray[np.bool_]:
    """Where a text is empty or white space (null: neither)."""
    blank = pc.or_(pc.utf8_is_space(texts), pc.equal(pc.binary_length(texts), 0)).fill_null(False)
    return np.asarray(blank.to_numpy(zero_copy_only=False), dtype=np.bool_)
