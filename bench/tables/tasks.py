"""What it costs to rank whole tasks with their templates balanced, not each template by itself."""

from __future__ import annotations

from case import Case, Row

from smartx.engine import FacilityLocation, engine_of
from tables import FUNCTIONS, markdown, megabytes

TITLE = "Tasks with balanced templates"
TIMES = 3.0  # as long as the ranking of templates, at most
MEMORY = 8 << 30
# Tasks above so many rows and up to so many; how many of the class are ranked.
CLASSES = ((0, 4_096, 24), (4_096, 11_584, 24), (11_584, 23_170, 6), (23_170, 46_336, 4),
           (46_336, 1 << 31, 3))  # fmt: skip


def cases(quick: bool) -> list[Case]:
    classes = CLASSES[:2] if quick else CLASSES
    return [
        Case(
            "tasks",
            "smartx",
            "rank_tasks.py",
            {"function": function, "low": low, "high": high, "count": 2 if quick else count,
             "d": 384},
        )
        for function in (["fl"] if quick else FUNCTIONS)
        for low, high, count in classes
        if function == "fl" or high <= 11_584
    ]  # fmt: skip


def check(rows: list[Row]) -> list[str]:
    faults = []
    for function in FUNCTIONS:
        own = [row for row in _measured(rows) if row["arguments"]["function"] == function]
        template, task = (sum(_of_class(row)[way] for row in own) for way in (0, 1))
        if own and task > TIMES * template:
            faults.append(f"{FUNCTIONS[function]}: {task / template:.2f} times the time")
        memory = max((row["result"]["runs"][1]["memory"] for row in own), default=0)
        if memory > MEMORY:
            faults.append(f"{FUNCTIONS[function]}: {megabytes(memory)} at its peak")
    return faults


def lines(rows: list[Row]) -> list[str]:
    body = []
    for function in FUNCTIONS:
        own = [row for row in _measured(rows) if row["arguments"]["function"] == function]
        for row in own:
            body.append(_line(row))
        if len(own) > 1:
            template, task = (sum(_of_class(row)[way] for row in own) for way in (0, 1))
            body.append(
                [FUNCTIONS[function], "all of these", "", "", "", f"{template:,.0f} s",
                 f"{task:,.0f} s", f"{task / template:.2f}", ""]
            )  # fmt: skip
    return [
        "Tasks of the shape of FLAN 2022 (17.6 million rows, made-up vectors), d = 384, one core.",
        "Some of each class are ranked; the CPU time is that of the class, by its pairs of rows.",
        "",
        *markdown(
            ["function", "rows of a task", "tasks", "ranked", "engine", "CPU, each template",
             "CPU, whole tasks, balanced", "times", "memory"],
            body,
        ),
    ]  # fmt: skip


def _measured(rows: list[Row]) -> list[Row]:
    return [row for row in rows if "result" in row]


def _of_class(row: Row) -> tuple[float, float]:
    """CPU seconds of the whole class: each template by itself, and balanced."""
    result = row["result"]
    sampled = result["sampled"]["pairs"]
    template, task = (run["cpu"] for run in result["runs"])
    return (
        template * result["pairs"]["template"] / sampled["template"],
        task * result["pairs"]["task"] / sampled["task"],
    )


def _line(row: Row) -> list[str]:
    asked, result = row["arguments"], row["result"]
    template, task = _of_class(row)
    function = asked["function"]
    largest = result["sampled"]["largest"]
    engine = engine_of(largest, FacilityLocation()) if function == "fl" else "rows"
    high = largest if asked["high"] > 1 << 30 else asked["high"]
    return [
        FUNCTIONS[function], f"{asked['low'] + 1:,} to {high:,}", f"{result['tasks']:,}",
        str(result["sampled"]["tasks"]), engine, f"{template:,.1f} s", f"{task:,.1f} s",
        f"{task / template:.2f}", megabytes(result["runs"][1]["memory"]),
    ]  # fmt: skip
