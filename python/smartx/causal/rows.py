"""Rows of a corpus as the tokens that a causal model reads: what was asked, then the response."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from smartx.causal.model import CausalModel
from smartx.corpus import Corpus
from smartx.errors import InputError

MAX_LENGTH = 1_024  # tokens of a row that are read, where nothing is said
_ANSWER, _CALLS = "assistant", "tool_calls"
Turn = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """What a row says.

    turns: before the answer, each with role and content (and tool_calls).
    prompt: all of them as one text.  response: the answer.
    """

    turns: tuple[Turn, ...]
    prompt: str
    response: str


@dataclass(frozen=True, slots=True)
class Tokens:
    """A row as a model reads it.

    ids: all of them; ids[response_from:] are those of the response, with what ends it.
    response_from: at least 1: something stands before, so that every token has a loss.
    cut: whether the row was too long and tokens were left out.
    """

    ids: tuple[int, ...]
    response_from: int
    cut: bool = False

    def __len__(self) -> int:
        return len(self.ids)


def rows_of(corpus: Corpus, start: int, stop: int) -> list[Row]:
    """Rows start..stop-1 of a corpus."""
    found: list[Row] = []
    columns = ("prompt", "response", "messages")
    for table in corpus.rising(np.arange(start, stop, dtype=np.int64), columns):
        cells = (table[name].to_pylist() for name in columns)
        for prompt, response, messages in zip(*cells, strict=True):
            found.append(Row(_turns(prompt, messages), prompt, response))
    return found


def tokens_of(
    model: CausalModel,
    rows: Sequence[Row],
    max_length: int | None = None,
    *,
    with_prompt: bool = True,
) -> list[Tokens]:
    """Each row as tokens, by the chat template of the model where it has one.

    Prompt and response are tokenized apart, so that no token spans both. With a template the
    response ends with what ends a turn there; without one the prompt, the response and the
    tokenizer's end follow each other as they are, behind its beginning.
    max_length: of a longer row the beginning of the prompt is left out until half of `max_length`
    is left to it, then the end of the response. None: MAX_LENGTH, or what the model was made for.
    with_prompt: no: just what stands before an answer, then the response.
    Raises InputError where `max_length` is above what the model was made for.
    """
    max_length = min(MAX_LENGTH, model.positions) if max_length is None else max_length
    if not 2 <= max_length <= model.positions:
        raise InputError(
            f"{max_length:,} tokens were asked for, and the model reads 2 to {model.positions:,}",
            place="max_length",
            fix=f"pass `max_length` {min(MAX_LENGTH, model.positions)}",
        )
    texts = [_texts(model, row, with_prompt) for row in rows]
    before = _ids(model, [text for text, _ in texts])
    after = _ids(model, [text for _, text in texts])
    opening = [] if model.tokenizer.chat_template else _opening(model)
    return [_fitted([*opening, *a], b, max_length) for a, b in zip(before, after, strict=True)]


def chat_tokens(
    model: CausalModel, texts: Sequence[str], max_length: int, *, before: str, after: str
) -> list[Tokens]:
    """Each text between two others as the turn of a user, up to where the model answers.

    Of a long text the end is left out; `before` and `after` stay whole. There is no response:
    response_from is the length. Raises InputError where `max_length` leaves no room for a text.
    """
    head, tail = before, after
    if model.tokenizer.chat_template:
        mark = "\x00"
        asked = [{"role": "user", "content": f"{before}{mark}{after}"}]
        head, _, tail = _rendered(model, asked, True).partition(mark)
    first, last = _ids(model, [head, tail])
    opening = [] if model.tokenizer.chat_template else _opening(model)
    room = max_length - len(opening) - len(first) - len(last)
    if room < 1:
        raise InputError(
            f"what is asked takes {max_length - room:,} tokens without the row, and {max_length:,} "
            "may be read",
            place="max_length",
            fix=f"pass `max_length` {max_length - room + MAX_LENGTH // 2}",
        )
    found = []
    for own in _ids(model, texts):
        ids = (*opening, *first, *own[:room], *last)
        found.append(Tokens(ids, len(ids), len(own) > room))
    return found


def _turns(prompt: str, messages: Sequence[Mapping[str, Any]] | None) -> tuple[Turn, ...]:
    """The turns before the last answer; of what is no conversation one of the user."""
    roles = [turn["role"] for turn in messages or ()]
    if not messages or _ANSWER not in roles:
        return ({"role": "user", "content": prompt},)
    last = len(roles) - 1 - roles[::-1].index(_ANSWER)
    return tuple(map(_turn, messages[:last])) or ({"role": "user", "content": prompt},)


def _turn(turn: Mapping[str, Any]) -> Turn:
    extra = orjson.loads(turn["extra"]) if turn.get("extra") else {}
    calls = {_CALLS: extra[_CALLS]} if isinstance(extra, dict) and _CALLS in extra else {}
    return {"role": turn["role"], "content": turn["content"] or "", **calls}


def _texts(model: CausalModel, row: Row, with_prompt: bool) -> tuple[str, str]:
    """(what stands before the response, the response with its end)."""
    tokenizer = model.tokenizer
    end = tokenizer.eos_token or ""
    if not tokenizer.chat_template:
        return (row.prompt if with_prompt else ""), row.response + end
    before, turns = _before(model, row)
    whole = _rendered(model, [*turns, {"role": _ANSWER, "content": row.response}], False)
    after = whole[len(before) :] if whole.startswith(before) else row.response + end
    if end and end in after:
        after = after[: after.rfind(end) + len(end)]
    if with_prompt:
        return before, after
    asked = _rendered(model, turns, False)
    header = before[len(asked) :] if before.startswith(asked) else ""
    return header or end, after


def _before(model: CausalModel, row: Row) -> tuple[str, Sequence[Turn]]:
    """The turns as text, and the turns: where the template refuses them, one of the user."""
    try:
        return _rendered(model, row.turns, True), row.turns
    except Exception:  # templates raise what they like: roles in an odd order, calls of tools
        turns = ({"role": "user", "content": row.prompt},)
        return _rendered(model, turns, True), turns


def _rendered(model: CausalModel, turns: Sequence[Turn], answers: bool) -> str:
    return str(
        model.tokenizer.apply_chat_template(
            [dict(turn) for turn in turns], tokenize=False, add_generation_prompt=answers
        )
    )


def _ids(model: CausalModel, texts: Sequence[str]) -> list[list[int]]:
    if not texts:
        return []
    found: list[list[int]] = model.tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    return found


def _opening(model: CausalModel) -> list[int]:
    """A token to begin with, so that the first token of a response without a prompt has a loss."""
    tokenizer = model.tokenizer
    first = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    return [0 if first is None else int(first)]


def _fitted(before: list[int], after: list[int], most: int) -> Tokens:
    """Both within `most` tokens, at least one before the response."""
    before = before or [after[0] if after else 0]
    after = after or [before[-1]]
    room = max(most - len(after), min(len(before), most // 2))
    kept = before[max(0, len(before) - room) :]
    response = after[: most - len(kept)]
    cut = len(kept) + len(response) < len(before) + len(after)
    return Tokens((*kept, *response), len(kept), cut)
