"""Do the intervals and the test keep their word? Simulated runs of known effect say so.

    python bench/quality/simulate.py [--times 2000] [--draws 499]

Each case is a layout of the bench (data sets in families, folds, seeds) with a known effect and
known sizes of what varies, in per cent of the held-out loss, as the pilot had them. Columns:

    new      of 100 intervals for new data sets and seeds, how many hold the true effect
    these    of 100 intervals for these data sets, how many hold the effect on them
    false    arms without effect of which sign_flip says otherwise, per cent
    any      experiments in which any of 7 such arms passes Holm, per cent
    seen     how often an effect of 1 % is seen; before it, what power.py said that would be
    rows, hierarchy, plain: forms that are not used (bootstraps.py), as `new`, `new` and `false`

Behind each number stands its Monte Carlo standard error. Ends with status 1 where `new` or `these`
is more than 2 from 95, `false` more than 2 from 5, or `any` above 7. The last case is a warning,
not a promise: families of very skewed effects, where no form holds 95.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from quality import bootstraps, statistics
from quality.differences import Differences
from quality.power import parts_of

Floats = NDArray[np.float64]
COLUMNS = ("new", "these", "false", "any", "seen", "rows", "hierarchy", "plain")
BATCH = 40
FOLDS = 4
ARMS = 7
EFFECT = -1.0  # per cent
NEAR = 2.0  # how far a rate may be from its nominal one, in points of 100
MANY = (4, 3, 3, 3, 2, 2, 2) + (1,) * 17  # 36 data sets in 24 families
T0 = (6, 5, 5, 3, 3, 2) + (1,) * 12  # as the families of T0 are
FEW = (10, 8, 6) + (1,) * 12
PARENTS = (1,) * 100  # BIG-bench: every run is asked of all of them


@dataclass(frozen=True, slots=True)
class Case:
    """A layout and what varies in it: standard deviations in per cent of the loss.

    sizes: data sets of each family.  family, data_set: between true effects.  run: shared by a
    fold's data sets in one run.  cell: of one data set in one run.  tails: of family, data_set
    and cell ("normal", "heavy": Student's t of 3 degrees, "skewed": exponential).
    loud: how many times noisier the runs of the first fold are.
    """

    name: str
    sizes: Sequence[int]
    seeds: int
    family: float
    data_set: float
    run: float
    cell: float
    tails: str = "normal"
    loud: float = 1.0
    judged: bool = True

    @property
    def crossed(self) -> bool:
        return len(self.sizes) == len(PARENTS)


CASES = (
    Case("only runs differ", MANY, 3, 0, 0, 1.0, 1.5),
    Case("only runs differ", MANY, 5, 0, 0, 1.0, 1.5),
    Case("pilot, small spread", MANY, 3, 0.8, 1.5, 0.9, 2.5),
    Case("pilot, small spread", MANY, 4, 0.8, 1.5, 0.9, 2.5),
    Case("pilot, small spread", MANY, 5, 0.8, 1.5, 0.9, 2.5),
    Case("pilot, large spread", MANY, 3, 2.4, 3.2, 0.9, 2.5),
    Case("pilot, families of T0", T0, 3, 0.8, 1.5, 0.9, 2.5),
    Case("large, families of T0", T0, 5, 2.4, 3.2, 0.9, 2.5),
    Case("heavy tails", T0, 3, 2.4, 3.2, 0.9, 2.5, "heavy"),
    Case("skewed", MANY, 3, 0.8, 1.5, 0.9, 2.5, "skewed"),
    Case("a loud fold", MANY, 3, 0.8, 1.5, 0.9, 2.5, loud=2.0),
    Case("few large families", FEW, 5, 2.4, 1.0, 0.9, 2.5),
    Case("BIG-bench", PARENTS, 3, 0, 2.5, 0.9, 4.0),
    Case("BIG-bench", PARENTS, 5, 0, 2.5, 0.9, 4.0, "heavy"),
    Case("families alone, skewed", MANY, 3, 3.0, 0, 0.3, 0.5, "skewed", judged=False),
)


def drawn(rng: np.random.Generator, shape: tuple[int, ...], tails: str) -> Floats:
    """Of mean 0 and standard deviation 1."""
    if tails == "heavy":
        return rng.standard_t(3, shape) / 3**0.5
    if tails == "skewed":
        return rng.exponential(1.0, shape) - 1.0
    return rng.standard_normal(shape)


def fold_of(sizes: Sequence[int]) -> NDArray[np.int64]:
    """The fold of each family: largest first, each to the fold that is smallest so far."""
    load, found = [0] * FOLDS, np.zeros(len(sizes), np.int64)
    for family in sorted(range(len(sizes)), key=lambda one: -sizes[one]):
        found[family] = load.index(min(load))
        load[found[family]] += sizes[family]
    return found


def experiments(
    case: Case, rng: np.random.Generator, effect: float, times: int, arms: int = 1
) -> tuple[Differences, Floats]:
    """Arms less one base that those of an experiment share: (times, arms) contrasts.

    Besides, (times, arms) the true mean of each on its very data sets. Arms have spreads of their
    own, and half of their noise is the base's.
    """
    families = np.repeat(np.arange(len(case.sizes)), case.sizes)
    place, sets = fold_of(case.sizes)[families], len(families)
    runs = (FOLDS, case.seeds)
    loud = np.where(np.arange(FOLDS) == 0, case.loud, 1.0)[:, None, None]
    own_tails = "heavy" if case.tails == "heavy" else "normal"

    def noise(count: int) -> Floats:
        shared = case.run * drawn(rng, (times, count, *runs, 1), "normal")
        own = case.cell * drawn(rng, (times, count, *runs, sets), own_tails)
        return np.asarray(loud * (shared + own) / 2**0.5, np.float64)

    true = case.family * drawn(rng, (times, arms, len(case.sizes)), case.tails)[..., families]
    true = effect + true + case.data_set * drawn(rng, (times, arms, sets), case.tails)
    table = true[:, :, None, None] + noise(arms) - noise(1)
    if not case.crossed:
        elsewhere = np.arange(FOLDS)[:, None, None] != place
        table[..., np.broadcast_to(elsewhere, (*runs, sets))] = np.nan
    folds = np.repeat(np.arange(FOLDS), case.seeds)
    values = table.reshape(times, arms, len(folds), sets)
    return Differences(values, families, folds), np.asarray(true.mean(axis=-1), np.float64)


@dataclass(frozen=True, slots=True)
class Rates:
    """What came out of a case, each a share in per cent with its Monte Carlo standard error."""

    case: Case
    new: tuple[float, float]
    these: tuple[float, float]
    false: tuple[float, float]
    any: tuple[float, float]
    told: float
    seen: tuple[float, float]
    rows: tuple[float, float]
    hierarchy: tuple[float, float]
    plain: tuple[float, float]

    def faults(self) -> list[str]:
        """What is outside of the tolerance."""
        found = [
            f"{name} {rate[0]:.1f}, not {nominal:.0f} +- {NEAR:.0f}"
            for name, rate, nominal in (
                ("new", self.new, 95), ("these", self.these, 95), ("false", self.false, 5),
            )
            if abs(rate[0] - nominal) > NEAR
        ]  # fmt: skip
        if self.any[0] > 5 + NEAR:
            found.append(f"any {self.any[0]:.1f}, above {5 + NEAR:.0f}")
        return found


def rates(case: Case, *, times: int, draws: int, seed: int) -> Rates:
    """Play a case `times` times; the 7 arms a quarter of that, bootstraps a twentieth.

    Experiments come in batches that share the patterns of the test.
    """
    rng = np.random.default_rng([seed, case.seeds, len(case.sizes), *case.name.encode()])
    hits: dict[str, list[bool]] = {name: [] for name in COLUMNS}
    measured = []
    for turn in range(max(1, times // BATCH)):
        own = {"draws": draws, "seed": turn}
        there, true = experiments(case, rng, EFFECT, BATCH)
        nothing, _ = experiments(case, rng, 0.0, BATCH)
        new = statistics.intervals_new(there, **own)
        hits["new"] += holds(new, EFFECT)
        hits["seen"] += [not held for held in holds(new, 0.0)]
        hits["these"] += holds(statistics.intervals_these(there), true)
        hits["false"] += called(statistics.sign_flips(nothing, **own))
        measured.append(there)
        seven, _ = experiments(case, rng, 0.0, BATCH // 4, ARMS)
        corrected = [min(statistics.holm(p)) for p in statistics.sign_flips(seven, **own)]
        hits["any"] += called(np.array(corrected))
        hits["plain"] += called(bootstraps.families_alone(nothing, **own))
        for one in first(there, BATCH // 20):
            hits["rows"] += holds(bootstraps.rows(one, **own), EFFECT)
            hits["hierarchy"] += holds(bootstraps.hierarchy(one, **own), EFFECT)
    told = parts_of(measured).power(EFFECT, case.seeds, new=True)
    return Rates(case, told=100 * told, **{name: _share(found) for name, found in hits.items()})


def holds(interval: tuple[ArrayLike, ArrayLike], value: ArrayLike) -> list[bool]:
    low, high = np.ravel(interval[0]), np.ravel(interval[1])
    return ((low <= np.ravel(value)) & (np.ravel(value) <= high)).tolist()


def called(p: Floats) -> list[bool]:
    return (np.ravel(p) <= statistics.LEVEL).tolist()


def first(many: Differences, count: int) -> list[Differences]:
    """The first of many contrasts, one by one."""
    return [Differences(values[0], many.families, many.folds) for values in many.values[:count]]


def _share(found: Sequence[bool]) -> tuple[float, float]:
    rate = float(np.mean(found))
    return 100 * rate, 100 * float((rate * (1 - rate) / len(found)) ** 0.5)


def line(found: Rates) -> str:
    cells = []
    for name in COLUMNS:
        rate, error = getattr(found, name)
        told = f"{found.told:3.0f} " if name == "seen" else ""
        cells.append(f"{told}{rate:5.1f} ±{error:3.1f}")
    verdict = "; ".join(found.faults()) or "holds"
    verdict = verdict if found.case.judged else f"(not judged) {verdict}"
    return f"{found.case.name:24s}{found.case.seeds:6d}  {'  '.join(cells)}  {verdict}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--times", type=int, default=2000, help="experiments of each case")
    parser.add_argument("--draws", type=int, default=499, help="sign patterns of each test")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    heads = [name.rjust(14 if name == "seen" else 10) for name in COLUMNS]
    print(f"{'case':24s}{'seeds':>6s}  {'  '.join(heads)}")
    failed = False
    for case in CASES:
        found = rates(case, times=asked.times, draws=asked.draws, seed=asked.seed)
        print(line(found), flush=True)
        failed |= case.judged and bool(found.faults())
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
