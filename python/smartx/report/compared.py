"""What `smartx compare` found, as a report shows it beside its mixture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from smartx.errors import InputError
from smartx.mixture.names import shown
from smartx.progress import counted

HEADS = (
    ("nearer", "1,000 × (mean cosine of rows of held-out tasks with the nearest chosen row, less "
     "that of random rows): above 0 the chosen rows stand for unseen tasks better than chance"),
    ("better", "held-out tasks to which the strategy is nearer than random rows are"),
    ("copied", "part of the short responses of held-out templates that the nearest chosen row has"),
    ("probe", "macro F1 of a linear map from rows to tasks, on held-out templates"),
    ("twins", "rows with a cosine above 0.95 to one in another template of their task"),
    ("spread", "over how many equally large tasks rows would be spread as evenly (effective number "
     "of tasks)"),
    ("tokens", "of all prompts and responses together"),
)  # fmt: skip


@dataclass(frozen=True)
class Mark:
    """A strategy on the axis of differences to random choices; places as parts of 1.

    own: whether the report's mixture was made by it.
    """

    short: str
    at: float
    low: float | None
    high: float | None
    words: str
    own: bool


@dataclass(frozen=True)
class Line:
    """A strategy and its cells, one under each of HEADS. own: as in `Mark`."""

    name: str
    cells: tuple[str, ...]
    own: bool


@dataclass(frozen=True)
class Compared:
    """A picture and a table, the nearest first.

    zero: where random choices lie.  warnings: why it may not apply to the mixture.
    """

    said: str
    warnings: list[str]
    marks: list[Mark]
    zero: float
    lines: list[Line]
    heads: tuple[tuple[str, str], ...] = HEADS


def compared(facts: dict[str, Any], place: str, mixture: dict[str, Any]) -> Compared:
    """From the JSON of `smartx compare --json`. place: where it stands, for messages.

    mixture: the manifest's facts of the mixture that the report is of.
    Raises InputError where it is something else.
    """
    try:
        strategies = sorted(facts["strategies"], key=_nearness)
        own = [_made(one) == _made(mixture) for one in strategies]
        lines = [_line(one, mine) for one, mine in zip(strategies, own, strict=True)]
        marks, zero = _marks(strategies, own)
        said, warnings = _said(facts, len(strategies)), _warnings(facts, mixture)
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        raise InputError(
            f"it is not a comparison of smartx ({type(problem).__name__}: {problem})",
            place=place,
            fix="make one with `smartx compare --json`",
        ) from None
    return Compared(said, warnings, marks, zero, lines)


def _made(facts: dict[str, Any]) -> tuple[Any, ...]:
    """What tells one strategy from another, of a manifest or of a comparison."""
    ranker, near = facts["ranker"], facts["near_duplicates"]
    if not near:
        return facts["weights"], ranker
    within = near.get("within") or ranker.get("per", "template")  # those that are ranked together
    return facts["weights"], ranker, near.get("threshold", near.get("cosine")), within


def _nearness(one: dict[str, Any]) -> float:
    unseen = one["unseen_tasks"]
    return -float(unseen["delta"]) if unseen else 0.0


def _said(facts: dict[str, Any], count: int) -> str:
    of = "one strategy" if count == 1 else f"{count:,} strategies"
    return (
        f"What {of} would choose, {counted(int(facts['rows']), 'row')} each. Nothing was trained: "
        "these numbers say what a choice is like, not how well a model learns from it."
    )


def _warnings(facts: dict[str, Any], mixture: dict[str, Any]) -> list[str]:
    found = []
    if facts["inputs"]["corpus"] != mixture["inputs"]["corpus"]:
        found.append("The comparison is of another corpus than this mixture.")
    if facts["rows"] != mixture["rows"]:
        found.append(
            f"The comparison is of {facts['rows']:,} rows; this mixture has {mixture['rows']:,}."
        )
    return found


def _marks(strategies: list[dict[str, Any]], own: list[bool]) -> tuple[list[Mark], float]:
    known = [
        (one, one["unseen_tasks"], mine)
        for one, mine in zip(strategies, own, strict=True)
        if one["unseen_tasks"]
    ]
    ends = [0.0]
    for _, unseen, _ in known:
        ends += [float(end) for end in (unseen["delta"], *(unseen["interval"] or ()))]
    low, span = min(ends), (max(ends) - min(ends)) or 1.0

    def at(value: float) -> float:
        return (float(value) - low) / span

    marks = [
        Mark(
            shown(str(one["name"]), 34),
            at(unseen["delta"]),
            at(unseen["interval"][0]) if unseen["interval"] else None,
            at(unseen["interval"][1]) if unseen["interval"] else None,
            f"{shown(str(one['name']), 120)}: {1000 * unseen['delta']:+.1f}",
            mine,
        )
        for one, unseen, mine in known
    ]
    return marks, at(0.0)


def _line(one: dict[str, Any], own: bool) -> Line:
    unseen, shares = one["unseen_tasks"] or {}, one["shares"]
    nearer = unseen.get("delta")
    cells = (
        _number(None if nearer is None else 1000 * nearer, "{:+.1f}"),
        f"{unseen['better']} of {unseen['of']}" if unseen else "–",
        _number((one["copied"] or {}).get("value"), "{:.3f}"),
        _number((one["probe"] or {}).get("value"), "{:.3f}"),
        _number(one["twins"]["other_template"], "{:.1%}"),
        _number(shares["effective_tasks"] if shares else None, "{:.1f}"),
        _number(one["tokens"]["total"], "{:,}"),
    )
    return Line(shown(str(one["name"]), 80), cells, own)


def _number(value: Any, form: str) -> str:
    return "–" if value is None else form.format(value)
