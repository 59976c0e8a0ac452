"""The log-linear response: metric = c + exp(b + w . shares), with error bars at n < 2 p.

    f(x) = m + s (exp(k g(x)) - 1) / k,   g(x) = a + w . (x - centre)
is the same family: c = m - s / k, and the factor s / k of the exponential. k says how bent it is;
k = 0 is the plain linear regression in shares. Tasks are as many as runs, so w has a prior, normal
with variance 1/ridge of the noise's. For every (k, ridge) of a grid the best (a, w) is found by
Gauss-Newton and the evidence by Laplace's approximation, the noise variance integrated out; what is
said is the average over the grid by evidence. So nothing is plugged in as if it were known, and the
intervals are those of the posterior: on average over mixtures like those of the swarm they cover
the truth at their level (Nychka, 1988), which bench/cases/swarm_coverage.py measures.
Source of the form: data mixing laws (Ye et al., 2024, arXiv 2403.16952, equation 7); olmix
(arXiv 2602.12237) fits the same without a prior.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from smartx.swarm.surface import Matrix, Prediction, Vector

BENDS = (0.0, 0.15, 0.3, 0.5, 0.8, 1.2)  # k, where y has variance 1; all as likely beforehand
RIDGES = tuple(10.0 ** (power / 4) for power in range(-14, 3))  # noise over signal: 3e-4 to 3
_STEPS = 40  # of Gauss-Newton, at most
_LARGEST = 30.0  # of an exponent: beyond it a step is refused


@dataclass(frozen=True, eq=False)
class Node:
    """One (k, ridge) of the grid, fitted. best: (p + 1,) a and w.  root: (p + 1, p + 1) lower
    triangle of the posterior's precision in units of the noise.  scale: noise variance.
    """

    bend: float
    best: Vector
    root: Matrix
    scale: float
    evidence: float


@dataclass(frozen=True, eq=False)
class LogLinear:
    """The fitted surface. centre: (p,).  unit: of the columns.  mean, size: of the metric."""

    nodes: tuple[Node, ...]
    weights: Vector
    centre: Vector
    unit: float
    mean: float
    size: float
    freedom: float

    def predict(self, shares: Matrix) -> Prediction:
        """See Surface."""
        return self._averaged(shares, None)

    def difference(self, shares: Matrix, base: Vector) -> Prediction:
        """See Surface."""
        return self._averaged(shares, base)

    def _averaged(self, shares: Matrix, base: Vector | None) -> Prediction:
        """Mean and variance over the grid: of each node's, and between them."""
        means, variances = [], []
        for node in self.nodes:
            mean, slopes = _response(node, self._design(shares))
            if base is not None:
                at_base, slope = _response(node, self._design(base[None, :]))
                mean, slopes = mean - at_base, slopes - slope
            means.append(mean)
            variances.append(node.scale * (np.linalg.solve(node.root, slopes.T) ** 2).sum(axis=0))
        every, weights = np.array(means), self.weights[:, None]
        middle = (weights * every).sum(axis=0)
        variance = (weights * (np.array(variances) + (every - middle) ** 2)).sum(axis=0)
        offset = self.mean if base is None else 0.0
        return Prediction(
            offset + self.size * middle, self.size * np.sqrt(variance), self.noise, self.freedom
        )

    @cached_property
    def noise(self) -> float:
        """The standard deviation of a run around its response."""
        scales = np.array([node.scale for node in self.nodes])
        return self.size * float(np.sqrt((self.weights * scales).sum()))

    def _design(self, shares: Matrix) -> Matrix:
        return _design(shares, self.centre, self.unit)


def fit_log_linear(shares: Matrix, metric: Vector) -> LogLinear:
    """The surface of measured runs. shares: (n, p).  metric: (n,), lower is better, not constant.

    Deterministic; the last bits depend on the linear algebra of this machine.
    """
    centre, size = shares.mean(axis=0), float(metric.std())
    unit = float(np.sqrt(((shares - centre) ** 2).sum(axis=1).mean())) or 1.0
    design, target = _design(shares, centre, unit), (metric - metric.mean()) / size
    nodes = []
    for bend in BENDS:
        start = np.zeros(design.shape[1])
        for ridge in reversed(RIDGES):  # from the stiffest: each begins where the last one ended
            node = _fitted(design, target, bend, ridge, start)
            start = node.best
            nodes.append(node)
    evidence = np.array([node.evidence for node in nodes])
    weights = np.exp(evidence - evidence.max())
    weights /= weights.sum()
    kept = np.flatnonzero(weights > 1e-4)
    return LogLinear(
        tuple(nodes[i] for i in kept),
        weights[kept] / weights[kept].sum(),
        centre,
        unit,
        float(metric.mean()),
        size,
        len(metric) - 1.0,
    )


def _design(shares: Matrix, centre: Vector, unit: float) -> Matrix:
    """(n, p + 1): ones, and the columns of shares about their centre, of mean square 1 a row."""
    return np.column_stack([np.ones(len(shares)), (shares - centre) / unit])


def _response(node: Node, design: Matrix) -> tuple[Vector, Matrix]:
    return _curve(node.bend, node.best, design)


def _curve(bend: float, best: Vector, design: Matrix) -> tuple[Vector, Matrix]:
    """(n,) the responses, in units of the metric's size, and (n, p + 1) their slopes in `best`."""
    inner = design @ best
    if bend == 0:
        return inner, design
    grown = np.exp(np.minimum(bend * inner, _LARGEST))
    return (grown - 1) / bend, grown[:, None] * design


def _fitted(design: Matrix, target: Vector, bend: float, ridge: float, start: Vector) -> Node:
    """The best (a, w) of one (k, ridge): Gauss-Newton, halving a step that does not go down."""
    stiff = np.full(design.shape[1], ridge)
    stiff[0] = 1e-9  # a is free
    best = start
    lost = _loss(design, target, bend, stiff, best)
    for _ in range(_STEPS if bend else 1):
        response, slopes = _curve(bend, best, design)
        precision = slopes.T @ slopes + np.diag(stiff)
        step = np.linalg.solve(precision, slopes.T @ (target - response) - stiff * best)
        length = 1.0
        while (now := _loss(design, target, bend, stiff, best + length * step)) > lost:
            length /= 2
            if length < 1e-6:
                break
        if length < 1e-6:
            break
        best, gone, lost = best + length * step, lost - now, now
        if gone <= 1e-9 * (1 + lost):
            break
    _, slopes = _curve(bend, best, design)
    root = np.linalg.cholesky(slopes.T @ slopes + np.diag(stiff))
    freedom = len(target) - 1
    evidence = (
        0.5 * (len(best) - 1) * np.log(ridge)
        - np.log(np.diag(root)).sum()
        - 0.5 * freedom * np.log(lost)
    )
    return Node(bend, best, root, lost / freedom, float(evidence))


def _loss(design: Matrix, target: Vector, bend: float, stiff: Vector, best: Vector) -> float:
    rest = target - _curve(bend, best, design)[0]
    return float(rest @ rest + stiff @ best**2)
