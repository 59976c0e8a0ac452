"""What it costs to take the rows of a budget of the rankings of a corpus of FLAN's shape."""

from __future__ import annotations

from case import Case, Row

from tables import markdown, megabytes

TITLE = "Budgets in rows and in tokens"
HOW = {
    "rows": "rows",
    "tokens": "tokens",
    "demands": "tokens, with demands, rows in and out",
}
SECONDS = 60.0  # a mixture takes less


def cases(quick: bool) -> list[Case]:
    kinds = ["tokens"] if quick else HOW
    return [Case("takes", "smartx", "take_rows.py", {"how": how}) for how in kinds]


def check(rows: list[Row]) -> list[str]:
    """In time, and within a row: a row of the least tokens would have found room."""
    faults = []
    for row in _measured(rows):
        took, lacking = row["result"]["runs"][0]["wall"], row["result"]["lacking"]
        if took > SECONDS:
            faults.append(f"{row['arguments']}: {took:.1f} s")
        if lacking > (0 if row["arguments"]["how"] != "demands" else 100):
            faults.append(f"{row['arguments']}: {lacking:,} of the budget were not taken")
    return faults


def lines(rows: list[Row]) -> list[str]:
    body = [_line(row) for row in _measured(rows)]
    return [
        "A tenth of 17.6 million rows in 1,840 tasks (made-up sizes, tokens and rankings, in",
        "memory), wall seconds on one core.",
        "",
        *markdown(
            ["budget", "what there is", "who gets how much", "which rows", "rows", "lacking",
             "memory"],
            body,
        ),
    ]  # fmt: skip


def _measured(rows: list[Row]) -> list[Row]:
    return [row for row in rows if "result" in row]


def _line(row: Row) -> list[str]:
    result = row["result"]
    run = result["runs"][0]
    wall = [f"{run['stages_wall'][stage]:.2f} s" for stage in ("supply", "allot", "take")]
    unit = "rows" if row["arguments"]["how"] == "rows" else "tokens"
    return [
        HOW[row["arguments"]["how"]], *wall, f"{result['rows']:,}",
        f"{result['lacking']:,} of {result['total']:,} {unit}", megabytes(run["memory"]),
    ]  # fmt: skip
