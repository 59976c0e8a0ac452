"""What the page's own script shows: columns of tasks, maps, rows to look at, as one JSON text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from smartx.mixture.names import shown
from smartx.report.examples import Example
from smartx.report.lengths import Lengths
from smartx.report.points import Maps, packed
from smartx.report.walk import Walk
from smartx.report.words import equal_rows

TEMPLATES = 12  # of a task that are named


def explorer(
    facts: dict[str, Any],
    order: Sequence[int],
    *,
    maps: Maps | None = None,
    found: Walk | None = None,
    rows: Sequence[Sequence[Example]] | None = None,
    lengths: Lengths | None = None,
) -> dict[str, Any]:
    """Columns by name, a value a task; `gain` is None where no weights are by gains.

    order: places in facts["tasks"] of the tasks that the page has, in the order in which it has
    them. The others are of the same corpus.
    """
    tasks = [facts["tasks"][place] for place in order]
    equal = equal_rows(facts["rows"], [task["capacity"] for task in facts["tasks"]])
    gains = [_short(task["gain"]) for task in tasks]
    columns: dict[str, Any] = {
        "name": [shown(task["task"], 120) for task in tasks],
        "source": [shown(task["source"], 60) for task in tasks],
        "rows": [task["rows"] for task in tasks],
        "capacity": [task["capacity"] for task in tasks],
        "equal": [round(equal[place], 2) for place in order],
        "asked": [task["asked"] for task in tasks],
        "gain": gains if any(gain is not None for gain in gains) else None,
        "near": [task["near_duplicates"] for task in tasks],
        "out": [task.get("left_out", 0) for task in tasks],
        "cut": [task.get("cut", 0) for task in tasks],
        "shared": [task.get("shared", 0) for task in tasks],
        "templates": _templates(facts, order),
    }
    if found is not None and facts.get("value"):
        columns["held"] = [
            round(float(found.held[place] / found.whole[place]), 4) if found.whole[place] else None
            for place in order
        ]
    if lengths is not None:
        columns["tokens"] = [int(lengths.tasks[place].sum()) for place in order]
    if maps is not None:
        columns["at"] = packed(maps.tasks[list(order)])
        columns["points"] = [packed(maps.rows[place].places) for place in order]
        columns["picked"] = [len(maps.rows[place].picked) for place in order]
    if rows is not None:
        gains_known = bool(facts.get("value"))
        columns["examples"] = [
            [_example(one, gains_known) for one in rows[place]] for place in order
        ]
    return {
        "total": facts["rows"],
        "held": sum(task["capacity"] for task in facts["tasks"]),
        "unit": "tokens" if "tokens" in (facts.get("budget") or {}) else "rows",
        "tasks": columns,
    }


def script_json(content: dict[str, Any]) -> str:
    """JSON that may stand inside <script>: nothing in it ends the element or begins a comment."""
    text = orjson.dumps(content).decode()
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def _example(one: Example, gains_known: bool) -> list[Any]:
    gain = _short(one.gain) if gains_known else None
    return [one.kind, one.rank, gain, one.prompt, one.response, one.cosine]


def _short(value: float | None) -> float | None:
    return None if value is None or value != value else float(f"{value:.5g}")


def _templates(facts: dict[str, Any], order: Sequence[int]) -> list[list[list[Any]]]:
    """Name, rows in the mixture and in the corpus of the largest templates of each task."""
    of_task: list[list[list[Any]]] = [[] for _ in facts["tasks"]]
    for group in facts["groups"]:
        line = [shown(group["template"]), group["rows"], group["capacity"]]
        of_task[group["task"]].append(line)
    for lines in of_task:
        lines.sort(key=lambda line: (-line[1], -line[2], line[0]))
    return [of_task[place][:TEMPLATES] for place in order]
