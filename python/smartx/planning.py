"""What a run will take, before its costly stages: seconds, memory and disk, stage by stage.

Group sizes come from the ingested corpus, speeds from a few seconds of work on this machine. Times
are estimates; memory and disk are meant to be upper bounds, and a run that cannot keep to what the
machine has is refused with the numbers.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from smartx.corpus import Corpus
from smartx.engine import (
    DENSE_TASKS,
    NOMINAL,
    TOGETHER_BYTES,
    FacilityLocation,
    Objective,
    Speed,
    engine_of,
    measured_products,
    measured_speed,
    near_duplicate_bytes,
    near_duplicate_seconds,
    ranking_bytes,
    ranking_seconds,
)
from smartx.errors import ConfigError, StoreError
from smartx.progress import duration, size
from smartx.rankers import SubmodularRanker
from smartx.rankers.ranker import Ranker
from smartx.rankers.run import bundle_rows

BASE_BYTES = 180 << 20  # Python with numpy, pyarrow and smartx
TORCH_BYTES = 900 << 20  # torch and a small encoder at work
ASSUMED_DIMENSIONS = 1_024  # of an encoder that is not here yet
RANK_ROW_BYTES = 20  # on disk,
NEAR_ROW_BYTES = 16  # and of a near duplicate beside that
PART_ROWS = 65_536  # of a shard and of a ranking's file
MIXTURE_PART_ROWS = 100_000
STREWN_BYTES = 192 << 20
TASK_BYTES = 4_000
TASK_PAIR_BYTES = 14  # of the cosines of all tasks, where they are computed
SIZE_CLASSES = (50, 500, 4_096, 46_336, 1 << 62)
LARGEST = 5
Sizes: TypeAlias = NDArray[np.int64]
Times: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class StagePlan:
    """One stage. seconds: None where it was not measured.  memory: peak bytes.  disk: new bytes.

    done: what an earlier run left will be used.
    """

    name: str
    folder: Path
    seconds: float | None
    memory: int
    disk: int
    done: bool = False


@dataclass(frozen=True)
class SizeClass:
    """Groups of like size: how many, their rows, the engine that ranks them, and how long."""

    largest: int
    groups: int
    rows: int
    engine: str
    seconds: float


@dataclass(frozen=True)
class Plan:
    """What a run will take. memory: the limit in bytes.  largest: (task, template, rows).

    devices: on which embedding runs at once.
    """

    rows: int
    tasks: int
    groups: int
    dimensions: int
    dimensions_known: bool
    threads: int
    devices: int
    memory: int
    largest: tuple[tuple[str, str, int], ...]
    classes: tuple[SizeClass, ...]
    stages: tuple[StagePlan, ...]

    def faults(self) -> Iterator[ConfigError | StoreError]:
        """Each thing that cannot fit, as the error that says so."""
        for stage in self.stages:
            if stage.memory > self.memory and not stage.done:
                yield ConfigError(
                    f"{stage.name} needs about {size(stage.memory)}, "
                    f"and {size(self.memory)} may be used",
                    place="memory",
                    fix=self._memory_fix(stage),
                )
        for folder, needed in self._disk_by_file_system():
            free = shutil.disk_usage(folder).free
            if needed > free:
                yield StoreError(
                    f"about {size(needed)} will be written, and {size(free)} are free",
                    place=str(folder),
                    fix="free some space, or choose another folder",
                )

    def check(self) -> None:
        """Raise the first of `faults`."""
        for fault in self.faults():
            raise fault

    def line(self) -> str:
        """The plan in one line."""
        times = ", ".join(f"{stage.name} {self._words(stage)}" for stage in self.stages)
        peak = max(stage.memory for stage in self.stages)
        disk = sum(stage.disk for stage in self.stages)
        return (
            f"plan: {times}; at most {size(peak)} of memory ({size(self.memory)} may be used), "
            f"{size(disk)} of disk"
        )

    def _words(self, stage: StagePlan) -> str:
        if stage.done:
            return "done"
        return "not timed" if stage.seconds is None else f"about {duration(stage.seconds)}"

    def _memory_fix(self, stage: StagePlan) -> str:
        fix = f"pass --memory {-(-stage.memory >> 20)}M if the machine has it"
        if stage.name == "rank" and any(c.engine == "dense-u16" for c in self.classes):
            fix += (
                ", or lower --dense-limit: the largest groups are then ranked over the neighbours "
                "of their rows, which is another ranking"
            )
        return fix

    def _disk_by_file_system(self) -> Iterator[tuple[Path, int]]:
        needed: dict[int, tuple[Path, int]] = {}
        for stage in self.stages:
            folder = existing_parent(stage.folder)
            device = os.stat(folder).st_dev
            first, sum_so_far = needed.get(device, (folder, 0))
            needed[device] = (first, sum_so_far + stage.disk)
        yield from needed.values()


@dataclass(frozen=True)
class Vectors:
    """What is known of the vectors. seconds: to make them; None if not measured.

    devices: on which they are made at once, a process each if there are several.
    """

    dimensions: int | None
    seconds: float | None
    encoder: bool
    done: bool
    devices: int = 1


@dataclass(frozen=True)
class Limits:
    """What the run may use, and where it writes. rows: of the mixture, None if not said."""

    threads: int
    memory: int
    work: Path
    out: Path | None
    rows: int | None


def plan_of(
    corpus: Corpus,
    ranker: Ranker,
    vectors: Vectors | None,
    limits: Limits,
    *,
    ranked: bool,
    measure: bool,
    near_duplicates: bool = False,
) -> Plan:
    """The plan for an ingested corpus.

    vectors: None where neither the ranker nor the weight law looks at any.  ranked: the ranking is
    there.  measure: time this machine (about a second) instead of taking nominal speeds.
    near_duplicates: they are looked for while ranking.
    """
    groups, known = corpus.groups, vectors.dimensions if vectors else None
    d = known or ASSUMED_DIMENSIONS
    stages = []
    if vectors:
        stages.append(_embed_plan(corpus, vectors, d, limits))
    classes, rank = _rank_plan(corpus, ranker, d, limits, ranked, measure)
    if near_duplicates and not ranked:
        rank = _with_near_duplicates(rank, corpus.groups.rows, d, limits, measure)
    stages.append(rank)
    if limits.rows is not None and limits.out is not None:
        rows = min(limits.rows, corpus.num_rows)
        stages.append(_mix_plan(corpus, rows, d if vectors else 0, limits.out))
    largest = np.argsort(-groups.rows, kind="stable")[:LARGEST].tolist()
    return Plan(
        rows=corpus.num_rows,
        tasks=len(groups.tasks()),
        groups=len(groups),
        dimensions=d,
        dimensions_known=known is not None or vectors is None,
        threads=limits.threads,
        devices=vectors.devices if vectors else 1,
        memory=limits.memory,
        largest=tuple((groups.task[g], groups.template[g], int(groups.rows[g])) for g in largest),
        classes=classes,
        stages=tuple(stages),
    )


def _mix_plan(corpus: Corpus, rows: int, d: int, out: Path) -> StagePlan:
    """d: values of the vectors that the weight law may look at, 0 if it looks at none."""
    row_bytes, stored = _row_bytes(corpus)
    tasks = len(corpus.groups.tasks())
    memory = BASE_BYTES + min(rows, MIXTURE_PART_ROWS) * (4 * row_bytes + 100) + 60 * rows
    memory += tasks * (TASK_BYTES + 20 * d)  # what the manifest says of it, and its mean
    memory += TASK_PAIR_BYTES * tasks**2 if d and tasks <= DENSE_TASKS else 0
    seconds = 0.2 + 2e-5 * rows + 2e-7 * corpus.num_rows + 1e-4 * tasks
    disk = int(rows * (stored + 30)) + (1 << 20) + 400 * tasks
    if rows > MIXTURE_PART_ROWS:
        disk += rows * row_bytes  # strewn beside the result while it is made,
        memory += STREWN_BYTES  # in bundles
    return StagePlan("mix", out, seconds, memory, disk)


def _embed_plan(corpus: Corpus, vectors: Vectors, d: int, limits: Limits) -> StagePlan:
    row_bytes, _ = _row_bytes(corpus)
    shard = min(PART_ROWS, corpus.num_rows)
    memory = BASE_BYTES + shard * (2 * d + (3 * row_bytes if vectors.encoder else 0))
    memory += TORCH_BYTES if vectors.encoder else 40 << 20
    if vectors.devices > 1:  # each in a process of its own, beside this one
        memory = BASE_BYTES + vectors.devices * memory
    disk = 0 if vectors.done else 2 * d * corpus.num_rows
    seconds = 0.0 if vectors.done else vectors.seconds
    folder = limits.work / "embeddings"
    return StagePlan("embed", folder, seconds, memory, disk, vectors.done)


def _rank_plan(
    corpus: Corpus, ranker: Ranker, d: int, limits: Limits, ranked: bool, measure: bool
) -> tuple[tuple[SizeClass, ...], StagePlan]:
    sizes, folder = corpus.groups.rows, limits.work / "rankings"
    disk = 0 if ranked else RANK_ROW_BYTES * corpus.num_rows
    memory = BASE_BYTES + 120 * PART_ROWS
    if not isinstance(ranker, SubmodularRanker):
        seconds = 0.0 if ranked else 0.1 + 3e-7 * corpus.num_rows
        return (), StagePlan("rank", folder, seconds, memory, disk, ranked)
    function, dense = ranker.function, ranker.dense_limit
    speed = measured_speed(d, function, limits.threads) if measure and not ranked else None
    costs = _seconds(sizes, d, function, dense, speed, limits.threads)
    most, wide = int(sizes.max()), bundle_rows(d, limits.memory)
    read = 4 * d * max(most, min(wide, corpus.num_rows))
    classes = tuple(_classes(sizes, costs, function, dense))
    alone = max(ranking_bytes(c.largest, d, function, dense) for c in classes)
    memory += read + max(alone, _side_by_side(sizes, d, function, dense, limits.threads))
    seconds = 0.0 if ranked else float(costs.sum()) + 2e-7 * corpus.num_rows
    return classes, StagePlan("rank", folder, seconds, memory, disk, ranked)


def _with_near_duplicates(
    rank: StagePlan, sizes: Sizes, d: int, limits: Limits, measure: bool
) -> StagePlan:
    """The plan of ranking, near duplicates looked for. A group is not compared while it is ranked,
    so the larger memory of the two counts.
    """
    threads = limits.threads
    products = measured_products(d, threads) if measure else NOMINAL.products * threads
    seconds = float(near_duplicate_seconds(sizes, d, products).sum())
    most, small = int(sizes.max()), int(sizes[sizes <= SIZE_CLASSES[2]].max(initial=1))
    rows = int(sizes.sum())
    wide = min(bundle_rows(d, limits.memory), rows)
    memory = BASE_BYTES + 120 * PART_ROWS + 4 * d * max(most, wide)
    memory += max(near_duplicate_bytes(most, d), threads * near_duplicate_bytes(small, d))
    return replace(
        rank,
        seconds=(rank.seconds or 0.0) + seconds,
        memory=max(rank.memory, memory),
        disk=rank.disk + NEAR_ROW_BYTES * rows,
    )


def _seconds(
    sizes: Sizes,
    d: int,
    function: Objective,
    dense: int,
    speed: Speed | None,
    threads: int,
) -> Times:
    if speed is not None:
        return ranking_seconds(sizes, d, function, dense, speed)
    return ranking_seconds(sizes, d, function, dense) / threads


def _side_by_side(sizes: Sizes, d: int, function: Objective, dense: int, threads: int) -> int:
    """Memory of the largest groups that run beside each other, one on each thread."""
    if isinstance(function, FacilityLocation):
        sizes = sizes[2 * sizes * sizes <= TOGETHER_BYTES // threads]
    return sum(ranking_bytes(int(n), d, function, dense) for n in np.sort(sizes)[-threads:])


def _classes(
    sizes: Sizes,
    costs: Times,
    function: Objective,
    dense: int,
) -> Iterator[SizeClass]:
    """Groups by size class, cut further where the engine changes."""
    bounds = set(SIZE_CLASSES)
    if isinstance(function, FacilityLocation):
        engines = np.array([engine_of(int(n), function, dense) for n in np.unique(sizes)])
        dense_sizes = np.unique(sizes)[engines == "dense-u16"]
        bounds.add(int(dense_sizes.max()) if len(dense_sizes) else 0)
    low = 0
    for high in sorted(bounds):
        inside = (sizes > low) & (sizes <= high)
        low = high
        if inside.any():
            largest = int(sizes[inside].max())
            yield SizeClass(
                largest,
                int(inside.sum()),
                int(sizes[inside].sum()),
                engine_of(largest, function, dense),
                float(costs[inside].sum()),
            )


def _row_bytes(corpus: Corpus) -> tuple[int, float]:
    """Mean bytes of a row in memory, and in the corpus's files, from the heads of some files."""
    rows = held = 0
    paths = sorted(corpus.folder.glob("rows-*.parquet"))
    for path in paths[:: max(1, len(paths) // 8)]:
        head = pq.read_metadata(path)
        rows += head.num_rows
        held += sum(head.row_group(g).total_byte_size for g in range(head.num_row_groups))
    stored = sum(path.stat().st_size for path in paths) / max(1, corpus.num_rows)
    return held // max(1, rows), stored


def existing_parent(folder: Path) -> Path:
    """The folder, or the nearest above it that exists."""
    folder = Path(os.path.abspath(folder))
    while not folder.exists():
        folder = folder.parent
    return folder
