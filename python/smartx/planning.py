"""What a run will take, before its costly stages: seconds, memory and disk, stage by stage.

Each stage says for itself what it takes (`cost.py` in its room); here it is added up, compared with
what the machine has, and put into words. Times are estimates; memory and disk are meant to be upper
bounds, and a run that cannot keep to what there is is refused with the numbers.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from smartx.corpus import Corpus
from smartx.costs import StagePlan
from smartx.embed.cost import Vectors, Way, embed_cost
from smartx.errors import ConfigError, StoreError
from smartx.mixture.cost import mix_cost
from smartx.progress import size
from smartx.rankers.cost import SizeClass, rank_cost
from smartx.rankers.near import check_within
from smartx.rankers.pool import units_of
from smartx.rankers.ranker import Ranker
from smartx.report.cost import with_report

__all__ = ["Limits", "Plan", "SizeClass", "StagePlan", "Vectors", "Way", "plan_of"]

ASSUMED_DIMENSIONS = 1_024  # of an encoder that is not here yet
LARGEST = 5


@dataclass(frozen=True)
class Plan:
    """What a run will take. memory: the limit in bytes.  largest: (task, template, rows).

    devices: on which embedding runs at once.  ways: to make the vectors, to choose from.
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
    ways: tuple[Way, ...] = ()

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
        how = f" ({stage.how})" if stage.how and not stage.done else ""
        return stage.time() + how

    def _memory_fix(self, stage: StagePlan) -> str:
        fix = f"pass `memory` {-(-stage.memory >> 20)}M if the machine has it"
        if stage.name == "rank" and any(c.engine == "dense-u16" for c in self.classes):
            fix += (
                ", or lower the ranker's limit, such as `ranker` facility-location:dense_limit=1G: "
                "larger groups are ranked over neighbours of their rows, which is another ranking"
            )
        return f"{fix}, or {stage.less}" if stage.less else fix

    def _disk_by_file_system(self) -> Iterator[tuple[Path, int]]:
        needed: dict[int, tuple[Path, int]] = {}
        for stage in self.stages:
            folder = _existing_parent(stage.folder)
            device = os.stat(folder).st_dev
            first, sum_so_far = needed.get(device, (folder, 0))
            needed[device] = (first, sum_so_far + stage.disk)
        yield from needed.values()


@dataclass(frozen=True)
class Limits:
    """What the run may use, and where it writes. rows: of the mixture, None if not said.

    by_row: all rows are looked at one by one for it: its budget is in tokens, or names rows.
    """

    threads: int
    memory: int
    work: Path
    out: Path | None
    rows: int | None
    by_row: bool = False


def plan_of(
    corpus: Corpus,
    ranker: Ranker,
    vectors: Vectors | None,
    limits: Limits,
    *,
    ranked: bool,
    measure: bool,
    near_within: str | None = None,
    leave_out: Callable[[int], StagePlan] | None = None,
    tasks: StagePlan | None = None,
) -> Plan:
    """The plan for an ingested corpus.

    vectors: None where neither the ranker nor the weight law looks at any.  ranked: the ranking is
    there.  measure: time this machine (about a second) instead of taking nominal speeds.
    tasks: what finding these takes, where they are to be found.
    near_within: what near duplicates are looked for in, while ranking; None: they are not.
    leave_out: gives the stage that finds what is left out, for so many dimensions.
    Raises InputError where that is a corpus of too many rows.
    """
    groups, known = corpus.groups, vectors.dimensions if vectors else None
    d = known or ASSUMED_DIMENSIONS
    stages = []
    if near_within is not None:
        check_within(corpus.num_rows, d, near_within)
    if vectors:
        stages.append(embed_cost(corpus, vectors, d, limits.work / "embeddings"))
    if tasks:
        stages.append(tasks)
    if leave_out is not None:
        stages.append(leave_out(d))
    classes, rank = rank_cost(
        units_of(groups, ranker.per).rows,
        ranker,
        d,
        limits.work / "rankings",
        threads=limits.threads,
        memory=limits.memory,
        compared=None if near_within is None else units_of(groups, near_within).rows,
        done=ranked,
        measure=measure,
    )
    stages.append(rank)
    if limits.rows is not None and limits.out is not None:
        seen = d if vectors else 0
        mix = mix_cost(corpus, limits.rows, seen, limits.out, by_row=limits.by_row)
        stages.append(with_report(mix, corpus, seen))
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
        ways=vectors.ways if vectors else (),
    )


def _existing_parent(folder: Path) -> Path:
    """The folder, or the nearest above it that exists."""
    folder = Path(os.path.abspath(folder))
    while not folder.exists():
        folder = folder.parent
    return folder
