"""The stages of such a run: their units, what one process does alone, bytes and memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from flan.shape import Shape, flan

from billion_rows.rates import Rates
from smartx.config import RunConfig
from smartx.corpus import Groups
from smartx.costs import BASE_BYTES
from smartx.embed.cost import _TOLD_BYTES, TORCH_BYTES
from smartx.embed.encoders import TABLE_ROWS, TEXT_ROWS, EncoderSpec
from smartx.embed.plan import part_sizes
from smartx.embed.student import StudentSpec
from smartx.embed.student.stage import sample_size
from smartx.needs import VECTORS
from smartx.rankers.pieces import Pieces
from smartx.rankers.rank import Ranking
from smartx.units import Unit

UNIT_BYTES = 64 << 20  # of text that an ingest unit reads
VOCABULARY, TOKEN_TEXT = 30_522, 0.15  # tokens that a student's teacher embeds; parts of a row each
FIT_SECONDS = 60.0  # of the fits of a student: a few, of its sample
PART_ROWS = 65_536  # of a file
# Bytes that manifests say: of a file, a source, a group and a task; what the report says of a task.
FILE_TOLD, SOURCE_TOLD, GROUP_TOLD, TASK_TOLD, TASK_SHOWN = 145, 400, 71, 246, 1_300


@dataclass(frozen=True)
class Stage:
    """units: of one thread each.  before, after: seconds of one process alone.
    opening: seconds of every worker before its first unit, and opened: bytes it reads for it.
    read, written: bytes, by all units and whoever finishes.  memory: of a worker, at most.
    kept: bytes of the manifest, of a mixture with its report.  on_gpus: cards make the units.
    alone: why `before` and `after`.
    """

    name: str
    units: Sequence[Unit]
    before: float
    after: float
    opening: float
    opened: float
    read: float
    written: float
    memory: float
    kept: float = 0.0
    on_gpus: bool = False
    alone: str = ""


@dataclass(frozen=True)
class Asked:
    """rows: of the corpus.  keep: "groups": more tasks of FLAN's sizes; "tasks": FLAN's tasks, with
    larger groups.  dimensions: of a vector.  by: "student", "teacher" or "gpu".
    gpu_rate: rows a second of a card.  mixed: rows of the mixture.
    """

    rows: int
    keep: str
    dimensions: int
    by: str
    gpu_rate: float
    mixed: int
    ranker: Any


def shape_of(asked: Asked) -> Groups:
    """FLAN 2022's groups, over and over, or larger."""
    one: Shape = flan(1.0, "groups", 0)
    if asked.keep == "tasks":
        sizes = np.maximum(1, one.sizes * (asked.rows / one.rows)).astype(np.int64)
        return _groups(one.source, one.task, one.template, sizes)
    times = max(1, round(asked.rows / one.rows))
    names = [f"{copy:03d}-{source}" for copy in range(times) for source in one.source]
    sizes = np.tile(one.sizes, times)
    if times * one.rows != asked.rows:  # as many rows as are asked for
        sizes = np.maximum(1, np.rint(sizes * (asked.rows / (times * one.rows)))).astype(np.int64)
    return _groups(names, one.task * times, one.template * times, sizes)


def stages(asked: Asked, groups: Groups, rates: Rates) -> list[Stage]:
    """In order; a student's embedding in two: it learns, then all rows."""
    rows, d = int(groups.rows.sum()), asked.dimensions
    tasks = len(groups.tasks())
    told = GROUP_TOLD * len(groups) + (TASK_TOLD + TASK_SHOWN) * tasks
    return [
        _ingest(rows, rates),
        _embed(asked, rows, d, rates),
        _rank(asked, groups, rows, d, rates),
        Stage(
            "mix", (), rates.weighed * rows + rates.mixed * asked.mixed, 0.0, 0.0, 0.0,
            rows * rates.ranking + asked.mixed * rates.corpus, asked.mixed * rates.mixture,
            BASE_BYTES + 60.0 * asked.mixed + tasks * (4_000 + 20 * d), told,
            alone="one process chooses rows and writes the mixture",
        ),
    ]  # fmt: skip


def _ingest(rows: int, rates: Rates) -> Stage:
    count = max(1, round(rows * rates.source / UNIT_BYTES))
    units = [Unit(f"ingest-{n:05d}", rates.read * rows / count, 1 << 30) for n in range(count)]
    read = rows * (rates.source + 2 * rates.corpus)
    kept = FILE_TOLD * rows / PART_ROWS + SOURCE_TOLD * count
    return Stage(
        "ingest", units, 0.0, rates.gathered * rows, 0.0, 0.0,
        read, 2 * rows * rates.corpus, 2.0 * (1 << 30), kept,
        alone="one process puts the parts into the order of groups",
    )  # fmt: skip


def _embed(asked: Asked, rows: int, d: int, rates: Rates) -> Stage:
    each = {
        "student": rates.looked_up, "teacher": rates.taught, "gpu": 1 / asked.gpu_rate,
    }[asked.by]  # fmt: skip
    table = asked.by == "student"
    sizes = part_sizes(rows, TABLE_ROWS if table else TEXT_ROWS)
    units = [Unit(f"embed-{n:05d}", size * each, 0) for n, size in enumerate(sizes)]
    before = rates.digested * rows  # the plan: who has a new text
    if table:
        learnt = sample_size(rows, StudentSpec(EncoderSpec("x"))) + VOCABULARY * TOKEN_TEXT
        before += learnt * rates.taught + FIT_SECONDS
    digests = rates.digested * rows
    memory = BASE_BYTES + (0 if table else TORCH_BYTES) + _TOLD_BYTES * float(rows)
    return Stage(
        f"embed ({asked.by})", units, before, rates.placed * rows, digests, rows * rates.corpus,
        rows * rates.corpus, rows * (2.0 * d + 48), memory, FILE_TOLD * len(sizes),
        on_gpus=asked.by == "gpu",
        alone="the driver reads all texts, to know the new ones"
        + (", and fits the student" if table else ""),
    )  # fmt: skip


class _Vectors:
    """Stands for embeddings, of which only their width is looked at."""

    def __init__(self, dimensions: int) -> None:
        self.dimensions, self.digest = dimensions, "none"


def rank_units(ranker: Any, groups: Groups, d: int, scale: float) -> list[Unit]:
    """The pieces that the product cuts. scale: seconds for one of the cost model."""
    features: Any = {VECTORS.key: _Vectors(d)}
    ranking = Ranking(groups, ranker, features)
    pieces = Pieces(ranking, Path("none"), "none", lambda a, b: True, lambda a, b: [])
    return [Unit(one.name, one.seconds * scale, one.memory) for one in pieces.units()]


def _rank(asked: Asked, groups: Groups, rows: int, d: int, rates: Rates) -> Stage:
    units = rank_units(asked.ranker, groups, d, rates.ranked)
    return Stage(
        "rank", units, 0.0, rates.assembled * rows, 2e-6 * len(groups), 8.0 * rows,
        rows * (2.0 * d + rates.ranking), 2 * rows * rates.ranking,
        max(unit.memory for unit in units), FILE_TOLD * rows / PART_ROWS,
        alone="one process puts the pieces together",
    )  # fmt: skip


def _groups(source: list[str], task: list[str], template: list[str], sizes: Any) -> Groups:
    return Groups(source, task, template, np.cumsum(sizes) - sizes, sizes)


def default_ranker() -> Any:
    """Of the default preset."""
    return RunConfig().row_ranker
