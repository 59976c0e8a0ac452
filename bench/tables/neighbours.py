"""Exact nearest neighbours beside hnswlib, numpy and torch."""

from __future__ import annotations

from case import Case, Row, both_threads

from tables import markdown, megabytes, on_one_core, ours, seconds, times, who

TITLE = "The 64 nearest neighbours of every row"
# Share of the queries that is run, by (method, n); all where it is not listed.
SHARES = {
    ("hnswlib", 200_000): 0.25,
    ("numpy", 50_000): 0.1, ("numpy", 200_000): 0.02,
    ("torch", 50_000): 0.1, ("torch", 200_000): 0.02,
}  # fmt: skip
OTHERS = {
    "hnswlib M=16 efC=100 ef=128": {"method": "hnswlib"},
    "numpy float32 GEMM + argpartition": {"method": "numpy"},
    "torch float32 mm + topk": {"method": "torch", "dtype": "float32"},
    "torch bfloat16 mm + topk": {"method": "torch", "dtype": "bfloat16"},
}


def cases(quick: bool) -> list[Case]:
    found = []
    for n in (2000, 5000) if quick else (10_000, 50_000, 200_000):
        asked = {"n": n, "d": 384, "k": 64}
        script = "find_neighbours.py"
        found.append(Case("neighbours", "smartx", script, asked | {"method": "smartx"}))
        for label, how in OTHERS.items():
            share = SHARES.get((how["method"], n), 0.25 if quick and n == 5000 else 1)
            extra = how | {"label": label, "share": share}
            found.append(Case("neighbours", how["method"], script, asked | extra))
    return both_threads(found)


def check(rows: list[Row]) -> list[str]:
    """smartx's answer must be exact on its fixed-point rows, and nearly so on the floats."""
    faults = []
    for row in rows:
        if row["who"] == "smartx" and "result" in row:
            run = row["result"]["runs"][0]
            if run["recall_fixed_point"] != 1.0 or run["recall"] < 0.995:
                faults.append(
                    f"n = {row['arguments']['n']}: recall {run['recall_fixed_point']} on the"
                    f" fixed-point rows, {run['recall']} on the floats"
                )
    return faults


def lines(rows: list[Row]) -> list[str]:
    body = []
    for row in on_one_core(rows):
        run, n = row["result"]["runs"][0], row["arguments"]["n"]
        mine = [o for o in on_one_core(rows) if ours(o) and o["arguments"]["n"] == n]
        mine = [o for o in mine if not o["simd"]]
        ratio = "-"
        if mine and not ours(row):
            ratio = times(run["cpu"] / mine[0]["result"]["runs"][0]["cpu"])
        exact = f" ({run['recall_fixed_point']:.4f} of Q12)" if ours(row) else ""
        share = row["arguments"].get("share", 1)
        body.append(
            [
                f"{n:,}", who(row), seconds(run["cpu"]), seconds(run["wall"]), ratio,
                f"{run['recall']:.4f}{exact}", megabytes(run["memory"]),
                "all" if share == 1 else f"{share:.0%}, scaled",
            ]
        )  # fmt: skip
    return [
        "One core, d = 384, float32 vectors in, k = 64, build and query together. Recall: share of"
        " the found that are no less similar in float64 than the true 64th, on a sample of 500"
        " rows; smartx is exact on its fixed-point (Q12) rows, which is the second figure. Where"
        " only a share of the queries was run, their time is scaled to all.",
        "",
        *markdown(
            ["n", "by", "CPU", "wall", "smartx is faster by", "recall", "memory", "queries run"],
            body,
        ),
    ]
