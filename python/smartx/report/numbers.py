"""What a report shows, worked out from a mixture's facts and its first rows. No layout here."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from smartx.leave_out import left_out_line
from smartx.mixture.facts import SEEN, blind_tasks, budget_line, shares_line
from smartx.mixture.names import shown
from smartx.rankers import near_duplicates_line
from smartx.report.examples import text_shown
from smartx.report.scales import Ticks, log_ticks
from smartx.report.words import alerts, equal_rows, sentences, spread

FIRST_TASKS = 40  # tasks that are seen at once
ALL_TASKS = 4_000  # tasks that are in the page at all
SAMPLES = 6  # tasks of which a row is shown
_TEXTS = ("prompt", "completion", "prompt_text", "completion_text")  # one pair, of a mixture
SAMPLE_TEXT = 900  # characters of a shown prompt or completion


@dataclass(frozen=True)
class TaskLine:
    """A task's line. share, corpus_share, equal_share: parts of 1: of the mixture, in proportion to
    size, and where all get the same. bar, mark, tick: these in percent of the widest bar.
    """

    name: str
    source: str
    rows: int
    capacity: int
    share: float
    corpus_share: float
    equal_share: float
    gain: float | None
    bar: float
    mark: float
    tick: float

    @property
    def ratio(self) -> float:
        """How many times its examples-proportional share the task got."""
        return self.share / self.corpus_share if self.corpus_share else 0.0

    @property
    def used(self) -> float:
        """Which part of the task's rows is in the mixture."""
        return self.rows / self.capacity if self.capacity else 0.0


@dataclass(frozen=True)
class Sample:
    """A row of the mixture: the best one of a task among the first rows of the data."""

    task: str
    template: str
    rank: int
    prompt: str
    completion: str


@dataclass(frozen=True)
class Numbers:
    """Everything on the page."""

    version: str
    sentences: list[str]
    alerts: list[str]
    rows: int
    corpus_rows: int
    tasks_given: int
    tasks: int
    spread: float
    value: float | None
    recipe: list[tuple[str, str]]
    lines: list[TaskLine]
    lines_left_out: int
    dots: list[tuple[float, float, str]]
    ticks: Ticks
    templates: list[tuple[str, int, int]]
    dropped: list[tuple[str, int]]
    near: str
    near_tasks: list[tuple[str, int, int]]
    left_out: str
    blind: list[tuple[str, int, int]]
    seen_tasks: list[tuple[str, int, int, int]]
    shortened: int
    refused: list[tuple[str, int, str]]
    sources: list[tuple[str, int, str]]
    samples: list[Sample]


def numbers(folder: Path, facts: dict[str, Any]) -> Numbers:
    """The numbers of a mixture. folder: holds its `data`.  facts: of its manifest."""
    tasks, rows = facts["tasks"], facts["rows"]
    held = sum(task["capacity"] for task in tasks)
    order = order_of(tasks)
    ordered = [tasks[place] for place in order]
    equal = equal_rows(rows, [task["capacity"] for task in tasks])
    value = facts.get("value")
    most = max((task["capacity"] for task in tasks if task["rows"]), default=1)
    return Numbers(
        version=facts["smartx"],
        sentences=sentences(facts),
        alerts=alerts(facts),
        rows=rows,
        corpus_rows=held,
        tasks_given=sum(1 for task in tasks if task["rows"]),
        tasks=len(tasks),
        spread=spread([task["rows"] for task in tasks]),
        value=value["held"] / value["whole"] if value else None,
        recipe=_recipe(facts),
        lines=_lines(
            ordered[:ALL_TASKS], [equal[place] for place in order[:ALL_TASKS]], rows, held
        ),
        lines_left_out=max(0, len(tasks) - ALL_TASKS),
        dots=_dots(ordered[:ALL_TASKS], math.log10(most + 1)),
        ticks=log_ticks(0, most, above=1),
        templates=_templates(facts),
        dropped=_dropped(facts),
        near=near_duplicates_line(held, near) if (near := facts["near_duplicates"]) else "",
        near_tasks=_near_tasks(tasks),
        left_out=left_out_line(held, found) if (found := facts.get("left_out")) else "",
        blind=[
            (shown(task["task"], 120), task["one_vector"], task["capacity"])
            for task in blind_tasks(facts)
        ],
        seen_tasks=_seen_tasks(tasks),
        shortened=facts["trainers"]["shortened"],
        refused=_refused(facts),
        sources=_sources(facts),
        samples=_samples(folder, ordered),
    )


def _lines(
    tasks: list[dict[str, Any]], equal: list[float], total: int, held: int
) -> list[TaskLine]:
    """equal: rows of each if all got the same."""
    shares = [
        (task["rows"] / max(total, 1), task["capacity"] / max(held, 1), rows / max(total, 1))
        for task, rows in zip(tasks, equal, strict=True)
    ]
    scale = 99 / (max((max(three) for three in shares), default=1.0) or 1.0)
    return [
        TaskLine(
            name=shown(task["task"], 120),
            source=shown(task["source"], 60),
            rows=task["rows"],
            capacity=task["capacity"],
            share=share,
            corpus_share=corpus_share,
            equal_share=equal_share,
            gain=task["gain"],
            bar=scale * share,
            mark=scale * corpus_share,
            tick=scale * equal_share,
        )
        for task, (share, corpus_share, equal_share) in zip(tasks, shares, strict=True)
    ]


def order_of(tasks: list[dict[str, Any]]) -> list[int]:
    """Places of tasks, those with most rows first."""
    return sorted(
        range(len(tasks)),
        key=lambda place: (-int(tasks[place]["rows"]), -int(tasks[place]["capacity"])),
    )


def _dots(tasks: list[dict[str, Any]], top: float) -> list[tuple[float, float, str]]:
    """Rows in the corpus and in the mixture, on one log scale 0..1, of tasks that got any."""
    return [
        (
            math.log10(task["capacity"] + 1) / top,
            math.log10(task["rows"] + 1) / top,
            f"{shown(task['task'])}: {task['rows']:,} of {task['capacity']:,}",
        )
        for task in tasks
        if task["rows"]
    ]


def _templates(facts: dict[str, Any]) -> list[tuple[str, int, int]]:
    """Rows in the mixture and in the corpus of the largest templates over all tasks."""
    given: Counter[str] = Counter()
    held: Counter[str] = Counter()
    for group in facts["groups"]:
        given[group["template"]] += group["rows"]
        held[group["template"]] += group["capacity"]
    names = sorted(given, key=lambda name: (-given[name], name))[:12]
    if names == [""]:
        return []
    return [(shown(name) or "(none)", given[name], held[name]) for name in names]


def _dropped(facts: dict[str, Any]) -> list[tuple[str, int]]:
    reasons = facts["corpus_rows"].get("dropped", {})
    return sorted(
        ((shown(name), int(count)) for name, count in reasons.items()), key=lambda pair: -pair[1]
    )


def _near_tasks(tasks: list[dict[str, Any]]) -> list[tuple[str, int, int]]:
    """Near duplicates and rows in the corpus of the tasks with most of the former."""
    most = sorted(tasks, key=lambda task: -int(task["near_duplicates"]))[:12]
    return [
        (shown(task["task"], 120), task["near_duplicates"], task["capacity"])
        for task in most
        if task["near_duplicates"]
    ]


def _seen_tasks(tasks: list[dict[str, Any]]) -> list[tuple[str, int, int, int]]:
    """Rows cut, rows that share a vector, and all, of the tasks with most of the former."""
    counts = [(task, task.get("cut", 0), task.get("shared", 0)) for task in tasks]
    most = sorted(counts, key=lambda count: -(count[1] + count[2]))[:12]
    return [
        (shown(task["task"], 120), cut, shared, task["capacity"])
        for task, cut, shared in most
        if cut or shared
    ]


def _refused(facts: dict[str, Any]) -> list[tuple[str, int, str]]:
    """Why trainers do not take how many rows as they are, and what who does."""
    return [
        (
            refused["reason"],
            refused["rows"],
            "; ".join(f"{who}: {what}" for who, what in refused["by"].items()),
        )
        for refused in facts["trainers"]["refused"]
    ]


def _sources(facts: dict[str, Any]) -> list[tuple[str, int, str]]:
    return [
        (
            shown(str(source.get("name", "")), 120),
            int(source.get("rows", 0)),
            str(source.get("sha256", source.get("fingerprint", "")))[:16],
        )
        for source in facts["sources"]
    ]


def _recipe(facts: dict[str, Any]) -> list[tuple[str, str]]:
    lines = [("preset", shown(facts["preset"]))] if facts["preset"] else []
    for part in ("weights", "ranker", "embedding"):
        if facts.get(part):
            lines += [
                (
                    part if name == "name" else SEEN.get(name, f"{part}: {name}"),
                    "all" if name == "num_tasks" and value is None else _text(value),
                )
                for name, value in _named_first(facts[part])
            ]
    if budget := budget_line(facts):
        lines.append(("budget", budget))
    if shares := shares_line(facts):
        lines.append(("shares", shown(shares, 300)))
    lines += [("rows", f"{facts['rows']:,}"), ("seed", str(facts["seed"]))]
    lines += [(f"digest of the {name}", digest) for name, digest in facts["inputs"].items()]
    return lines


def _named_first(facts: dict[str, Any]) -> list[tuple[str, Any]]:
    return sorted(facts.items(), key=lambda item: (item[0] != "name", item[0]))


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(
            str(inner) if name == "name" else f"{name} {_text(inner)}"
            for name, inner in _named_first(value)
        )
    return "not set" if value is None else shown(str(value), 200)


def _samples(folder: Path, ordered: list[dict[str, Any]]) -> list[Sample]:
    """The best-ranked row of the largest and smallest tasks, among the first of the data."""
    given = [task for task in ordered if task["rows"]]
    if not given:
        return []
    half = SAMPLES // 2
    picked = given if len(given) <= SAMPLES else [*given[:half], *given[-half:]]
    with pq.ParquetFile(min((folder / "data").glob("train-*.parquet"))) as file:
        texts = [name for name in _TEXTS if name in file.schema_arrow.names]
        columns = ["source", "task", "template", *texts, "smartx_rank"]
        table = file.read_row_group(0, columns=columns).sort_by("smartx_rank")
        table = table.rename_columns([name.removesuffix("_text") for name in columns])
    places: dict[tuple[str, str], int] = {}
    names = zip(table["source"].to_pylist(), table["task"].to_pylist(), strict=True)
    for place, name in enumerate(names):
        places.setdefault(name, place)
    wanted = [places.get((task["source"], task["task"])) for task in picked]
    return [_sample(table.slice(place, 1).to_pylist()[0]) for place in wanted if place is not None]


def _sample(row: dict[str, Any]) -> Sample:
    return Sample(
        task=shown(row["task"], 120),
        template=shown(row["template"]),
        rank=row["smartx_rank"],
        prompt=text_shown(row["prompt"], SAMPLE_TEXT),
        completion=text_shown(row["completion"] or "", SAMPLE_TEXT),
    )
