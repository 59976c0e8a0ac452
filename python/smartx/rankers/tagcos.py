"""Rows whose gradients add up to their cluster's, as TAGCOS has it.

K-means over the gradients; in each cluster orthogonal matching pursuit rebuilds the cluster's mean
gradient from as few rows as it can: the row with the largest product with what is not rebuilt yet,
then weights anew, none of them negative.
Products of rows are exact; sums run on one thread, and what they differ by less than 2^-30 of the
largest is a tie. Another processor may round the weights, and K-means, differently.
Source: Zhang et al. 2024 (TAGCOS, arXiv 2407.15235), utils/mean_grad.py, sk_LESS.py and omp.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from smartx.engine import NOMINAL, Speed
from smartx.errors import InputError
from smartx.needs import Need, names_of_features
from smartx.options import number, one_of, optional, whole
from smartx.rankers.clusters import clusters_of, one_thread
from smartx.rankers.directions import check_width, directions
from smartx.rankers.pool import Pool
from smartx.rankers.ranker import Order, Ranker
from smartx.rankers.rates import checked_rates, rates_of_checkpoints

MOST_ROWS = 8192  # of a cluster, whose products of all pairs are held
ENOUGH = 1e-4  # of the mean gradient's length is left: it counts as rebuilt
_GRID = 2.0**-30  # of the largest product: what differs by less is a tie


@dataclass(frozen=True)
class TagcosRanker(Ranker):
    """Matching pursuit of the mean gradient, cluster beside cluster. Every gain is 0.

    gradients: features, (n, d) values each, one of each checkpoint; their mean by `rates` counts.
    rates: learning rates of the checkpoints; none: equal.
    clusters, iterations: of K-means.  seed: of its start.
    share: so large a part of each cluster is one pursuit, at least one row.  ridge: of its weights.
    Published: a pursuit of a share of 0.05 of each cluster, ridge 1, 100 clusters, begun anew on
    what is left where it ends early. Ours: the order inside of a pursuit is that in which rows were
    accepted; further pursuits order what is left; clusters advance side by side, so that the prefix
    of any size holds the same part of each.
    A cluster above MOST_ROWS rows is refused.
    """

    gradients: Annotated[tuple[str, ...], names_of_features()] = ("gradients",)
    rates: Annotated[tuple[float, ...] | None, optional(rates_of_checkpoints())] = None
    clusters: Annotated[int, whole(1)] = 100
    iterations: Annotated[int, whole(1)] = 20
    share: Annotated[float, number(0, 1, above=True)] = 0.05
    ridge: Annotated[float, number(0, 1e12, above=True)] = 1.0
    seed: int = 0
    per: Annotated[str, one_of("template", "task", "corpus")] = field(default="task", kw_only=True)

    name: ClassVar[str] = "tagcos"

    def __post_init__(self) -> None:
        super().__post_init__()
        checked_rates(self.rates, len(self.gradients))

    @property
    def needs(self) -> tuple[Need, ...]:
        """Gradients of the rows."""
        return tuple(Need(name, "matrix") for name in self.gradients)

    def seconds(
        self, sizes: NDArray[np.int64], dimensions: int, speed: Speed = NOMINAL
    ) -> NDArray[np.float64]:
        """K-means on one thread, the products inside of clusters, the pursuits."""
        clusters = np.minimum(sizes, self.clusters)
        inside = sizes / np.maximum(clusters, 1)
        width = max(1, dimensions // len(self.gradients))
        means = (1e-10 * width + 8e-10) * clusters * self.iterations
        pursuits = 1e-10 * width * inside + 1e-5 + 2e-9 * inside * self.share * inside
        return np.asarray((means + pursuits) / speed.greedy * sizes + 5e-3, dtype=np.float64)

    def memory(self, sizes: NDArray[np.int64], dimensions: int, threads: int) -> int:
        """The mean gradients twice, and the products inside of a cluster."""
        width = max(1, dimensions // len(self.gradients))
        largest = int(sizes.max(initial=0))
        return 8 * width * largest + 24 * min(largest, MOST_ROWS) ** 2

    def rank(self, pool: Pool, *, threads: int) -> Order:
        """Each unit by itself."""
        order = np.empty(len(pool), dtype=np.int32)
        with one_thread():
            for part in pool.parts():
                rows = self._mean_gradients(pool, part)
                labels = clusters_of(
                    rows,
                    self.clusters,
                    pool.row_ids[part],
                    seed=self.seed,
                    iterations=self.iterations,
                )
                order[part] = side_by_side(rows, labels, self.share, self.ridge)
        return order, np.zeros(len(pool))

    def _mean_gradients(self, pool: Pool, part: slice) -> NDArray[np.float32]:
        first = pool.feature(self.gradients[0])
        total = np.zeros((part.stop - part.start, first.shape[1]), dtype=np.float32)
        rates = checked_rates(self.rates, len(self.gradients))
        for name, rate in zip(self.gradients, rates, strict=True):
            own = pool.feature(name)
            if len(own):
                check_width(first, own, (self.gradients[0], name))
            total += np.float32(rate) * own[part].astype(np.float32)
        return total


def side_by_side(
    rows: NDArray[np.floating[Any]], labels: NDArray[np.int32], share: float, ridge: float
) -> NDArray[np.int32]:
    """All rows, the k-th of the n of a cluster at k / n; ties go to the lower cluster."""
    at = np.empty(len(rows))
    turn = np.empty(len(rows), dtype=np.int64)
    for label in range(int(labels.max(initial=-1)) + 1):
        members = np.flatnonzero(labels == label)
        if len(members) > MOST_ROWS:
            raise InputError(
                f"a cluster has {len(members):,} rows, and there is room for the products of all "
                f"pairs of {MOST_ROWS:,}",
                place="clusters",
                fix="ask for more clusters, or rank by task (`per`)",
            )
        order = pursuits(rows[members], share, ridge)
        at[members[order]] = np.arange(1, len(order) + 1) / len(order)
        turn[members[order]] = np.arange(len(order))
    return np.lexsort((turn, labels, at)).astype(np.int32)


def pursuits(rows: NDArray[np.floating[Any]], share: float, ridge: float) -> NDArray[np.int64]:
    """All rows of a cluster: those of one pursuit, in the order in which they were accepted, then
    those of one over what is left, again and again.
    """
    unit, lengths = directions(rows, name="gradients")
    inner = (unit @ unit.T) * lengths[:, None] * lengths
    aim = np.add.reduce(inner, axis=0) / len(rows)
    length = float(np.add.accumulate(aim)[-1]) / len(rows)
    whole_round = max(1, int(len(rows) * share))
    left, order, budget = np.flatnonzero(lengths > 0), [], 0
    while len(left):
        budget = budget or whole_round
        own = inner[np.ix_(left, left)]
        found = pursuit(own, aim[left], length, min(budget, len(left)), ridge)
        if not found:
            break
        order.extend(left[found].tolist())
        budget -= len(found)
        left = np.delete(left, found)
    rest = np.setdiff1d(np.arange(len(rows)), order)
    rest = rest[np.argsort(-_on_grid(aim)[rest], kind="stable")]
    return np.concatenate([np.array(order, dtype=np.int64), rest])


def pursuit(
    inner: NDArray[np.float64], aim: NDArray[np.float64], length2: float, most: int, ridge: float
) -> list[int]:
    """Orthogonal matching pursuit with weights >= 0: at most `most` rows as they were accepted.

    inner: (n, n) products of the rows, none of them zero.  aim: (n,) their products with the
    target, whose squared length is `length2`. A row whose weight turns negative is put back; when
    that happens to the row that came last, or one comes again, it ends.
    """
    chosen: list[int] = []
    weights = np.zeros(0)
    while len(chosen) < most:
        rebuilt = inner[:, chosen]
        rest2 = length2 - 2 * weights @ aim[chosen] + weights @ rebuilt[chosen] @ weights
        if rest2 < (ENOUGH * ENOUGH) * length2 or not length2 > 0:
            break
        row = int(_on_grid(aim - rebuilt @ weights, aim).argmax())
        if row in chosen:
            break
        chosen.append(row)
        if len(chosen) == 1:
            weights = aim[chosen] / inner[row, row]
            continue
        weights = _weights(inner, aim, chosen, ridge)
        while weights.min() < 0:
            worst = int(weights.argmin())
            last = worst == len(chosen) - 1
            del chosen[worst]
            if last:
                return chosen
            weights = _weights(inner, aim, chosen, ridge)
    return chosen


def _weights(
    inner: NDArray[np.float64], aim: NDArray[np.float64], chosen: list[int], ridge: float
) -> NDArray[np.float64]:
    own = inner[np.ix_(chosen, chosen)] + ridge * np.eye(len(chosen))
    return np.asarray(np.linalg.solve(own, aim[chosen]))


def _on_grid(
    values: NDArray[np.float64], scale: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Whole multiples of 2^-30 of the largest value of `scale`: rounding errors break no tie."""
    step = _GRID * float(np.abs(values if scale is None else scale).max(initial=0.0))
    grid: NDArray[np.float64] = np.rint(values / step) if step > 0 else values
    return grid
