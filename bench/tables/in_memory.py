"""What `smartx.select` takes besides the rankings."""

from __future__ import annotations

from case import Case, Row

from tables import markdown

TITLE = "In memory"
MOST = 1.2  # times the processor time of quantising and ranking alone


def cases(quick: bool) -> list[Case]:
    rows, tasks = (10_000, 100) if quick else (100_000, 1_000)
    return [
        Case(
            "in_memory",
            "smartx",
            "select_in_memory.py",
            {"rows": rows, "tasks": tasks, "weights": weights},
        )
        for weights in ("equal", "taylor-softmax")
    ]


def check(rows: list[Row]) -> list[str]:
    return [
        f"{row['arguments']}: {_times(row):.2f} times the rankings alone"
        for row in rows
        if "result" in row and row["arguments"]["rows"] >= 100_000 and _times(row) > MOST
    ]


def lines(rows: list[Row]) -> list[str]:
    body = [
        [
            row["arguments"]["weights"],
            *(f"{row['result']['seconds'][name]:.3f} s" for name in ("alone", "select")),
            f"{_times(row):.2f}",
        ]
        for row in rows
        if "result" in row
    ]
    return [
        "`smartx.select` on float32 rows, d = 384, in tasks of 100 rows in any order, beside",
        "quantising them and ranking rows (and tasks, where the law does) alone: processor time.",
        "",
        *markdown(["weights", "rankings alone", "select", "times"], body),
    ]


def _times(row: Row) -> float:
    seconds = row["result"]["seconds"]
    return float(seconds["select"] / seconds["alone"])
