"""Rows of any layout become prompt, response, turns, source, task, template, or a reason why not.

Text columns stay in Arrow from end to end; conversations are taken turn by turn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from smartx.corpus.blocks import Block, Drop, RowCells
from smartx.corpus.columns import Layout
from smartx.corpus.extra import TOO_DEEP, Kinds, TooDeepError, json_bytes
from smartx.corpus.turns import (
    JOIN,
    TEXT,
    TURNS,
    Turn,
    UnusableError,
    is_conversation,
    question_and_answer,
    text_of,
    turns_of_row,
)


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
            turns = turns_of_row(row, layout)
            prompts[index], responses[index] = question_and_answer(turns)
            texts = [json_bytes(turn["extra"]) for turn in turns]
        except UnusableError as problem:
            drops.setdefault(index, problem.drop)
            continue
        except TooDeepError:
            drops.setdefault(index, Drop(TOO_DEEP, "in a turn"))
            continue
        if is_conversation(row):
            extras += [turn["extra"] for turn in turns if turn["extra"]]
            conversations[index] = [
                {**turn, "extra": text} for turn, text in zip(turns, texts, strict=True)
            ]
    turn_kinds.see_all(extras)
    return pa.array(prompts, TEXT), pa.array(responses, TEXT), pa.array(conversations, TURNS)


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
                text = text_of(value, role)
            except UnusableError as problem:
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
