"""What the runs came to: one value for each run and data set, paired with random rows.

Reads runs.jsonl, one line for each run, and sample.json beside it. Arms are compared on the same
folds, seeds and evaluation rows or not at all: runs of other settings stand in suites of their
own, what is missing is named, and what was evaluated on other rows is refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quality.arms import CONTROLS, FURTHER
from quality.arms import MAIN as MAIN_AND_RANDOM
from quality.statistics import Differences, crossed
from smartx.errors import InputError

UNTUNED = "untuned"
RANDOM = ("random a", "random b")
MAIN = tuple(arm for arm in MAIN_AND_RANDOM if arm not in RANDOM)
ORDER = (UNTUNED, *RANDOM, *MAIN, *FURTHER, *CONTROLS)

OWN = ("arm", "fold", "seed")  # of a setting: what differs between runs of one suite
LOOSE = {UNTUNED: ("tokens", "matched", "rate"), "half": ("tokens",)}  # what may differ besides


@dataclass(frozen=True, slots=True)
class Outcome:
    """A number of each data set in one run: a quotient of two of the six that are kept for it.

    name: short, for files. words: what a reader sees. part: which data sets (held, seen,
    bigbench). above, below: places in [nll_sum, tokens, end_nll_sum, ends, right, ranked].
    higher: whether more is better. worst: the quarter with the highest loss alone.
    """

    name: str
    words: str
    part: str
    above: int = 0
    below: int = 1
    higher: bool = False
    worst: bool = False

    @property
    def unit(self) -> str:
        return "share of rows" if self.higher else "nats per token"


PRIMARY = Outcome("held", "held-out data sets", "held")
OUTCOMES = (
    PRIMARY,
    Outcome("worst", "worst quarter of held-out data sets", "held", worst=True),
    Outcome("end", "end of the answer, held-out data sets", "held", 2, 3),
    Outcome("ranked", "right answer ranked first, held-out data sets", "held", 4, 5, True),
    Outcome("seen", "data sets that were trained on", "seen"),
    Outcome("bigbench", "BIG-bench tasks", "bigbench"),
)


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
    def key(self) -> tuple[str, int, int]:
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
        """Parents of BIG-bench have no relatives: each is a family of its own."""
        return self.families.get(task, task)


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
        self.runs: dict[tuple[str, int, int], Run] = {}
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
        """The arms of random rows that there are: what others are compared with."""
        return tuple(arm for arm in RANDOM if arm in self.arms)

    @cached_property
    def folds(self) -> tuple[int, ...]:
        return tuple(sorted({fold for _, fold, _ in self.runs}))

    @cached_property
    def seeds(self) -> tuple[int, ...]:
        return tuple(sorted({seed for arm, _, seed in self.runs if arm != UNTUNED}))

    def run(self, arm: str, fold: int, seed: int) -> Run | None:
        """The untuned model has no seeds: it is the same beside every seed."""
        return self.runs.get((arm, fold, 0 if arm == UNTUNED else seed))

    def missing(self) -> list[tuple[str, int, int]]:
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
                    sums.setdefault(task, []).append(_quotient(kept, PRIMARY))
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


@dataclass(frozen=True, eq=False)
class Paired:
    """One outcome of an arm and of what it is compared with, on the same data sets and runs.

    values, against: (folds, seeds, data sets) float64, NaN where the runs of a fold were not asked
    of a data set.  families: of each data set.  places: the fold that holds it out, -1 of
    BIG-bench.
    """

    arm: str
    base: tuple[str, ...]
    outcome: Outcome
    tasks: tuple[str, ...]
    families: tuple[str, ...]
    places: NDArray[np.int64]
    folds: tuple[int, ...]
    seeds: tuple[int, ...]
    values: NDArray[np.float64]
    against: NDArray[np.float64]

    @cached_property
    def differences(self) -> Differences:
        """Arm less base. Below zero is better, unless `outcome.higher`."""
        return crossed(self.values - self.against, self.families)


def paired(
    suite: Suite, arm: str, outcome: Outcome = PRIMARY, base: Sequence[str] | None = None
) -> Paired | None:
    """An arm beside random rows (the mean of both draws), or beside `base`.

    None where no fold and seed has all of these arms. Raises InputError where two runs of a fold
    were evaluated on other data sets or other numbers of tokens.
    """
    base = suite.random if base is None else tuple(base)
    folds, seeds = suite.block((arm, *base))
    if not seeds or not base:
        return None
    _check_same_rows(suite, (arm, *base), folds, seeds)
    by_fold = {fold: _tasks(suite, outcome, arm, fold, seeds[0]) for fold in folds}
    folds = tuple(fold for fold in folds if by_fold[fold])
    tasks = tuple(sorted(set().union(*by_fold.values())))
    if not tasks:
        return None
    own = _table(suite, outcome, arm, tasks, folds, seeds)
    others = [_table(suite, outcome, name, tasks, folds, seeds) for name in base]
    return Paired(
        arm, tuple(base), outcome, tasks, tuple(map(suite.sample.family, tasks)),
        np.array([suite.sample.folds.get(task, -1) for task in tasks], np.int64),
        folds, seeds, own, np.mean(others, axis=0),
    )  # fmt: skip


def _tasks(suite: Suite, outcome: Outcome, arm: str, fold: int, seed: int) -> set[str]:
    """Data sets that this outcome has a number of in the runs of a fold."""
    run = suite.run(arm, fold, seed)
    assert run is not None  # of a block
    return {
        task
        for task, kept in run.evaluated.get(outcome.part, {}).items()
        if kept[outcome.below] > 0 and (not outcome.worst or task in suite.worst)
    }


def _table(
    suite: Suite, outcome: Outcome, arm: str, tasks: Sequence[str],
    folds: Sequence[int], seeds: Sequence[int],
) -> NDArray[np.float64]:  # fmt: skip
    """(folds, seeds, data sets), NaN where a run was not asked of a data set."""
    table = np.full((len(folds), len(seeds), len(tasks)), np.nan)
    for f, fold in enumerate(folds):
        for s, seed in enumerate(seeds):
            run = suite.run(arm, fold, seed)
            assert run is not None  # of a block
            part = run.evaluated.get(outcome.part, {})
            for t, task in enumerate(tasks):
                if task in part and part[task][outcome.below] > 0:
                    table[f, s, t] = _quotient(part[task], outcome)
    return table


def _quotient(kept: Sequence[float], outcome: Outcome) -> float:
    return float(kept[outcome.above]) / float(kept[outcome.below])


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


def _check_same_rows(
    suite: Suite, arms: Sequence[str], folds: Sequence[int], seeds: Sequence[int]
) -> None:
    """Within a fold, every run must have looked at the same data sets and tokens."""
    for fold in folds:
        first: tuple[Run, dict[str, Any]] | None = None
        for arm in arms:
            for seed in seeds:
                run = suite.run(arm, fold, seed)
                assert run is not None  # of a block
                counts = {
                    f"{part}/{task}": (kept[1], kept[3], kept[5])
                    for part, tasks in run.evaluated.items()
                    for task, kept in tasks.items()
                }
                if first is None:
                    first = run, counts
                elif counts != first[1]:
                    differ = sorted(set(counts.items()) ^ set(first[1].items()))
                    raise InputError(
                        "evaluated on other rows than arm {}, fold {}, seed {}".format(
                            *first[0].key
                        )
                        + f": {differ[0][0]} (tokens, ends, ranked {differ[0][1]})",
                        place="arm {}, fold {}, seed {}".format(*run.key),
                        fix="evaluate both on the rows of one sample",
                    )
