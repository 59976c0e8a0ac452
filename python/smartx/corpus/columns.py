"""Which column is what: prompt, response, conversation, and the task a row belongs to.

What the caller names is taken. The rest is guessed from the names that instruction sets use,
checked against the first rows of the file, and every guess comes with its reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from smartx.corpus.blocks import Sample
from smartx.corpus.sources import SourceFile
from smartx.errors import CorpusError

CONVERSATIONS = ("messages", "conversations", "conversation")
# (prompt, what is appended to it, response); the first pair that a file has is taken.
PAIRS: tuple[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]], ...] = (
    (("prompt",), (), ("completion", "response")),
    (("instruction",), ("input", "context"), ("output", "response")),
    (
        ("inputs", "query", "question", "input"),
        (),
        ("targets", "target", "response", "answer", "output"),
    ),
    (("source",), (), ("target", "targets")),  # elsewhere a source is where a row comes from
    (
        ("prompt", "instruction", "question", "problem"),
        (),
        ("output", "answer", "solution", "target", "targets"),
    ),
)
SYSTEMS = ("system", "system_prompt")
TASKS = ("task_name", "task")  # names that can only mean a task
CATEGORIES = ("dataset_source", "dataset", "source", "category", "subset", "domain", "topic")
SOURCES = ("task_source", "dataset_source", "dataset", "source")
TEMPLATES = ("template_type", "template", "template_name", "template_id", "template_idx")

NAME_LENGTH = 100  # characters; the names of tasks are shorter on average, texts are longer
_FEW = 20  # with fewer values than this, many different ones prove nothing


@dataclass(frozen=True)
class Columns:
    """The caller's word on which column is what. None: found by the rules of this file."""

    prompt: str | None = None
    response: str | None = None
    system: str | None = None
    messages: str | None = None
    source: str | None = None
    task: str | None = None
    template: str | None = None


_NOTHING_WANTED = Columns()


@dataclass(frozen=True)
class Layout:
    """Which column of a file is what. Either `messages` is set, or `prompt` and `response` are.

    extra: a column whose text is appended to the prompt (alpaca's `input`).
    why: reasons for guesses.
    """

    prompt: str | None = None
    extra: str | None = None
    response: str | None = None
    system: str | None = None
    messages: str | None = None
    source: str | None = None
    task: str | None = None
    template: str | None = None
    why: tuple[str, ...] = ()

    def columns(self) -> list[str]:
        """The columns to read, each once."""
        return list(dict.fromkeys(self.roles().values()))

    def roles(self) -> dict[str, str]:
        """Column by role, for those that are there."""
        found = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "why"}
        return {role: name for role, name in found.items() if name is not None}

    def words(self) -> str:
        """The layout in one line, for a person."""
        parts = [f'{role} "{name}"' for role, name in self.roles().items()]
        return ", ".join(parts) + "".join(f"; {reason}" for reason in self.why)


def find_layout(
    sample: Sample,
    wanted: Columns,
    source: SourceFile,
    *,
    one_task: bool = False,
    one_source: bool = False,
) -> Layout:
    """Decide which column is what.

    one_task, one_source: of every row, given from outside, so no such column is looked for.
    Raises CorpusError, with the columns found and the option to pass, where there is no answer.
    """
    for role in fields(wanted):
        name = getattr(wanted, role.name)
        if name is not None and name not in sample.names:
            raise CorpusError(
                source.path,
                0,
                f'there is no column "{name}" to be the {role.name}',
                fix=f"{_found(sample)}; pass `{role.name}_column` NAME",
            )
    texts = _text_columns(sample, wanted, source)
    system = wanted.system or _first(SYSTEMS, sample, _is_text, set(texts.values()))
    taken = {*texts.values(), system}
    why: list[str] = []
    task = wanted.task if one_task or wanted.task else _task_column(sample, taken, why)
    taken |= {task}
    names = SOURCES if task in TASKS or wanted.task or one_task else SOURCES[:1]
    return Layout(
        system=system,
        task=task,
        source=wanted.source
        or (None if one_source else _first(names, sample, _is_category, taken)),
        template=wanted.template or _first(TEMPLATES, sample, _is_name, taken),
        why=tuple(why),
        **texts,
    )


TEXTS = frozenset((*CONVERSATIONS, *(n for pair in PAIRS for part in pair for n in part), *SYSTEMS))
MEANINGS = TEXTS.union(TASKS, CATEGORIES, SOURCES, TEMPLATES)  # columns that may get a role


def other_layout(sample: Sample, usual: Layout, source: SourceFile) -> Layout | None:
    """How to read rows that lack what the usual layout of their file reads; None: not at all.

    Their task, source and template stay where the usual layout has them.
    """
    try:
        texts = _text_columns(sample, _NOTHING_WANTED, source)
    except CorpusError:
        return None
    system = _first(SYSTEMS, sample, _is_text, set(texts.values()))
    taken = {*texts.values(), system}
    names = {role: getattr(usual, role) for role in ("source", "task", "template")}
    kept = {role: name for role, name in names.items() if name not in taken}
    return Layout(**{**texts, **kept}, system=system)


def appended_column(sample: Sample, layout: Layout) -> str | None:
    """The column whose text belongs behind the prompt of this layout, where there is one."""
    for prompts, extras, responses in PAIRS:
        if layout.prompt in prompts and layout.response in responses:
            return _first(extras, sample, _is_text, {layout.prompt, layout.response})
    return None


def _text_columns(sample: Sample, wanted: Columns, source: SourceFile) -> dict[str, str]:
    if wanted.messages:
        return {"messages": wanted.messages}
    if not wanted.prompt and not wanted.response:
        messages = _first(CONVERSATIONS, sample, _is_turns, set())
        if messages:
            return {"messages": messages}
    for prompts, extras, responses in PAIRS:
        prompt = wanted.prompt or _first(prompts, sample, _is_text, {wanted.response})
        response = wanted.response or _first(responses, sample, _is_text, {prompt})
        if prompt and response:
            extra = None if wanted.prompt else _first(extras, sample, _is_text, {prompt, response})
            found = {"prompt": prompt, "response": response}
            return {**found, "extra": extra} if extra else found
    if wanted.prompt:
        response = _first([r for pair in PAIRS for r in pair[2]], sample, _is_text, {wanted.prompt})
        if response:
            return {"prompt": wanted.prompt, "response": response}
    missing = (
        "response" if wanted.prompt else "prompt" if wanted.response else "prompt and response"
    )
    raise CorpusError(
        source.path,
        0,
        f"no columns were recognised as {missing}",
        fix=f"{_found(sample)}; pass `prompt_column` NAME and `response_column` NAME, "
        "or `messages_column` NAME",
    )


def _task_column(sample: Sample, taken: set[str | None], why: list[str]) -> str | None:
    for name in (*TASKS, *CATEGORIES):
        if name in taken or name not in sample.names:
            continue
        if (_is_name if name in TASKS else _is_category)(sample.values[name]):
            return name
        why.append(
            f'"{name}" was not taken as the task (its values do not look like names of tasks)'
        )
    return None


def _first(names: Iterable[str], sample: Sample, fits: Any, taken: set[str | None]) -> str | None:
    present = (name for name in names if name in sample.names and name not in taken)
    return next((name for name in present if fits(sample.values[name])), None)


def _is_text(values: Sequence[Any]) -> bool:
    """Whether any cell is text or a list of turns; a column of nulls has the benefit of doubt."""
    present = [value for value in values if value is not None]
    return (
        not present
        or any(isinstance(value, (str, bytes)) for value in present)
        or _is_turns(present)
    )


def _is_turns(values: Sequence[Any]) -> bool:
    present = [value for value in values if value is not None]
    return any(
        isinstance(value, list) and bool(value) and all(isinstance(turn, dict) for turn in value)
        for value in present
    )


def _is_name(values: Sequence[Any]) -> bool:
    """Whether most cells are short enough to be names, or numbers."""
    present = [value for value in values if value is not None]
    names = [str(value) for value in present if not isinstance(value, (list, dict))]
    if 2 * len(names) < len(present):
        return False
    return sum(map(len, names)) <= NAME_LENGTH * len(names)


def _is_category(values: Sequence[Any]) -> bool:
    """Whether the cells are names that come back; ids and texts differ from row to row."""
    present = [value for value in values if value is not None]
    if not present or not _is_name(present):
        return False
    return len(present) < _FEW or 2 * len(set(map(str, present))) <= len(present)


def _found(sample: Sample) -> str:
    if not sample.names:
        return "it has no columns (is it empty?)"
    listed = ", ".join(f'"{name}"' for name in sample.names[:40])
    more = len(sample.names) - 40
    return f"the columns found are {listed}" + (f" and {more} more" if more > 0 else "")
