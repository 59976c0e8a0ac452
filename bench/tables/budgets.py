"""Budgets of 1 %, 10 % and all, at several sizes."""

from __future__ import annotations

from case import Case, Row, both_threads

from tables import FUNCTIONS, markdown, megabytes, on_one_core, seconds, times
from tables.selection import WORST

TITLE = "Budgets and sizes"
# Full orders that would take a peer more than five minutes.
TOO_LONG = {("submodlib", "ld", 10_000)}
PEERS = {"submodlib": ("fl", "gc", "ld"), "apricot": ("fl", "gc")}


def cases(quick: bool) -> list[Case]:
    sizes = (500, 1000) if quick else (1_000, 10_000, 50_000)
    found = []
    for d in (384,) if quick else (384, 1024):
        for function in FUNCTIONS:
            for n in sizes:
                shares = [n, n // 10, n // 100]  # the largest first: it tells the memory
                asked = {"function": function, "n": n, "d": d}
                found.append(
                    Case("budgets", "smartx", "select_smartx.py", asked | {"budgets": shares})
                )
                for peer, functions in PEERS.items():
                    if n > 10_000 or function not in functions:
                        continue
                    theirs = [n - 1 if peer == "submodlib" else n, *shares[1:]]
                    if (peer, function, n) in TOO_LONG:
                        theirs = shares[1:]
                    kernel = {"kernel": "own" if function == "fl" else "given"}
                    extra = {"budgets": theirs} | (kernel if peer == "submodlib" else {})
                    found.append(Case("budgets", peer, f"select_{peer}.py", asked | extra))
    return both_threads(found)


def check(rows: list[Row]) -> list[str]:
    """For the same budget smartx's objective must be as good as that of any peer."""
    faults = []
    for mine in on_one_core(rows):
        if mine["who"] != "smartx":
            continue
        for run in mine["result"]["runs"]:
            for other in _same_work(rows, mine):
                found = _run(other, run["budget"])
                if found and found["values"][-1] and run["values"][-1]:
                    ratio = run["values"][-1] / found["values"][-1]
                    if ratio < WORST[mine["arguments"]["function"]]:
                        faults.append(
                            f"{mine['arguments']}, budget {run['budget']}: objective {ratio:.6f}"
                            f" of {other['who']}'s"
                        )
    return faults


def lines(rows: list[Row]) -> list[str]:
    body = []
    for row in on_one_core(rows):
        if row["who"] != "smartx":
            continue
        asked = row["arguments"]
        runs = sorted(row["result"]["runs"], key=lambda run: run["budget"])
        ratios = []
        for peer in PEERS:
            other = [o for o in _same_work(rows, row) if o["who"] == peer]
            found = [_run(other[0], run["budget"]) if other else None for run in runs]
            ratios.append(
                " / ".join(
                    times(theirs["cpu"] / run["cpu"]) if theirs else "-"
                    for theirs, run in zip(found, runs, strict=True)
                )
            )
        engine = runs[-1]["engine"] + (f", {row['simd']} forced" if row["simd"] else "")
        body.append(
            [
                FUNCTIONS[asked["function"]], f"{asked['n']:,}", asked["d"],
                " / ".join(seconds(run["cpu"]) for run in runs), engine,
                megabytes(max(run["memory"] for run in runs)), *ratios,
            ]
        )  # fmt: skip
    return [
        "CPU seconds of smartx on one core for budgets of 1 % / 10 % / all rows, similarities"
        " included, and how many times as long the peers take (submodlib: all but one row;"
        " apricot: net of compilation). A dash: more than five minutes, more memory than the"
        " machine has, or no such function.",
        "",
        *markdown(
            ["function", "n", "d", "smartx, CPU", "engine", "memory", "submodlib", "apricot"], body
        ),
    ]


def _same_work(rows: list[Row], mine: Row) -> list[Row]:
    keys = ("function", "n", "d")
    return [
        row
        for row in on_one_core(rows)
        if row["who"] != "smartx"
        and all(row["arguments"][key] == mine["arguments"][key] for key in keys)
    ]


def _run(row: Row, budget: int) -> dict | None:
    """The run for that budget, or for one row fewer."""
    for run in row["result"]["runs"]:
        if run["budget"] in (budget, budget - 1):
            return run
    return None
