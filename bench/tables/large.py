"""Ground sets of 200,000 rows, whose kernel fits no machine of this size."""

from __future__ import annotations

from case import Case, Row, both_threads
from tables import FUNCTIONS, markdown, megabytes, seconds, who

TITLE = "Full orders of 200,000 rows"
SHAPES = {"gc": 384, "fl": 1024}


def cases(quick: bool) -> list[Case]:
    n = 20_000 if quick else 200_000
    found = []
    for function, d in SHAPES.items():
        asked = {"function": function, "n": n, "d": d if not quick else d // 4, "budgets": [n]}
        found.append(Case("large", "smartx", "select_smartx.py", asked))
    return both_threads(found)


def check(rows: list[Row]) -> list[str]:
    return []


def lines(rows: list[Row]) -> list[str]:
    body = []
    for row in rows:
        if "result" in row:
            asked, run = row["arguments"], row["result"]["runs"][0]
            body.append(
                [
                    FUNCTIONS[asked["function"]], f"{asked['n']:,}", asked["d"], who(row),
                    row["threads"], seconds(run["wall"]), seconds(run["cpu"]),
                    megabytes(run["memory"]), run["engine"],
                ]
            )  # fmt: skip
    return [
        "Memory: peak above the float32 vectors.",
        "",
        *markdown(
            ["function", "n", "d", "by", "threads", "wall", "CPU", "memory", "engine"], body
        ),
    ]
