"""What is lost where one encoder stands in for another: measured on rows that it never saw.

All is valued by the teacher's vectors. Similarities are exact whole numbers, so the figures are
the same on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from smartx.draws import STUDENT_PAIRS, draws
from smartx.engine import FacilityLocation, quantize, rank_groups

SHARE = 0.1  # of a group's rows that are chosen
_PAIRS = 20_000
_RANDOM = 16  # random choices that the gain is measured from
_Q12 = NDArray[np.int16]


@dataclass(frozen=True)
class Loss:
    """How near a student comes to its teacher, on held-out rows.

    rows: held out.  cosine: mean cosine to the teacher's vectors.  pairs: Spearman correlation of
    the cosines of random pairs of rows.  in_groups: the part of greedy's gain over random rows that
    is kept, at a tenth of some groups, or None where no group is large enough.  over_tasks: the
    same for a quarter of the tasks by the means of their rows, or None below 4 tasks.
    """

    rows: int
    cosine: float
    pairs: float
    in_groups: float | None
    over_tasks: float | None

    def facts(self) -> dict[str, float | int | None]:
        """For a manifest, to 4 places."""
        return {k: v if not isinstance(v, float) else round(v, 4) for k, v in asdict(self).items()}

    def line(self) -> str:
        """For people."""
        parts = [f"cosine {self.cosine:.3f}", f"rank correlation of pairs {self.pairs:.3f}"]
        if self.in_groups is not None:
            parts.append(f"{self.in_groups:.1%} of greedy's gain inside groups")
        if self.over_tasks is not None:
            parts.append(f"{self.over_tasks:.1%} over tasks")
        return f"on {self.rows:,} held-out rows: {', '.join(parts)}"


def mean_cosine(teacher: _Q12, student: _Q12) -> float:
    """Mean cosine of the rows of both."""
    products = np.einsum("ij,ij->i", teacher, student, dtype=np.float64)
    lengths = [np.sqrt(np.einsum("ij,ij->i", x, x, dtype=np.float64)) for x in (teacher, student)]
    return float((products / (lengths[0] * lengths[1])).mean())


def pair_correlation(teacher: _Q12, student: _Q12, pairs: NDArray[np.int64]) -> float:
    """Spearman correlation of the similarities of pairs (p, 2) of rows; 0 where all are equal."""
    first, second = pairs.T
    ranks = [
        _ranks(np.einsum("ij,ij->i", x[first], x[second], dtype=np.float64))
        for x in (teacher, student)
    ]
    if min(np.ptp(own) for own in ranks) == 0:
        return 0.0
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def random_pairs(n: int, seed: int, count: int = _PAIRS) -> NDArray[np.int64]:
    """(count, 2) pairs of two rows each; of the only one twice where n is 1."""
    drawn = draws(seed, STUDENT_PAIRS, 0, 2 * count).reshape(-1, 2)
    first = (drawn[:, 0] % np.uint64(n)).astype(np.int64)
    other = (drawn[:, 1] % np.uint64(max(1, n - 1))).astype(np.int64) + 1
    return np.stack([first, (first + other) % n], axis=1)


def gain_kept(
    teacher: _Q12,
    student: _Q12,
    sizes: Sequence[int],
    share: float = SHARE,
    *,
    seed: int = 0,
    threads: int = 1,
) -> float | None:
    """(f(student's choice) - f(random)) / (f(teacher's choice) - f(random)), facility location by
    the teacher's vectors, summed over groups.

    sizes: rows of each group, in order.  share: of its rows that are chosen, at least one.
    None where greedy gains nothing on random choices.
    """
    counts = np.asarray(sizes, dtype=np.int64)
    objective = FacilityLocation()
    orders = [rank_groups(x, counts, objective, threads=threads)[0] for x in (teacher, student)]
    chosen, gained, start = 0.0, 0.0, 0
    for number, size in enumerate(counts.tolist()):
        rows = teacher[start : start + size].astype(np.float64)
        kernel = np.maximum(rows @ rows.T, 0)  # whole numbers below 2^53: exact in any order
        k = max(1, round(share * size))
        by_teacher, by_student = (_value(kernel, order[start : start + k]) for order in orders)
        keys = draws(seed, STUDENT_PAIRS + 256 * (number + 1), 0, _RANDOM * size)
        by_chance = np.mean([_value(kernel, np.argsort(own)[:k]) for own in keys.reshape(-1, size)])
        chosen += by_student - by_chance
        gained += by_teacher - by_chance
        start += size
    return float(chosen / gained) if gained > 0 else None


def measured_loss(
    teacher: _Q12,
    student: _Q12,
    tasks: NDArray[np.int64],
    deep: NDArray[np.int64],
    *,
    seed: int,
    threads: int,
) -> Loss:
    """The loss on held-out rows. Both (n, d), the same texts.

    tasks: (n,) number of each row's task.  deep: (n,) number of the group inside which a row is
    compared with others, rising, or -1.
    """
    inside = np.flatnonzero(deep >= 0)
    sizes = np.unique(deep[inside], return_counts=True)[1]
    means = [_task_means(x, tasks) for x in (teacher, student)]
    return Loss(
        rows=len(teacher),
        cosine=mean_cosine(teacher, student),
        pairs=pair_correlation(teacher, student, random_pairs(len(teacher), seed)),
        in_groups=_kept(teacher[inside], student[inside], sizes.tolist(), SHARE, seed, threads),
        over_tasks=_kept(means[0], means[1], [len(means[0])], 0.25, seed, threads),
    )


def _kept(
    teacher: _Q12, student: _Q12, sizes: list[int], share: float, seed: int, threads: int
) -> float | None:
    if not sizes or max(sizes) < 4:
        return None
    return gain_kept(teacher, student, sizes, share, seed=seed, threads=threads)


def _task_means(rows: _Q12, tasks: NDArray[np.int64]) -> _Q12:
    """Mean directions, as Q12 rows."""
    order = np.argsort(tasks, kind="stable")
    starts = np.flatnonzero(np.diff(tasks[order], prepend=-1))
    sums = np.add.reduceat(rows[order].astype(np.int64), starts, axis=0)
    return quantize(sums.astype(np.float32))


def _value(kernel: NDArray[np.float64], chosen: NDArray[np.integer]) -> float:
    return float(kernel[chosen].max(axis=0).sum())


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """0..n-1, equal values by their mean place."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(count)
    ranks: NDArray[np.float64] = ((ends - count) + (ends - 1)).astype(np.float64)[place] / 2
    return ranks
