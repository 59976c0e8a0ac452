"""Lines and tables for people; console.py prints them. Names out of anybody's files are cleaned."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from smartx.errors import plain
from smartx.progress import counted, duration, size

if TYPE_CHECKING:
    from smartx.planning import Plan

_MORE_WORDS = 6  # that are shown of a found task beside its name


def line(text: str, style: str = "") -> Text:
    """One or more lines to print."""
    return Text(plain(text), style=style)


def flag(field: str, own: Collection[str] = ()) -> str:
    """The flag of a field; SOURCES for the sources, nothing for what is no field.

    own: names of options that the command has besides.
    """
    from smartx.config import RunConfig  # heavy, and --help of all commands needs none of it

    if field == "sources":
        return "SOURCES"
    known = field in RunConfig.model_fields or field in own
    return f"--{field.replace('_', '-')}" if known else ""


def in_flags(text: str, own: Collection[str] = ()) -> str:
    """A text with the fields, and options of `own`, that it names in backquotes as flags."""
    return re.sub("`([a-z_]+)`", lambda found: flag(found[1], own) or found[0], text)


def told(text: str, style: str = "") -> Text:
    """What the library says, with the fields that it names as flags."""
    return line(in_flags(text), style)


def table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """The first column is words, cut where they are long; the others stand to the right."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for place, name in enumerate(names):
        made.add_column(
            name,
            justify="right" if place else "left",
            overflow="ellipsis",
            no_wrap=True,
            max_width=None if place else 60,
        )
    for row in rows:
        made.add_row(*(escape(plain(cell).replace("\n", " ")) for cell in row))
    return made


def tasks_table(tasks: Sequence[Mapping[str, Any]]) -> Table:
    """Found tasks: names whole, words and prompts as far as the terminal is wide."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    widest = max((len(task["name"]) for task in tasks), default=0)
    digits = max((len(f"{task['rows']:,}") for task in tasks), default=0)
    made.add_column("task", no_wrap=True, min_width=widest)
    made.add_column("rows", no_wrap=True, justify="right", min_width=max(4, digits))
    made.add_column("more words", no_wrap=True, overflow="ellipsis", ratio=2)
    made.add_column("a typical prompt", no_wrap=True, overflow="ellipsis", ratio=3)
    for task in tasks:
        named = task["name"].split("-")
        words = " ".join([word for word in task["words"] if word not in named][:_MORE_WORDS])
        prompt = " ".join(task["typical_prompt"].split())
        cells = (task["name"], f"{task['rows']:,}", words, prompt)
        made.add_row(*(escape(plain(cell)) for cell in cells))
    return made


def plan_tables(plan: Plan) -> Iterator[Table | Text]:
    """A plan as a person reads it: the corpus, its groups by size, and what each stage takes."""
    assumed = "" if plan.dimensions_known else " (assumed: the encoder is not here)"
    devices = f", embedding on {plan.devices} devices" if plan.devices > 1 else ""
    sizes = ", ".join(
        counted(number, one)
        for number, one in (
            (plan.rows, "row"),
            (plan.tasks, "task"),
            (plan.groups, "group"),
            (plan.dimensions, "dimension"),
        )
    )
    yield line(f"{sizes}{assumed}, {counted(plan.threads, 'thread')}{devices}")
    if plan.classes:
        yield table(
            ("groups up to", "groups", "rows", "engine", "time"),
            (
                (f"{c.largest:,}", f"{c.groups:,}", f"{c.rows:,}", c.engine, duration(c.seconds))
                for c in plan.classes
            ),
        )
    yield table(
        ("largest groups", "rows"),
        ((" ".join(name), f"{rows:,}") for *name, rows in plan.largest),
    )
    yield table(
        ("stage", "time", "memory", "disk"),
        (
            (
                stage.name,
                stage.time().removeprefix("about "),
                size(stage.memory),
                size(stage.disk),
            )
            for stage in plan.stages
        ),
    )
    if plan.ways:
        yield table(
            ("encoder", "time", "lost"),
            ((way.name, duration(way.seconds), way.loss) for way in plan.ways),
        )
    yield from (line(f"{stage.name}: {stage.how}") for stage in plan.stages if stage.how)
    yield line(f"{size(plan.memory)} of memory may be used")
