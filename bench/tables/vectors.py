"""From text to vectors: what each way takes, and what it keeps of what the teacher says."""

from __future__ import annotations

from typing import Any

from case import Case, Row
from vectors import real_folder

from tables import markdown, seconds

TITLE = "From text to vectors"
TEACHER = "all-MiniLM-L6-v2"
SLOW_ROWS = 800  # of the ways that take a second for some 50 rows
# What runs, under which name, in which environment (peers.py), and whether it is slow.
WAYS = (
    ("teacher", f"{TEACHER} by smartx", "smartx", True),
    ("sentence-transformers", f"{TEACHER} by SentenceTransformer.encode", "sentence-transformers",
     True),
    ("onnx", f"{TEACHER} as ONNX, float32", "onnx", True),
    ("onnx-int8", f"{TEACHER} as ONNX, dynamic int8", "onnx", True),
    ("openvino", f"{TEACHER} by OpenVINO", "openvino", True),
    ("hybrid 1/3", "hybrid, teacher 1/3", "smartx", False),
    ("hybrid 1/10", "hybrid, teacher 1/10", "smartx", False),
    ("student", "student", "smartx", False),
    ("student, other tasks", "student, of other tasks", "smartx", False),
    ("model2vec", "model2vec, distilled", "model2vec", False),
    ("wordllama", "wordllama, 256 values", "wordllama", False),
)  # fmt: skip
HYBRID = {"hybrid 1/3": 1 / 3, "hybrid 1/10": 1 / 10}
LEAST = {"student": 25_000}  # rows a core-second that were promised
MEASURES = ("cosine", "pairs", "pairs_in_groups", "gain_1", "gain_5", "gain_10", "gain_tasks",
            "neighbours")  # fmt: skip


def cases(quick: bool) -> list[Case]:
    if real_folder() is None:
        return []
    return [
        Case("vectors", who, "embed_route.py",
             {"data": data, "route": route, "rows": _rows(slow, quick)})
        for data in ("t0", *(() if quick else ("bigbench",)))
        for route, _, who, slow in sorted(WAYS, key=lambda way: way[3])
    ]  # fmt: skip


def _rows(slow: bool, quick: bool) -> int:
    return (200 if slow else 4_000) if quick else SLOW_ROWS if slow else 0


def check(rows: list[Row]) -> list[str]:
    """The teacher says what it said when its vectors were made, and other runtimes of it, too."""
    faults = []
    for row in rows:
        route, found = row["arguments"]["route"], row.get("result", {}).get("quality", {})
        exact = route in ("teacher", "sentence-transformers", "onnx", "openvino")
        if exact and found and found["cosine"] < 0.99:
            faults.append(f"{row['arguments']}: cosine {found['cosine']:.4f} to the teacher")
    return faults


def lines(rows: list[Row]) -> list[str]:
    body = []
    for data in dict.fromkeys(row["arguments"]["data"] for row in rows):
        own = {row["arguments"]["route"]: row for row in rows if row["arguments"]["data"] == data}
        for route, name, *_ in WAYS:
            row = own.get(route, {})
            if "absent" in row:
                body.append([data, name, row["absent"], *["-"] * (3 + len(MEASURES))])
            if "result" in row:
                result = row["result"]
                figures = [_figure(result["quality"][measure]) for measure in MEASURES]
                ready = [seconds(run["ready"]) for run in result["runs"]] or ["-"]
                speed = _speed(own, route)
                body.append([
                    data, name, f"{result['rows']:,}", f"{result['groups']:,}",
                    f"{speed:,.0f}" if speed else "-", *ready, *figures,
                ])  # fmt: skip
    head = [
        "texts", "by", "rows", "groups", "rows a core-second", "ready", "cosine", "pairs",
        "pairs in groups", "gain 1 %", "gain 5 %", "gain 10 %", "gain, tasks", "10 nearest",
    ]  # fmt: skip
    return [*INTRO, "", *markdown(head, body)]


def _speed(own: dict[str, Row], route: str) -> float | None:
    """Rows a core-second. That of a hybrid follows from those of its parts."""
    if route in HYBRID:
        parts = [_speed(own, part) for part in ("teacher", "student")]
        share = HYBRID[route]
        return 1 / (share / parts[0] + 1 / parts[1]) if all(parts) else None
    result: dict[str, Any] = own.get(route, {}).get("result", {})
    runs = result.get("runs")
    return result["rows"] / runs[0]["cpu"] if runs else None


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


INTRO = (
    "Every way on one core, from texts to vectors; `ready`: seconds of that core before the first"
    " text (loading, distilling, or fitting the student, its sample by the teacher aside). All"
    f" measures are valued by the vectors of {TEACHER} (256 tokens), on rows that no student learnt"
    " from: t0 are 55,185 training prompts of T0 (37 tasks, 983 characters on the mean), bigbench"
    " the first 100,000 rows of BIG-bench, by the names of its tasks. The student learns from"
    " 12,000 rows of the corpus; `of other tasks`: each row by a student that learnt from no row of"
    " its task (four of them). A hybrid has the teacher's vectors for the tasks that cost it least,"
    " up to that part of its tokens; its speed follows from those of its parts. Ways that are slow"
    " are measured on some whole groups: compare their figures with 1, not with those of others.",
    "",
    "cosine: mean, to the teacher's. pairs, pairs in groups: Spearman correlation of the cosines of"
    " random pairs. gain: the part of greedy's gain over random rows that is kept (facility"
    " location) where 1, 5 and 10 % of every group are chosen by these vectors; tasks: a quarter of"
    " the tasks, by their means (above 1 where it beats greedy). 10 nearest: the part of"
    " the 10 nearest rows that is the same.",
)  # fmt: skip
