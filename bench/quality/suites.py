"""The runs of a folder, in suites of one setting each.

Reads runs.jsonl, one line for each run, and sample.json beside it. Runs of other settings stand in
suites of their own, and what is missing is named.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from quality.arms import CONTROLS, FURTHER, MAIN, RANDOM, UNTUNED
from quality.corpora import T0_RELATIVES
from smartx.errors import InputError

Key = tuple[str, int, int]  # arm, fold, seed
ORDER = (UNTUNED, *MAIN, *FURTHER, *CONTROLS)

OWN = ("arm", "fold", "seed")  # of a setting: what differs between runs of one suite
LOOSE = {UNTUNED: ("tokens", "matched", "rate"), "half": ("tokens",)}  # what may differ besides


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """One line of runs.jsonl. `chosen` and `trained` are None of the untuned model.

    setting: with the digest of the sample, so that runs of two samples are never mixed.
    """

    setting: Mapping[str, Any]
    chosen: Mapping[str, Any] | None
    trained: Mapping[str, Any] | None
    evaluated: Mapping[str, Mapping[str, Sequence[float]]]
    machine: Mapping[str, Any]

    @property
    def arm(self) -> str:
        return str(self.setting["arm"])

    @property
    def key(self) -> Key:
        return self.arm, int(self.setting["fold"]), int(self.setting["seed"])

    def shared(self, loose: Iterable[str] = ()) -> dict[str, Any]:
        """The settings that runs of one suite have in common."""
        return {k: v for k, v in self.setting.items() if k not in OWN and k not in loose}


@dataclass(frozen=True, slots=True)
class Sample:
    """Of each data set: its family (relatives, held out together) and the fold that holds it.

    facts: what else sample.json tells of the draw (its sizes and rows).
    """

    families: Mapping[str, str]
    folds: Mapping[str, int]
    facts: Mapping[str, Any]

    def family(self, task: str) -> str:
        """Of the other corpus too, whose data sets are not in `families`: T0's have relatives,
        BIG-bench's tasks have none.
        """
        return self.families.get(task, T0_RELATIVES.get(task, task))


def read(folder: Path) -> tuple[list[Run], Sample]:
    """All runs of a folder, and the sample that they are of. Raises InputError with the line."""
    sample = json.loads((folder / "sample.json").read_text())
    path = folder / "runs.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines.pop()  # a run that was ended while it wrote its line is run again
    runs = []
    for number, line in enumerate(lines, 1):
        try:
            kept = json.loads(line)
            setting = {**kept["setting"], "sample": kept.get("sample", "")}
            parts = ("chosen", "trained", "evaluated", "machine")
            runs.append(Run(setting, *(kept[part] for part in parts)))
        except (json.JSONDecodeError, KeyError, TypeError) as fault:
            raise InputError(
                f"no run stands in this line ({fault!r})", place=f"{path}:{number}",
                fix="delete the line; the run is then made again",
            ) from None  # fmt: skip
    folds = {task: int(fold) for task, fold in sample.pop("folds").items()}
    return runs, Sample(sample.pop("families"), folds, sample)


class Suite:
    """Runs of one setting, by (arm, fold, seed). Raises InputError where settings are mixed."""

    def __init__(self, runs: Iterable[Run], sample: Sample) -> None:
        self.sample = sample
        self.runs: dict[Key, Run] = {}
        self.setting: dict[str, Any] = {}
        for run in runs:
            self._add(run)

    def _add(self, run: Run) -> None:
        loose = LOOSE.get(run.arm, ())
        for name, value in run.shared(loose).items():
            if self.setting.setdefault(name, value) != value:
                raise InputError(
                    f"{name} is {value!r}, and {self.setting[name]!r} in other runs",
                    place="arm {}, fold {}, seed {}".format(*run.key),
                    fix="compare runs of one setting: see suites()",
                )
        earlier = self.runs.setdefault(run.key, run)
        if earlier.evaluated != run.evaluated:
            raise InputError(
                "the run stands there twice, with other results",
                place="arm {}, fold {}, seed {}".format(*run.key),
                fix="delete one of the lines of runs.jsonl",
            )
        _check_folds(run, self.sample)

    @cached_property
    def arms(self) -> tuple[str, ...]:
        """In the order of the tables; names that it does not know come last."""
        found = {arm for arm, _, _ in self.runs}
        return (*(a for a in ORDER if a in found), *sorted(found.difference(ORDER)))

    @property
    def random(self) -> tuple[str, ...]:
        """The arms of random rows that there are."""
        return tuple(arm for arm in RANDOM if arm in self.arms)

    @cached_property
    def base(self) -> tuple[str, ...]:
        """What others are compared with: the mean of both draws of random rows, or the first alone
        where so few runs have both that their mean would be noisier.

        Of runs of one variance, a difference has 1 + 1/2 of it over the runs of both draws, and
        1 + 1 over those of the first.
        """
        if len(self.random) < 2:
            return self.random
        both, first = (
            len(folds) * len(seeds)
            for folds, seeds in (self.block(self.random), self.block(self.random[:1]))
        )
        return self.random if 1.5 * first <= 2 * both else self.random[:1]

    @cached_property
    def folds(self) -> tuple[int, ...]:
        return tuple(sorted({fold for _, fold, _ in self.runs}))

    @cached_property
    def seeds(self) -> tuple[int, ...]:
        return tuple(sorted({seed for arm, _, seed in self.runs if arm != UNTUNED}))

    def run(self, arm: str, fold: int, seed: int) -> Run | None:
        """The untuned model has no seeds: it is the same beside every seed."""
        return self.runs.get((arm, fold, 0 if arm == UNTUNED else seed))

    def only(self, keys: Collection[Key]) -> Suite:
        """The runs of these arms, folds and seeds, as far as they are there."""
        return Suite((run for key, run in self.runs.items() if key in keys), self.sample)

    def missing(self) -> list[Key]:
        """Every (arm, fold, seed) that others have and this arm has not."""
        return [
            (arm, fold, seed)
            for arm in self.arms
            for fold in sorted(set(self.sample.folds.values()))
            for seed in ((0,) if arm == UNTUNED else self.seeds)
            if self.run(arm, fold, seed) is None
        ]

    def block(self, arms: Sequence[str]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The folds and seeds on which all these arms stand, every fold with every seed.

        The largest such block by runs; of equal ones the one with more folds, then the lower
        ones. Both are empty where no fold and seed has all arms.
        """
        have = {
            fold: [s for s in self.seeds if all(self.run(a, fold, s) for a in arms)]
            for fold in self.folds
        }
        best: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
        for size in range(len(self.folds), 0, -1):
            for folds in combinations(self.folds, size):
                seeds = tuple(s for s in self.seeds if all(s in have[f] for f in folds))
                if seeds and size * len(seeds) > len(best[0]) * len(best[1]):
                    best = (folds, seeds)
        return best

    @cached_property
    def worst(self) -> frozenset[str]:
        """The quarter of the held-out data sets on which trained models have the highest loss.

        The mean over all arms (controls apart) and seeds, so that no arm is favoured by having
        been lucky on a data set.
        """
        sums: dict[str, list[float]] = {}
        for (arm, _, _), run in self.runs.items():
            if arm != UNTUNED and arm not in CONTROLS:
                for task, kept in run.evaluated["held"].items():
                    sums.setdefault(task, []).append(kept[0] / kept[1])
        means = {task: float(np.mean(values)) for task, values in sums.items()}
        ranked = sorted(means, key=lambda task: (-means[task], task))
        return frozenset(ranked[: -(-len(ranked) // 4)])


def suites(runs: Iterable[Run], sample: Sample) -> list[Suite]:
    """Runs of one setting each, the largest first.

    What an arm may have for itself (the tokens of `half`) does not divide; such a run stands in
    every suite whose other settings are its own.
    """
    runs = list(runs)
    anchored: dict[str, list[Run]] = {}
    for run in runs:
        if run.arm not in LOOSE:
            anchored.setdefault(json.dumps(run.shared(), sort_keys=True), []).append(run)
    for members in anchored.values():
        setting = members[0].shared()
        members += [
            run
            for run in runs
            if run.arm in LOOSE
            and all(setting.get(k) == v for k, v in run.shared(LOOSE[run.arm]).items())
        ]
    ordered = sorted(anchored.values(), key=len, reverse=True)
    return [Suite(members, sample) for members in ordered]


def _check_folds(run: Run, sample: Sample) -> None:
    """What a run calls held out must be of its fold, and what it calls seen must not."""
    fold = int(run.setting["fold"])
    for part, inside in (("held", True), ("seen", False)):
        for task in run.evaluated.get(part, {}):
            if (sample.folds.get(task) == fold) is not inside:
                raise InputError(
                    f'"{task}" stands under "{part}", and sample.json has it in fold '
                    f"{sample.folds.get(task)}",
                    place="arm {}, fold {}, seed {}".format(*run.key),
                    fix="use the sample.json that the runs were made with",
                )
