"""Two threads against one, on the work of the other tables: it runs nothing itself."""

from __future__ import annotations

from typing import Any

from case import Case, Row

from tables import FUNCTIONS, markdown, ours, seconds, times

TITLE = "Two threads against one"
FROM = ("selection", "budgets", "neighbours", "large", "groups")


def cases(quick: bool) -> list[Case]:
    return []


def check(rows: list[Row]) -> list[str]:
    return []


def pairs(rows: list[Row]) -> list[tuple[Row, dict[str, Any]]]:
    """(the row on two threads, one of its runs)."""
    return [
        (row, run)
        for row in rows
        if ours(row, 2) and row["table"] in FROM
        for run in row["result"]["runs"]
        if "wall_alone" in run
    ]


def work(row: Row, run: dict[str, Any]) -> str:
    asked = row["arguments"]
    size = f"n = {asked['n']:,}" if "n" in asked else f"{asked['groups']:,} groups"
    if run.get("budget", 0) < asked.get("n", 0) - 1 and "budget" in run:
        size += f", budget {run['budget']:,}"
    return f"{FUNCTIONS.get(asked.get('function'), 'exact k-NN')}, {size}, d = {asked['d']}"


def lines(rows: list[Row]) -> list[str]:
    body = []
    for row, two in pairs(rows):
        level = f", {row['simd']} forced" if row["simd"] else ""
        body.append(
            [
                work(row, two) + level, row["table"],
                seconds(two["wall_alone"]), seconds(two["wall"]),
                times(two["wall_alone"] / two["wall"]),
            ]
        )  # fmt: skip
    return [
        "Wall time of the same work on one thread and on two, in turns in one process, the least of"
        " each: the machine's speed changes from minute to minute.",
        "",
        *markdown(["work", "table", "1 thread", "2 threads", "faster by"], body),
    ]
