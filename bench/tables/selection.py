"""Full orders beside submodlib-py and apricot-select."""

from __future__ import annotations

from case import Case, Row, both_threads

from tables import FUNCTIONS, markdown, megabytes, on_one_core, ours, seconds, times, who

TITLE = "Full orders, beside the peers"
# Of the best objective, for what smartx chose. Log-det's first gains are all equal on unit rows:
# the first pick is arbitrary, and prefixes differ by as much as with rows in another order.
WORST = {"fl": 0.9999, "gc": 0.9999, "ld": 0.997}


def cases(quick: bool) -> list[Case]:
    large, small = (1000, 500) if quick else (10_000, 5_000)
    found = []
    for function in FUNCTIONS:
        for n, peer in ((large, "submodlib"), (small, "apricot")):
            asked = {"function": function, "n": n, "d": 384, "budgets": [n - 1]}
            if peer == "apricot" and function == "ld":
                continue  # it has no log-det
            found.append(Case("selection", "smartx", "select_smartx.py", asked))
            if peer == "submodlib":
                for kernel in ("own", "given") if function == "fl" else ("given",):
                    label = {"kernel": kernel, "label": f"submodlib-py, kernel {kernel}"}
                    found.append(Case("selection", peer, f"select_{peer}.py", asked | label))
            else:
                label = {"label": "apricot-select net of compilation"}
                found.append(Case("selection", peer, f"select_{peer}.py", asked | label))
    return both_threads(found)


def beside(rows: list[Row], row: Row) -> Row | None:
    """smartx's row for the same work, on one core, with the same instruction set or the default."""
    keys = ("function", "n", "d")
    for other in rows:
        same = all(other["arguments"][key] == row["arguments"][key] for key in keys)
        if same and ours(other) and not other["simd"]:
            return other
    return None


def check(rows: list[Row]) -> list[str]:
    """smartx's choice must be worth as much as the best one at every prefix."""
    faults = []
    for row in on_one_core(rows):
        if ours(row):
            for share, ratio in objectives(rows, row):
                if ratio < WORST[row["arguments"]["function"]]:
                    faults.append(f"{_work(row)}, first {share}: objective {ratio:.6f} of the best")
    return faults


def objectives(rows: list[Row], row: Row) -> list[tuple[int, float]]:
    """(length, f of that prefix / the best of all packages) of a row's run."""
    keys = ("function", "n", "d")
    same = [
        other["result"]["runs"][0]
        for other in on_one_core(rows)
        if all(other["arguments"][key] == row["arguments"][key] for key in keys)
    ]
    run = row["result"]["runs"][0]
    best = [max(values) for values in zip(*(one["values"] for one in same), strict=True)]
    return [
        (length, value / top)
        for length, value, top in zip(run["lengths"], run["values"], best, strict=True)
    ]


def lines(rows: list[Row]) -> list[str]:
    body = []
    for row in on_one_core(rows):
        run, mine = row["result"]["runs"][0], beside(rows, row)
        ratio = "-"
        if mine and not ours(row):
            ratio = times(run["cpu"] / mine["result"]["runs"][0]["cpu"])
        stages = " + ".join(
            f"{name} {value:.3g}" for name, value in run["stages"].items() if name != "compile"
        )
        if "compile" in run["stages"]:
            stages += f", less compile {run['stages']['compile']:.3g}"
        body.append(
            [
                _work(row), who(row), seconds(run["cpu"]), seconds(run["wall"]), ratio,
                megabytes(run["memory"]),
                " / ".join(f"{value:.6f}" for _, value in objectives(rows, row)), stages,
            ]
        )  # fmt: skip
    return [
        "The order of all rows but the last (submodlib cannot give that one), similarities"
        " included, one core. Objective: f in float64 of the first 1 % / 10 % / all of the order,"
        " divided by the best of all packages. Memory: peak above the vectors.",
        "",
        *markdown(
            ["work", "by", "CPU", "wall", "smartx faster by", "memory", "objective", "stages, s"],
            body,
        ),
    ]  # fmt: skip


def _work(row: Row) -> str:
    asked = row["arguments"]
    return f"{FUNCTIONS[asked['function']]}, n = {asked['n']:,}, d = {asked['d']}"
