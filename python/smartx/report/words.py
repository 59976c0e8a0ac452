"""A mixture in a sentence, and what its reader should look at first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from smartx.mixture.facts import budget_line
from smartx.mixture.names import shown
from smartx.progress import counted
from smartx.weights import effective

CHANGED = 3.0  # times its proportional share: what a reader should know of


def equal_rows(total: int, capacities: Sequence[int]) -> list[float]:
    """What each task would get if all got the same; what a small one lacks goes to the others."""
    given, left = [0.0] * len(capacities), float(min(total, sum(capacities)))
    order = sorted(range(len(capacities)), key=lambda task: capacities[task])
    for place, task in enumerate(order):
        given[task] = min(float(capacities[task]), left / (len(order) - place))
        left -= given[task]
    return given


def spread(rows: Sequence[int]) -> float:
    """Over how many equally large tasks rows would be spread as evenly; 0 where there are none."""
    given = np.array([count for count in rows if count], dtype=np.float64)
    return effective(given) if len(given) else 0.0


def moved(rows: Sequence[int], others: Sequence[float]) -> float:
    """Which part of the rows other shares would give to other tasks (total variation)."""
    total, theirs = max(1, sum(rows)), sum(others) or 1.0
    return sum(abs(a / total - b / theirs) for a, b in zip(rows, others, strict=True)) / 2


def percent(part: float) -> str:
    """12 %, 1.2 %, 0.12 %: two digits that count, and a space that no line ends at."""
    value = 100 * part
    digits = 0 if value >= 10 or value == 0 else 1 if value >= 1 else 2
    return f"{value:.{digits}f}\N{NO-BREAK SPACE}%"


def sentences(facts: dict[str, Any]) -> list[str]:
    """What the mixture is, and how it differs from the two usual ones."""
    tasks, total = facts["tasks"], facts["rows"]
    rows = [task["rows"] for task in tasks]
    held = sum(task["capacity"] for task in tasks)
    given = sum(1 for count in rows if count)
    made = facts["weights"]["name"], facts["ranker"]["name"]
    by = f"the preset {facts['preset']}" if facts["preset"] else " / ".join(made)
    said = [
        f"{counted(total, 'row')} of {held:,} ({percent(total / max(1, held))}), of "
        f"{given:,} of {counted(len(tasks), 'task')}, chosen by {shown(by)}."
    ]
    if asked := budget_line(facts):
        said.append(f"Asked for: {shown(asked, 400)}.")
    if given > 1:
        largest = max(tasks, key=lambda task: int(task["rows"]))
        said.append(
            f"They are spread as evenly as over {spread(rows):,.1f} equally large tasks; the "
            f"largest, {shown(largest['task'], 60)}, has {percent(largest['rows'] / total)} of "
            "them."
        )
        proportional = [float(task["capacity"]) for task in tasks]
        equal = equal_rows(total, [task["capacity"] for task in tasks])
        said.append(
            "Mixing in proportion to the tasks' sizes would put "
            f"{percent(moved(rows, proportional))} of the rows elsewhere, "
            f"equal mixing {percent(moved(rows, equal))}."
        )
    return said


def alerts(facts: dict[str, Any]) -> list[str]:
    """What is unusual, most serious first. Tasks whose order says nothing have their own box."""
    tasks, total = facts["tasks"], facts["rows"]
    held = sum(task["capacity"] for task in tasks)
    found: list[str] = []
    if len(tasks) == 1:
        found.append(
            "All rows are of one task, so that the weights had nothing to share out: name a column "
            "of tasks, or have them found with `tasks`."
        )
    none = [task for task in tasks if not task["rows"]]
    if none:
        largest = max(none, key=lambda task: int(task["capacity"]))
        found.append(
            f"{counted(len(none), 'task')} got no row; the largest of them, "
            f"{shown(largest['task'], 60)}, has {largest['capacity']:,}."
        )
    changed = _changed(tasks, total, held)
    if changed:
        found.append(
            f"{counted(len(changed), 'task')} got more than {CHANGED:.0f} times, or less than a "
            f"third of, their proportional share."
        )
    used = [task for task in tasks if task["rows"] and task["rows"] >= _there(task)]
    if used and total < held:
        found.append(
            f"{counted(len(used), 'task')} are used up: every row that may be taken is in the "
            "mixture, and more budget goes to the others."
        )
    cut = sum(task.get("cut", 0) for task in tasks)
    if cut > held / 100:
        found.append(
            f"{percent(cut / held)} of the rows are longer than what the encoder reads; what is "
            "behind that decided nothing."
        )
    if dropped := sum(facts["corpus_rows"].get("dropped", {}).values()):
        found.append(f"{counted(int(dropped), 'row')} of the sources could not be used.")
    return found


def _there(task: dict[str, Any]) -> int:
    return int(task["capacity"] - task["near_duplicates"] - task.get("left_out", 0))


def _changed(tasks: list[dict[str, Any]], total: int, held: int) -> list[dict[str, Any]]:
    return [
        task
        for task in tasks
        if task["rows"]
        and not 1 / CHANGED
        <= (task["rows"] / max(1, total)) / (task["capacity"] / max(1, held))
        <= CHANGED
    ]
