"""The same bits whatever the instruction set, the threads and the cutting into calls."""

from __future__ import annotations

from case import Case, Row
from vectors import real_folder

from tables import markdown, seconds

TITLE = "The same rankings everywhere"
LEVELS = ("generic", "avx2", "avx512")


def cases(quick: bool) -> list[Case]:
    if real_folder() is None:
        return []
    size = {"groups": 40, "rows": 2000} if quick else {"groups": 283, "rows": 20_000}
    ways = [(threads, "one") for threads in (1, 2)] + [(1, "each")]
    return [
        Case(
            "identity", "smartx at a level", "hash_rankings.py",
            size | {"calls": calls, "level": level}, threads,
        )
        for level in LEVELS
        for threads, calls in ways
    ]  # fmt: skip


def check(rows: list[Row]) -> list[str]:
    found = {str(sorted(row["result"]["hashes"].items())) for row in rows if "result" in row}
    return [f"{len(found)} different rankings of the same rows"] if len(found) > 1 else []


def lines(rows: list[Row]) -> list[str]:
    body = [
        [
            row["arguments"]["level"], row["threads"], row["arguments"]["calls"],
            f"{row['result']['rows']:,}", row["result"]["groups"],
            *(f"`{text}`" for text in row["result"]["hashes"].values()),
            seconds(row["result"]["seconds"]),
        ]
        for row in rows
        if "result" in row
    ]  # fmt: skip
    return [
        "SHA-256 (its first 16 digits) of orders and gains of all (task, template) groups of the"
        " T0 vectors, and of the graph of 64 neighbours of its first rows. calls: all groups in"
        " one call, or each in its own.",
        "",
        *markdown(
            ["level", "threads", "calls", "rows", "groups", "facility location", "graph cut",
             "log-det", "neighbours", "wall"],
            body,
        ),
    ]  # fmt: skip
