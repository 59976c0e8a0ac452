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


def pairs(rows: list[Row]) -> list[tuple[Row, dict[str, Any], dict[str, Any]]]:
    """(the row on two threads, its run, that run on one thread)."""
    found = []
    for two in rows:
        if not ours(two, 2) or two["table"] not in FROM:
            continue
        for one in rows:
            keys = ("table", "script", "arguments", "simd")
            if ours(one) and all(one[key] == two[key] for key in keys):
                runs = zip(two["result"]["runs"], one["result"]["runs"], strict=True)
                found += [(two, run, other) for run, other in runs]
    return found


def lines(rows: list[Row]) -> list[str]:
    body = []
    for row, two, one in pairs(rows):
        asked = row["arguments"]
        size = f"n = {asked['n']:,}" if "n" in asked else f"{asked['groups']:,} groups"
        if "budget" in two:
            size += f", budget {two['budget']:,}"
        work = FUNCTIONS.get(asked.get("function"), "neighbours")
        level = f", {row['simd']} forced" if row["simd"] else ""
        body.append(
            [
                f"{work}, {size}, d = {asked['d']}{level}", row["table"],
                seconds(one["wall"]), seconds(two["wall"]), times(one["wall"] / two["wall"]),
            ]
        )  # fmt: skip
    return [
        "Wall time of the same work on one core and on two, each pinned.",
        "",
        *markdown(["work", "table", "1 thread", "2 threads", "faster by"], body),
    ]
