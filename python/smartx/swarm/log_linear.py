"""The log-linear response: metric = c + exp(b + w . shares), with error bars at n < 2 p.

    f(x) = m + s (exp(k g(x)) - 1) / k,   g(x) = a + w . (x - centre)
is the same family: c = m - s / k, and s / k is the factor of the exponential. k, the bend, may be
below 0 (c - exp(..)); k = 0 is the plain linear regression in shares. Tasks are about as many as
runs, so w has a prior: normal, its variance 1/ridge of the noise's. For every (k, ridge) of a grid
the best (a, w) is found by Gauss-Newton and the evidence by Laplace's approximation, the noise
variance integrated out; what is said is the average over the grid by evidence. Nothing is plugged
in as if it were known, and the intervals are those of the posterior: on average over mixtures like
those of the swarm they cover the truth at their level (Nychka, 1988), which
bench/cases/swarm_coverage.py measures.
Source of the form: data mixing laws (Ye et al., 2024, arXiv 2403.16952, equation 7); olmix
(arXiv 2602.12237) fits the same without a prior.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from smartx.swarm.surface import Matrix, Prediction, Vector

BENDS = (-0.8, 1.6)  # between which k is looked for, where the metric has variance 1
RIDGES = tuple(10.0 ** (power / 4) for power in range(-14, 3))  # noise over signal: 3e-4 to 3
_POINTS = 7  # bends of a round; a round looks closer at those that the evidence leaves
_ROUNDS = 5
_DROP = 6.0  # in the logarithm of the evidence: what is lower does not count
_STEPS = 40  # of Gauss-Newton, at most
_LARGEST = 30.0  # of an exponent
_FREE = 1e-9  # stiffness of a, which has no prior


@dataclass(frozen=True, eq=False)
class Node:
    """One (k, ridge) of the grid, fitted. best: (r + 1,) a, and w in the basis.  root: (r + 1,
    r + 1) lower triangle of the posterior's precision in units of the noise.  scale: noise
    variance.  evidence: its logarithm, less a constant.
    """

    bend: float
    ridge: float
    best: Vector
    root: Matrix
    scale: float
    evidence: float


@dataclass(frozen=True, eq=False)
class LogLinear:
    """The fitted surface. weights: of the nodes, sum 1.  centre: (p,).  unit: of the columns.
    basis: (p, r), orthonormal: the directions in which the runs differ. Across them w is as the
    prior has it.  middle, size: mean and deviation of the metric.
    """

    nodes: tuple[Node, ...]
    weights: Vector
    centre: Vector
    unit: float
    basis: Matrix
    middle: float
    size: float
    freedom: float

    def mean(self, shares: Matrix) -> Vector:
        """See Surface."""
        design, _ = self._design(shares)
        inner = design @ np.array([node.best for node in self.nodes]).T
        found = np.full(len(shares), self.middle)
        for node, weight, column in zip(self.nodes, self.weights, inner.T, strict=True):
            found += self.size * weight * _curve(node.bend, column)
        return found

    def predict(self, shares: Matrix) -> Prediction:
        """See Surface."""
        return self._averaged(shares, None)

    def difference(self, shares: Matrix, base: Vector) -> Prediction:
        """See Surface."""
        return self._averaged(shares, base)

    def _averaged(self, shares: Matrix, base: Vector | None) -> Prediction:
        """Mean and variance over the grid: of each node's, and between them."""
        means, variances = [], []
        design, rest = self._design(shares)
        for node in self.nodes:
            mean, slopes, across = _response(node, design, rest)
            if base is not None:
                at_base, slope, aside = _response(node, *self._design(base[None, :]))
                mean, slopes, across = mean - at_base, slopes - slope, across - aside
            means.append(mean)
            known = (np.linalg.solve(node.root, slopes.T) ** 2).sum(axis=0)
            variances.append(node.scale * (known + (across**2).sum(axis=1) / node.ridge))
        every, weights = np.array(means), self.weights[:, None]
        middle = (weights * every).sum(axis=0)
        variance = (weights * (np.array(variances) + (every - middle) ** 2)).sum(axis=0)
        offset = self.middle if base is None else 0.0
        return Prediction(
            offset + self.size * middle, self.size * np.sqrt(variance), self.noise, self.freedom
        )

    @cached_property
    def noise(self) -> float:
        """The standard deviation of a run around its response."""
        scales = np.array([node.scale for node in self.nodes])
        return self.size * float(np.sqrt((self.weights * scales).sum()))

    def _design(self, shares: Matrix) -> tuple[Matrix, Matrix]:
        """(n, r + 1): ones and coordinates in the basis; (n, p): what lies across it."""
        rows = (shares - self.centre) / self.unit
        along = rows @ self.basis
        return _with_ones(along), rows - along @ self.basis.T


def fit_log_linear(shares: Matrix, metric: Vector) -> LogLinear:
    """The surface of measured runs. shares: (n, p).  metric: (n,), lower is better, not constant.

    Deterministic; the last bits depend on the linear algebra of this machine.
    """
    centre, size = shares.mean(axis=0), float(metric.std())
    unit = float(np.sqrt(((shares - centre) ** 2).sum(axis=1).mean())) or 1.0
    rows = (shares - centre) / unit
    basis = _basis(rows)
    nodes = _grid(_with_ones(rows @ basis), (metric - metric.mean()) / size)
    evidence = np.array([node.evidence for node in nodes])
    weights = np.exp(evidence - evidence.max())
    kept = np.flatnonzero(weights > 1e-3 * weights.sum())
    return LogLinear(
        tuple(nodes[i] for i in kept),
        weights[kept] / weights[kept].sum(),
        centre,
        unit,
        basis,
        float(metric.mean()),
        size,
        len(metric) - 1.0,
    )


def _grid(design: Matrix, target: Vector) -> list[Node]:
    """Nodes at bends of equal distance, as far as the evidence reaches, at every ridge that counts.

    A sharp evidence may lie between two bends of a round, so rounds go on until several count.
    """
    bends, ridges = np.linspace(*BENDS, _POINTS), np.array(RIDGES)
    for _ in range(_ROUNDS):
        table = [_column(design, target, float(bend), ridges) for bend in bends]
        evidence = np.array([[node.evidence for node in column] for column in table])
        counts = evidence > evidence.max() - _DROP
        rows, columns = np.flatnonzero(counts.any(axis=1)), np.flatnonzero(counts.any(axis=0))
        first, last = max(0, int(rows[0]) - 1), min(len(bends) - 1, int(rows[-1]) + 1)
        ridges = ridges[max(0, int(columns[0]) - 1) : int(columns[-1]) + 2]
        if len(rows) > _POINTS // 2:
            break
        bends = np.linspace(bends[first], bends[last], _POINTS)
    return [node for column in table for node in column]


def _column(design: Matrix, target: Vector, bend: float, ridges: Vector) -> list[Node]:
    """The nodes of one bend, from the stiffest: each begins where the last one ended."""
    start, nodes = np.zeros(design.shape[1]), []
    for ridge in ridges[::-1].tolist():
        node = _fitted(design, target, bend, ridge, start)
        start = node.best
        nodes.append(node)
    return nodes[::-1]


def _basis(rows: Matrix) -> Matrix:
    """(p, r) orthonormal directions in which rows about their mean differ."""
    _, sizes, directions = np.linalg.svd(rows, full_matrices=False)
    found: Matrix = directions[sizes > 1e-9 * sizes.max(initial=0.0)].T
    return found


def _with_ones(columns: Matrix) -> Matrix:
    return np.column_stack([np.ones(len(columns)), columns])


def _curve(bend: float, inner: Vector) -> Vector:
    """(n,) the responses, in units of the metric's size. inner: (n,) g."""
    if abs(bend) < 1e-9:
        return inner
    curve: Vector = np.expm1(np.clip(bend * inner, -_LARGEST, _LARGEST)) / bend
    return curve


def _grown(bend: float, inner: Vector) -> Vector:
    """(n,) the slopes of `_curve`."""
    grown: Vector = np.exp(np.clip(bend * inner, -_LARGEST, _LARGEST))
    return grown


def _response(node: Node, design: Matrix, rest: Matrix) -> tuple[Vector, Matrix, Matrix]:
    """(n,) the responses, (n, r + 1) their slopes in `best`, (n, p) those in w across the basis."""
    inner = design @ node.best
    grown = _grown(node.bend, inner)[:, None]
    return _curve(node.bend, inner), grown * design, grown * rest


def _fitted(design: Matrix, target: Vector, bend: float, ridge: float, start: Vector) -> Node:
    """The best (a, w) of one (k, ridge): Gauss-Newton, halving a step that does not go down."""
    stiff = np.full(design.shape[1], ridge)
    stiff[0] = _FREE
    best, lost = start, _loss(design, target, bend, stiff, start)
    for _ in range(_STEPS):
        inner = design @ best
        slopes = _grown(bend, inner)[:, None] * design
        precision = slopes.T @ slopes + np.diag(stiff)
        downhill = slopes.T @ (target - _curve(bend, inner)) - stiff * best
        step = np.linalg.solve(precision, downhill)
        length, before = 1.0, lost
        while (now := _loss(design, target, bend, stiff, best + length * step)) > lost:
            length /= 2
            if length < 1e-6:
                break
        else:
            best, lost = best + length * step, now
        if before - lost <= 1e-7 * before:
            break
    slopes = _grown(bend, design @ best)[:, None] * design
    root = np.linalg.cholesky(slopes.T @ slopes + np.diag(stiff))
    freedom = len(target) - 1
    evidence = (
        0.5 * (len(best) - 1) * np.log(ridge)
        - np.log(np.diag(root)).sum()
        - 0.5 * freedom * np.log(lost)
    )
    return Node(bend, ridge, best, root, lost / freedom, float(evidence))


def _loss(design: Matrix, target: Vector, bend: float, stiff: Vector, best: Vector) -> float:
    rest = target - _curve(bend, design @ best)
    return float(rest @ rest + stiff @ best**2)
