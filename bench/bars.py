"""The bar: what was promised of the engine, and what a run of the suite found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from case import Row
from tables import FUNCTIONS, markdown, megabytes, seconds, threads, times

Figure = float | None


@dataclass(frozen=True)
class Bar:
    """A promise: `measure(rows, simd)` shall be at least (or, `at_most`, at most) `least`."""

    work: str
    measure: Callable[[list[Row], str], Figure]
    least: float
    aim: float
    show: Callable[[float], str] = times
    at_most: bool = False

    def verdict(self, figure: Figure) -> str:
        if figure is None:
            return "-"
        sign = -1 if self.at_most else 1
        if sign * figure < sign * self.least:
            return f"**{self.show(figure)}, missed**"
        return self.show(figure) + (", aim met" if sign * figure >= sign * self.aim else "")


def lines(rows: list[Row]) -> list[str]:
    """The table of all bars, a column for each instruction set that was measured."""
    levels = sorted({row["simd"] for row in rows if row["who"] == "smartx" and "result" in row})
    columns = [f"{level} forced" if level else "measured" for level in levels]
    head = ["work", "at least", "aim", *columns]
    body = []
    for bar in bars(rows):
        figures = [bar.verdict(bar.measure(rows, level)) for level in levels]
        if set(figures) == {"-"}:
            continue  # a table that was not run
        body.append([bar.work, bar.show(bar.least), bar.show(bar.aim), *figures])
    return markdown(head, body)


def bars(rows: list[Row]) -> list[Bar]:
    """All bars, at the sizes that were run (a quick run has smaller ones)."""
    n10, n5 = _size(rows, "selection", "submodlib"), _size(rows, "selection", "apricot")
    found = [
        Bar(f"{work}, full order, n = {n10:,}, vs submodlib", _order(key, "submodlib"), *bar)
        for key, work, *bar in (
            ("fl", "facility location", 80, 120),
            ("gc", "graph cut", 100, 200),
            ("ld", "log-det", 150, 250),
        )
    ]
    found += [
        Bar(f"{work}, full order, n = {n5:,}, vs apricot net of compilation",
            _order(key, "apricot"), *bar)
        for key, work, *bar in (("fl", "facility location", 6, 12), ("gc", "graph cut", 10, 20))
    ]  # fmt: skip
    sizes = sorted({row["arguments"]["n"] for row in rows if row["table"] == "neighbours"})
    for n, bar in zip(sizes[-2:], ((2.5, 5), (1.3, 2.5)), strict=False):
        found.append(Bar(f"exact k-NN, n = {n:,}, vs hnswlib", _search("hnswlib", n), *bar))
    for n in sizes[-2:-1]:
        found.append(Bar(f"exact k-NN, n = {n:,}, vs numpy", _search("numpy", n), 2.5, 5))
    for key, bar in (("gc", (1e9, 20, 8)), ("fl", (4e9, 600, 240))):
        found += _large(rows, key, *bar)
    found += _two_threads(rows)
    for function, engine, bar in (
        ("fl", "dense", 0.9999), ("fl", "noise", 0.9999), ("fl", "sparse", 0.99),
        ("gc", "dense", 0.9999), ("gc", "noise", 0.9999),
        ("ld", "dense", 0.9999), ("ld", "noise", 0.9999),
    ):  # fmt: skip
        kind = {"noise": "float64 greedy, rows nudged by half a unit of Q12"}.get(
            engine, f"{engine} engine"
        )
        work = f"objective, {FUNCTIONS[function]}, {kind}, the least"
        found.append(Bar(work, _quality(function, engine), bar, bar, "{:.5f}".format))
    return found


def _size(rows: list[Row], table: str, who: str) -> int:
    sizes = [r["arguments"]["n"] for r in rows if r["table"] == table and r["who"] == who]
    return max(sizes, default=0)


def _cpu(rows: list[Row], simd: str, **wanted: object) -> Figure:
    """CPU seconds on one core of the one run that answers `wanted`."""
    for row in rows:
        fields = row["arguments"] | row
        level = simd if row["who"] == "smartx" else ""
        asked = row["threads"] == 1 and row["simd"] == level
        if asked and "result" in row and all(fields.get(k) == v for k, v in wanted.items()):
            return row["result"]["runs"][0]["cpu"]
    return None


def _ratio(theirs: Figure, ours: Figure) -> Figure:
    return None if theirs is None or ours is None else theirs / ours


def _order(function: str, peer: str) -> Callable[[list[Row], str], Figure]:
    def measure(rows: list[Row], simd: str) -> Figure:
        same = {"table": "selection", "function": function, "n": _size(rows, "selection", peer)}
        kernel = {"kernel": "own" if function == "fl" else "given"} if peer == "submodlib" else {}
        theirs = _cpu(rows, simd, who=peer, **same, **kernel)
        return _ratio(theirs, _cpu(rows, simd, who="smartx", **same))

    return measure


def _search(method: str, n: int) -> Callable[[list[Row], str], Figure]:
    def measure(rows: list[Row], simd: str) -> Figure:
        same = {"table": "neighbours", "n": n}
        theirs = _cpu(rows, simd, method=method, **same)
        return _ratio(theirs, _cpu(rows, simd, method="smartx", **same))

    return measure


def _large(rows: list[Row], function: str, bytes_: float, least: float, aim: float) -> list[Bar]:
    threads_of = {"gc": 1, "fl": 2}[function]

    def measure(field: str) -> Callable[[list[Row], str], Figure]:
        def of(rows: list[Row], simd: str) -> Figure:
            for row in rows:
                here = row["table"] == "large" and row["simd"] == simd and "result" in row
                same = row["arguments"].get("function") == function
                if here and same and row["threads"] == threads_of:
                    return row["result"]["runs"][0][field]
            return None

        return of

    sizes = {
        (row["arguments"]["n"], row["arguments"]["d"])
        for row in rows
        if row["table"] == "large" and row["arguments"]["function"] == function
    }
    if not sizes:
        return []
    n, d = max(sizes)
    name = f"{FUNCTIONS[function]}, full order, n = {n:,}, d = {d}"
    return [
        Bar(f"{name}, {threads_of} thread(s)", measure("wall"), least, aim, seconds, True),
        Bar(f"{name}, memory", measure("memory"), bytes_, bytes_, megabytes, True),
    ]


def _two_threads(rows: list[Row]) -> list[Bar]:
    """One bar for each work of selection, neighbours and large that ran on two threads."""

    def faster(table: str, work: str) -> Callable[[list[Row], str], Figure]:
        def measure(rows: list[Row], simd: str) -> Figure:
            ratios = [
                run["wall_alone"] / run["wall"]
                for row, run in threads.pairs(rows)
                if (row["simd"], row["table"], threads.work(row, run)) == (simd, table, work)
            ]
            return min(ratios, default=None)

        return measure

    found = dict.fromkeys(
        (row["table"], threads.work(row, run))
        for row, run in threads.pairs(rows)
        if row["table"] in ("selection", "neighbours", "large")
    )
    return [Bar(f"2 threads vs 1, {work}", faster(table, work), 1.7, 1.9) for table, work in found]


def _quality(function: str, engine: str) -> Callable[[list[Row], str], Figure]:
    def measure(rows: list[Row], simd: str) -> Figure:
        found = [
            ratio
            for row in rows
            if row["table"] == "quality" and row["simd"] == simd and "result" in row
            if row["arguments"]["function"] == function
            for ratio in row["result"]["engines"].get(engine, [])
        ]
        return min(found, default=None)

    return measure
