"""What a small group costs."""

from __future__ import annotations

from case import Case, Row, both_threads

from tables import FUNCTIONS, markdown, on_one_core, who

TITLE = "Small groups"


def cases(quick: bool) -> list[Case]:
    groups = 5_000 if quick else 100_000
    found = []
    for function in FUNCTIONS:
        for sizes in ("mixed", 1, 2, 5, 10, 20, 50):
            count = groups if sizes == "mixed" else groups // 5
            asked = {"function": function, "sizes": sizes, "groups": count, "d": 384}
            found.append(Case("groups", "smartx", "rank_small.py", asked))
    return [
        case
        for case in both_threads(found)
        if case.threads == 1 or case.arguments["sizes"] == "mixed"
    ]


def check(rows: list[Row]) -> list[str]:
    return []


def lines(rows: list[Row]) -> list[str]:
    body = []
    for row in on_one_core(rows):
        asked, run = row["arguments"], row["result"]["runs"][0]
        sizes = "1 to 50, mixed" if asked["sizes"] == "mixed" else asked["sizes"]
        each, of_row = run["cpu"] / asked["groups"], run["cpu"] / run["rows"]
        body.append(
            [
                FUNCTIONS[asked["function"]], sizes, f"{asked['groups']:,}", who(row),
                f"{each * 1e6:.2f}", f"{of_row * 1e6:.3f}",
            ]
        )  # fmt: skip
    return [
        "Full orders of many groups in one call of `rank_groups`, d = 384, one core.",
        "",
        *markdown(["function", "rows in a group", "groups", "by", "µs a group", "µs a row"], body),
    ]
