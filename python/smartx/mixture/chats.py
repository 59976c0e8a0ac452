"""Conversations as trainers read them: turns for every row, tool calls as objects, and what a
trainer would refuse.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from smartx.corpus.arrow_types import one_array

CALLS = "tool_calls"
# A text that holds JSON: `datasets` (4.7 and newer) gives the object. Objects with different keys
# have no one type, and a type with all the keys would put nulls into what is trained on.
_JSON = {b"ARROW:extension:name": b"arrow.json", b"ARROW:extension:metadata": b""}
CALL = pa.field("element", pa.string(), metadata=_JSON)
TOOLS = pa.field("tools", pa.string(), metadata=_JSON)
SHAREGPT = pa.list_(pa.struct([("from", pa.string()), ("value", pa.string())]))

_LEAVES_OUT = {"LLaMA-Factory": "leaves the row out"}
_STRICT = {**_LEAVES_OUT, "strict chat templates (Gemma 3, Cohere)": "stop with an error"}
# Why a row is refused, and what who does then. Measured with LLaMA-Factory 0.9.5, TRL 1.16.0.
ODD_ROLE = "a role other than system, user, assistant, tool"
LATE_SYSTEM = "a system turn after the first turn"
NO_USER = "no user turn"
ANSWER_FIRST = "the first turn is the assistant's"
TWO_USERS = "two user turns in a row"
TWO_ANSWERS = "two assistant turns in a row"
ODD_TOOL = "a turn of a tool beside one of the user"
TWO_TOOLS = "two turns of tools in a row"
TEXT_BESIDE = "text beside a tool call"
REFUSED_BY: dict[str, dict[str, str]] = {
    **dict.fromkeys((ODD_ROLE, LATE_SYSTEM, NO_USER), _STRICT),
    **dict.fromkeys((ANSWER_FIRST, TWO_USERS, TWO_ANSWERS), _STRICT),
    **dict.fromkeys((ODD_TOOL, TWO_TOOLS), _LEAVES_OUT),
    TEXT_BESIDE: {"LLaMA-Factory": "leaves that text out"},
}
_ROLES = {"system": "s", "user": "u", "assistant": "a", "tool": "t"}
_SPEAKERS = {"s": "system", "u": "human", "a": "gpt", "c": "function_call", "t": "observation"}
# How LLaMA-Factory joins what several tools answered to one turn.
_NEXT_ANSWER = "\n</tool_response>\n<tool_response>\n"


def turns_of_all(
    messages: pa.ListArray, prompts: pa.ChunkedArray, completions: pa.ChunkedArray
) -> tuple[pa.ListArray, int]:
    """(turns for every row, how many rows lost turns behind the last one of the assistant).

    messages: (n,) turns, null for rows that are no conversations; these get a turn of the user and
    one of the assistant. No trainer learns anything from what follows the last answer, and one
    leaves out a row that does not end in one.
    """
    turns = _with_call_objects(messages.flatten())
    chat = messages.is_valid().to_numpy(zero_copy_only=False)
    lengths = messages.value_lengths().fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    starts = np.cumsum(lengths) - lengths
    kept = lengths.copy()
    kept[chat] = _until_last_answer(_patterns(turns, lengths[chat]))
    shortened = int((kept < lengths).sum())
    plain = np.flatnonzero(~chat)
    starts[plain] = len(turns) + 2 * np.arange(len(plain))
    kept[plain] = 2
    texts = [pc.take(column, pa.array(plain)) for column in (prompts, completions)]
    both = pa.concat_arrays([turns, _two_turns(*texts, kind=turns.type)])
    ends = np.cumsum(kept)
    places = np.repeat(starts - (ends - kept), kept) + np.arange(kept.sum())
    offsets = pa.array(np.concatenate([[0], ends]), pa.int32())
    return pa.ListArray.from_arrays(offsets, both.take(pa.array(places))), shortened


def turn_patterns(messages: pa.ListArray) -> pa.Array:
    """Each conversation as one letter a turn: s(ystem), u(ser), a(ssistant), t(ool), ? for another
    role, and c for a turn of the assistant that calls tools.
    """
    return _patterns(messages.flatten(), messages.value_lengths().to_numpy())


def refusal(pattern: str, *, joined: bool = True) -> str | None:
    """Why a trainer refuses turns in this order, one of REFUSED_BY; None where none does.

    pattern: of `turn_patterns`.  joined: turns of tools in a row are one for the trainer.
    """
    turns = pattern.removeprefix("s")
    faults = (
        (ODD_ROLE, "?" in turns),
        (LATE_SYSTEM, "s" in turns),
        (NO_USER, not set(turns) & {"u", "t"}),
        (ANSWER_FIRST, turns.startswith(("a", "c"))),
        (TWO_USERS, "uu" in turns),
        (TWO_ANSWERS, re.search("[ac]{2}", turns)),
        (ODD_TOOL, re.search("ut|tu", turns)),
        (TWO_TOOLS, "tt" in turns and not joined),
    )
    return next((reason for reason, found in faults if found), None)


def refusals(messages: pa.ListArray, *, joined: bool) -> Counter[str]:
    """How many rows a trainer refuses, by reason."""
    counts: Counter[str] = Counter()
    for pattern in turn_patterns(messages).value_counts().to_pylist():
        if reason := refusal(pattern["values"], joined=joined):
            counts[reason] += pattern["counts"]
    return counts


def refused_facts(counts: Mapping[str, int]) -> list[dict[str, Any]]:
    """The same for a manifest, most rows first: reason, rows, and who does what then."""
    most_first = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return [{"reason": why, "rows": rows, "by": REFUSED_BY[why]} for why, rows in most_first]


def sharegpt(messages: pa.ListArray) -> tuple[pa.Array, Counter[str]]:
    """(turns as LLaMA-Factory reads them with tool calls, rows that lose something by reason).

    A call is a turn of its own kind there, whose text is the JSON of its name and arguments; the
    turns of tools in a row are one.
    """
    rows, lost = [], Counter[str]()
    for pattern, turns in zip(
        turn_patterns(messages).to_pylist(), messages.to_pylist(), strict=True
    ):
        made: list[dict[str, str]] = []
        for letter, turn in zip(pattern, turns, strict=True):
            value = _call_text(turn[CALLS]) if letter == "c" else turn["content"] or ""
            if letter == "t" and made and made[-1]["from"] == _SPEAKERS["t"]:
                made[-1]["value"] += _NEXT_ANSWER + value
            else:
                made.append({"from": _SPEAKERS.get(letter, turn["role"]), "value": value})
        lost[TEXT_BESIDE] += any(
            letter == "c" and bool((turn["content"] or "").strip())
            for letter, turn in zip(pattern, turns, strict=True)
        )
        rows.append(made)
    return pa.array(rows, SHAREGPT), +lost


def tools_objects(tools: pa.ChunkedArray) -> pa.Array:
    """What tools a row offers, as JSON that `datasets` reads; null for none.

    tools: objects, or their JSON, or the JSON of that where sources differ.
    """
    found = [_bare(_read(_read(value))) for value in tools.to_pylist()]
    return pa.array([None if value is None else _json(value) for value in found], CALL.type)


def _patterns(turns: pa.StructArray, lengths: NDArray[np.int64]) -> pa.Array:
    codes = pc.index_in(turns.field("role"), value_set=pa.array(list(_ROLES))).fill_null(4)
    letters = np.array([*_ROLES.values(), "?"])[codes.to_numpy(zero_copy_only=False)]
    if turns.type.get_field_index(CALLS) >= 0:
        calls = pc.greater(pc.list_value_length(turns.field(CALLS)), 0).fill_null(False)
        letters[calls.to_numpy(zero_copy_only=False) & (letters == "a")] = "c"
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
    return pc.binary_join(pa.ListArray.from_arrays(offsets, pa.array(letters, pa.string())), "")


def _until_last_answer(patterns: pa.Array) -> NDArray[np.int64]:
    """How many turns of each conversation end with the assistant's last; all where it has none."""
    coded = patterns.dictionary_encode()
    kept = np.array(
        [
            1 + max(pattern.rfind("a"), pattern.rfind("c")) or len(pattern)
            for pattern in coded.dictionary.to_pylist()
        ],
        np.int64,
    )
    places: NDArray[np.int64] = coded.indices.to_numpy()
    return np.take(kept, places)


def _two_turns(prompts: pa.Array, completions: pa.Array, *, kind: pa.StructType) -> pa.StructArray:
    """A turn of the user and one of the assistant for each row, alternating."""
    count = 2 * len(prompts)
    texts = pa.concat_arrays(
        [one_array(column).cast(pa.large_string()) for column in (prompts, completions)]
    ).cast(pa.string())
    order = pa.array(np.arange(count).reshape(2, -1).T.ravel())
    roles = pa.array(["user", "assistant"] * (count // 2), pa.string())
    made = {"role": roles, "content": texts.take(order)}
    columns = [
        made[field.name] if field.name in made else pa.nulls(count, field.type) for field in kind
    ]
    return pa.StructArray.from_arrays(columns, fields=list(kind))


def _with_call_objects(turns: pa.StructArray) -> pa.StructArray:
    """The same turns, each tool call as the JSON text of one object."""
    place = turns.type.get_field_index(CALLS)
    if place < 0:
        return turns
    kind = pa.list_(CALL)
    calls = [_calls(value) for value in turns.field(CALLS).to_pylist()]
    columns, fields = turns.flatten(), list(turns.type)
    columns[place] = pa.array(calls, kind)
    fields[place] = pa.field(CALLS, kind)
    return pa.StructArray.from_arrays(columns, fields=fields)


def _calls(value: Any) -> list[str] | None:
    """Calls as JSON texts. value: what a turn holds as its calls: objects, or their JSON."""
    found = _read(value)
    if found is None or found == []:
        return None
    return [_json(_call(call)) for call in (found if isinstance(found, list) else [found])]


def _call(call: Any) -> Any:
    """A call as templates want it: arguments as an object, not as its text."""
    call = _bare(_read(call))
    if isinstance(call, dict):
        if isinstance(function := call.get("function"), dict):
            call["function"] = _call(function)
        elif "arguments" in call:
            call["arguments"] = _read(call["arguments"])
    return call


def _bare(value: Any) -> Any:
    """Objects without the keys that say nothing: a table gives each the keys of all others."""
    if isinstance(value, dict):
        return {key: _bare(inner) for key, inner in value.items() if inner is not None}
    return [_bare(inner) for inner in value] if isinstance(value, list) else value


def _read(value: Any) -> Any:
    """A JSON text as what it says; anything else as it is."""
    if isinstance(value, str):
        with suppress(ValueError):
            return orjson.loads(value)
    return value


def _call_text(calls: Iterable[str]) -> str:
    """Calls as LLaMA-Factory reads them: a list of names and arguments."""
    made = []
    for call in map(orjson.loads, calls):
        function = call.get("function", call) if isinstance(call, dict) else {}
        name, arguments = function.get("name", ""), function.get("arguments", {})
        made.append({"name": name, "arguments": arguments})
    return _json(made)


def _json(value: Any) -> str:
    return orjson.dumps(value, default=str).decode()
