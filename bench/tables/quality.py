"""What the engines' choices are worth, against a dense greedy in float64."""

from __future__ import annotations

from case import Case, Row
from vectors import real_folder

from tables import FUNCTIONS, markdown

TITLE = "Objective, against a dense greedy in float64"
SHARES = ("0.15 %", "1 %", "10 %", "50 %", "100 %")
WORST = {
    "dense": 0.998,
    "sparse": 0.98,
    "graph": 0.9,
    "noise": 0.998,
}  # below this something is broken, whatever the bar


def cases(quick: bool) -> list[Case]:
    n = 1500 if quick else 10_000
    sources = ["synthetic", *(["t0"] if real_folder() else [])]
    return [
        Case(
            "quality", "smartx", "compare_quality.py",
            {"data": data, "function": function, "n": n}, 2,
        )
        for data in sources
        for function in FUNCTIONS
    ]  # fmt: skip


def check(rows: list[Row]) -> list[str]:
    return [
        f"{row['arguments']}, {engine} engine, first {budget}: {ratio:.6f} of float64 greedy"
        for row in rows
        if "result" in row
        for engine, ratios in row["result"]["engines"].items()
        for budget, ratio in zip(row["result"]["budgets"], ratios, strict=True)
        if ratio < WORST[engine]
    ]


def lines(rows: list[Row]) -> list[str]:
    body = []
    for row in rows:
        if "result" in row:
            asked = row["arguments"]
            for engine, ratios in row["result"]["engines"].items():
                name = {"noise": "float64 greedy, rows nudged"}.get(engine, engine)
                if engine == "dense" and asked["function"] != "fl":
                    name = "rows, exact sums" if asked["function"] == "gc" else "rows, float64"
                figures = [f"{ratio:.6f}" for ratio in ratios]
                level = row["simd"] or "default"
                kind = FUNCTIONS[asked["function"]]
                body.append([kind, asked["data"], f"{asked['n']:,}", name, level, *figures])
    return [
        "f(S) of what smartx chose divided by f(S) of what greedy chooses from the dense float64"
        " similarities of the same rows, d = 384, at budgets of these shares of n. synthetic:"
        " clustered vectors; t0: MiniLM embeddings of T0 training prompts, as Q12 rows. sparse:"
        " facility"
        " location where the dense kernel is 20 times the memory limit (as it is for 207,000 rows"
        " by default), so over the graph of the 64 nearest, its first rows chosen by the dense"
        " objective. graph: the same without that. Rows nudged: the same float64 greedy on rows"
        " moved by no more than half a unit of Q12 (2^-13 a value), valued on the rows as they"
        " are: what it differs by is greedy's own noise, since one pick that falls otherwise"
        " changes all picks after it.",
        "",
        *markdown(["function", "rows", "n", "engine", "level", *SHARES], body),
    ]
