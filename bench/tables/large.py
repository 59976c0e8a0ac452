"""Ground sets of 200,000 rows, whose kernel fits no machine of this size."""

from __future__ import annotations

from case import Case, Row, both_threads

from tables import FUNCTIONS, markdown, megabytes, seconds, who

TITLE = "Large ground sets"
SHAPES = {"gc": 384, "fl": 1024}  # rows of that many values


def cases(quick: bool) -> list[Case]:
    n = 20_000 if quick else 200_000
    found = []
    for function, d in SHAPES.items():
        asked = {"function": function, "n": n, "d": d // 4 if quick else d, "budgets": [n]}
        if quick and function == "fl":
            asked["memory_bytes"] = 0  # so that it takes the engine that the large one takes
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
        "Full orders. Memory: peak above the float32 vectors.",
        "",
        *markdown(["function", "n", "d", "by", "threads", "wall", "CPU", "memory", "engine"], body),
    ]
