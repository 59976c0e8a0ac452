"""One value for each run and data set, paired with random rows.

Arms are compared on the same folds, seeds and evaluation rows or not at all: what was evaluated on
other rows is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quality.differences import Differences, crossed
from quality.suites import Run, Suite
from smartx.errors import InputError


@dataclass(frozen=True, slots=True)
class Outcome:
    """A number of each data set in one run: a quotient of two of the six that are kept for it.

    name: short. words: what a reader sees. part: which data sets (held; seen; bigbench, which are
    those of the corpus that no model trains on, whatever it is). above, below: places in [nll_sum,
    tokens, end_nll_sum, ends, right, ranked]. higher: whether more is better. worst: the quarter
    with the highest loss alone.
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
    Outcome("other", "tasks of another corpus", "bigbench"),
)
OTHERS = {"t0": "BIG-bench tasks", "bigbench": "data sets of T0"}  # beside a pool of the corpus


def outcomes_of(suite: Suite) -> tuple[Outcome, ...]:
    """The primary one first. The corpus that is asked besides has its name."""
    words = OTHERS.get(str(suite.setting.get("corpus")), OUTCOMES[-1].words)
    return (*OUTCOMES[:-1], replace(OUTCOMES[-1], words=words))


@dataclass(frozen=True, eq=False)
class Paired:
    """One outcome of an arm and of what it is compared with, on the same data sets and runs.

    values, against: (folds, seeds, data sets) float64, NaN where the runs of a fold were not asked
    of a data set.  families: of each data set.  places: the fold that holds it out, -1 of
    another corpus.
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
    """An arm beside random rows (the base of the suite), or beside `base`.

    None where no fold and seed has all of these arms. Raises InputError where two runs of a fold
    were evaluated on other data sets or other numbers of tokens.
    """
    base = suite.base if base is None else tuple(base)
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
