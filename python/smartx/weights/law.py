"""What a weight law is: it says in which shares tasks (or groups) get the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from smartx.errors import InputError
from smartx.needs import Need
from smartx.options import Options

if TYPE_CHECKING:
    from smartx.corpus import Groups

Unit = Literal["task", "group"]
Rounding = Literal["greedy", "largest-remainder", "monotone"]


@dataclass(frozen=True, eq=False)
class Ground:
    """What a law may look at: M tasks or groups, each a run of adjacent rows of the corpus.

    names: M tuples: (source, task), and the template too where the units are groups.
    start, rows: (M,) int64, first row id of each unit and how many rows it holds.
    means: (M, d) float64, mean vector of each unit, in units of engine.SCALE; None where the law
    needs none.
    seed: of every random choice.
    features: what the law needs besides, by `Need.key`: of every row of all units, one unit after
    another, or a table.
    known: (M,) int64 twice, where each unit's rows begin in the features and how many these are;
    None: `start` and `rows`. There are more than `rows` where some may not be taken.
    ranked: (m,) int64, the unit of each row that may be taken, best first; for laws that follow a
    ranking of the whole corpus.
    """

    names: Sequence[tuple[str, ...]]
    start: NDArray[np.int64]
    rows: NDArray[np.int64]
    means: NDArray[np.float64] | None
    seed: int
    features: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    known: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None
    ranked: NDArray[np.int64] | None = None

    def feature(self, key: str) -> NDArray[Any]:
        """A feature by `Need.key`. Raises InputError where it was not given."""
        if key not in self.features:
            raise InputError(f'nothing is known of "{key}" of the rows', place="features")
        return self.features[key]

    def feature_of(self, unit: int, key: str) -> NDArray[Any]:
        """A feature of the rows of a unit, those that may not be taken among them."""
        start, rows = self.known or (self.start, self.rows)
        return self.feature(key)[int(start[unit]) : int(start[unit] + rows[unit])]


@dataclass(frozen=True, eq=False)
class Shares:
    """What a law says.

    order: (t,) int64, the chosen units, in the order in which what rounding leaves over goes out.
    weights: (t,) float64 > 0, aligned with `order`; only their ratios count.
    gains: (t,) float64, what the weights were made of, or None.
    rounding: "greedy" as SMART published it, or "largest-remainder".
    """

    order: NDArray[np.int64]
    weights: NDArray[np.float64]
    gains: NDArray[np.float64] | None = None
    rounding: Rounding = "largest-remainder"


class WeightLaw(Options):
    """A law is a frozen dataclass of this kind. Its fields are its parameters.

    name: by which configurations and manifests know it.
    unit: whether it shares among tasks or among groups.
    follows_ranking: whether it looks at `Ground.ranked`: the ranker must rank the whole corpus.
    samples_rows: whether its shares are of rows even where the budget is in tokens, so that every
    row has the same chance. The shares of the others are of the budget, whatever it is in.
    """

    name: ClassVar[str]
    unit: ClassVar[Unit] = "task"
    follows_ranking: ClassVar[bool] = False
    samples_rows: ClassVar[bool] = False

    @property
    def needs_means(self) -> bool:
        """Whether it looks at `Ground.means`."""
        return False

    @property
    def needs(self) -> tuple[Need, ...]:
        """What it reads besides: scores of rows, tables. It finds them in `Ground.features`."""
        return ()

    def check(self, names: Sequence[tuple[str, ...]]) -> None:
        """Raise ConfigError, with the parameter as place, for what cannot be with these tasks.

        names: (source, task) of each; known before anything is embedded.
        """

    def shares(self, ground: Ground, total: int) -> Shares:
        """The shares of the units of `ground` in a mixture of `total` rows."""
        raise NotImplementedError


def task_ground(
    groups: Groups,
    *,
    means: NDArray[np.float64] | None = None,
    seed: int = 0,
    features: Mapping[str, NDArray[Any]] | None = None,
) -> Ground:
    """The tasks of a corpus as the ground of a law. means: (M, d) float64, by task."""
    tasks = groups.tasks()
    names = list(zip(tasks.source, tasks.task, strict=True))
    return Ground(names, tasks.start, tasks.rows, means, seed, features or {})


def group_ground(
    groups: Groups, *, seed: int = 0, ranked: NDArray[np.int64] | None = None
) -> Ground:
    """The groups of a corpus as the ground of a law. ranked: as `Ground` has it."""
    names = list(zip(groups.source, groups.task, groups.template, strict=True))
    return Ground(names, groups.start, groups.rows, None, seed, ranked=ranked)


def on_grid(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights as whole multiples of 2^-40 of the largest, at least one: what a machine's exp or pow
    says in the last bits does not decide who gets a row.
    """
    if not len(weights):
        return weights
    grid: NDArray[np.float64] = np.maximum(1.0, np.round(weights / weights.max() * 2.0**40))
    return grid


def sum_in_order(values: NDArray[np.float64]) -> float:
    """The float64 sum from first to last: the same on every version of Python and numpy."""
    return float(np.add.accumulate(values)[-1]) if len(values) else 0.0
