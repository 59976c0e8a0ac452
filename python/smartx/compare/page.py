"""A comparison as one HTML file that works offline, with pictures: no scripts, nothing loaded.

What is drawn is worked out here; the template places it. All names are shown as text.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Template
from markupsafe import Markup

from smartx.compare.table import COLUMNS, Line, lines
from smartx.mixture.names import shown
from smartx.report.frame import environment, policy
from smartx.report.scales import Ticks, even_ticks

SHOWN_TASKS = 60  # in the picture of shares, the largest


@dataclass(frozen=True)
class Mark:
    """A strategy on an axis or in a field: its number, name and place; low and high: its interval.

    All places are parts of 1.  words: what it says.
    """

    number: int
    name: str
    words: str
    x: float
    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Field:
    """Marks and what stands at the axes. zero: where no difference to chance lies, on x."""

    marks: list[Mark]
    x_ticks: Ticks
    y_ticks: Ticks
    zero: float = 0.0
    chance: Mark | None = None


@dataclass(frozen=True)
class Cell:
    """A square of a heat map: how dark it is, as a part of 1, and what it says."""

    shade: float
    words: str


def page(facts: dict[str, Any]) -> str:
    """The page of the facts of `compare`."""
    css = _style()
    return _template().render(
        facts=facts,
        columns=COLUMNS,
        lines=[_clean(line) for line in lines(facts)],
        failed=[(shown(one["name"], 80), _fault(one["fault"])) for one in facts["failed"]],
        css=Markup(css),
        policy=policy(css),
        unseen=_unseen(facts),
        field=_twins_and_templates(facts),
        overlap=_overlap(facts),
        shares=_shares(facts),
    )


def _fault(text: str) -> str:
    fault, _, fix = text.partition("\n  fix: ")
    return shown(fault, 300) + (f"; fix: {shown(fix, 300)}" if fix else "")


def _clean(line: Line) -> Line:
    return replace(line, name=shown(line.name, 80))


def _unseen(facts: dict[str, Any]) -> Field | None:
    """How much nearer than chance each strategy is to held-out tasks, with intervals."""
    known = [(i, s, s["unseen_tasks"]) for i, s in enumerate(facts["strategies"], 1)]
    if not all(unseen for _, _, unseen in known):
        return None
    ends = [end for _, _, unseen in known for end in (unseen["delta"], *(unseen["interval"] or ()))]
    low, high = _widened(min(0.0, *ends), max(0.0, *ends))

    def at(value: float) -> float:
        return (value - low) / (high - low)

    marks = [
        Mark(
            number,
            shown(one["name"], 60),
            _nearer(one["name"], unseen),
            at(unseen["delta"]),
            (number - 0.5) / len(known),
            *(map(at, unseen["interval"]) if unseen["interval"] else (None, None)),
        )
        for number, one, unseen in known
    ]
    return Field(marks, even_ticks(low, high, times=1000, sign="+"), [], at(0.0))


def _twins_and_templates(facts: dict[str, Any]) -> Field | None:
    """Rows with a twin in another template, and how near to held-out templates a strategy is."""
    usual = facts["chance"]["unseen_templates"]
    if usual is None:
        return None
    points = [
        (one["twins"]["other_template"], one["unseen_templates"]["mean"])
        for one in facts["strategies"]
    ]
    by_chance = (facts["chance"]["twins"]["other_template"], usual["mean"])
    x_low, x_high = 0.0, 1.05 * max(0.01, *(x for x, _ in [*points, by_chance]))
    ys = [y for _, y in [*points, by_chance]]
    y_low, y_high = _widened(min(ys), max(ys))

    def at(x: float, y: float) -> tuple[float, float]:
        return (x - x_low) / (x_high - x_low), (y - y_low) / (y_high - y_low)

    marks = [
        Mark(number, shown(one["name"], 60), _between(one["name"], *point), *at(*point))
        for number, (one, point) in enumerate(zip(facts["strategies"], points, strict=True), 1)
    ]
    return Field(
        marks,
        even_ticks(x_low, x_high, times=100, after=" %"),
        even_ticks(y_low, y_high),
        chance=Mark(0, "", _between("random rows", *by_chance), *at(*by_chance)),
    )


def _nearer(name: str, unseen: dict[str, Any]) -> str:
    text = f"{shown(name, 80)}: {1000 * unseen['delta']:+.1f}"
    if ends := unseen["interval"]:
        text += f" ({1000 * ends[0]:+.1f} to {1000 * ends[1]:+.1f})"
    return text


def _between(name: str, twins: float, cosine: float) -> str:
    return f"{shown(name, 80)}: {twins:.1%} twins, cosine {cosine:.4f}"


def _overlap(facts: dict[str, Any]) -> list[list[Cell]]:
    names = [shown(one["name"], 60) for one in facts["strategies"]]
    return [
        [
            Cell(part, f"{names[a]} and {names[b]}: {part:.0%} of the rows in either are in both")
            for b, part in enumerate(row)
        ]
        for a, row in enumerate(facts["overlap"])
    ]


def _shares(facts: dict[str, Any]) -> tuple[list[str], list[list[Cell]]]:
    """The largest tasks by name, and how much of each mixture is of each of them."""
    tasks = facts["tasks"]
    largest = sorted(range(len(tasks)), key=lambda task: (-tasks[task]["rows"], task))[:SHOWN_TASKS]
    names = [shown(tasks[task]["task"], 60) for task in largest]
    rows = max(1, facts["rows"])
    given = [[one["rows_by_task"][task] / rows for task in largest] for one in facts["strategies"]]
    most = max((part for row in given for part in row), default=0.0) or 1.0
    cells = [
        [
            Cell((part / most) ** 0.5, f"{shown(one['name'], 60)}: {part:.1%} of {name}")
            for part, name in zip(row, names, strict=True)
        ]
        for one, row in zip(facts["strategies"], given, strict=True)
    ]
    return names, cells


def _widened(low: float, high: float) -> tuple[float, float]:
    more = 0.06 * (high - low) or 0.01
    return low - more, high + more


@cache
def _style() -> str:
    return (Path(__file__).parent / "templates" / "compare.css").read_text(encoding="utf-8")


@cache
def _template() -> Template:
    return environment("smartx.compare").get_template("compare.html.j2")
