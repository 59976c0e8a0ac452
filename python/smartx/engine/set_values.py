"""What any set of rows is worth, and what each row would add to it: the functions, not the search.

Formulas as they stand in objectives.py, in numpy: n k similarities for a value, n^2 for the gains
of all rows. Of rows, facility location counts cosines as the dense kernel does (kernel.hpp), to 16
bits, so that a set has the value that `maximize` gave it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smartx.engine.dense import DenseKernel
from smartx.engine.fixed_point import SCALE, as_rows
from smartx.engine.given import places_of, weights_of
from smartx.engine.graph import SimilarityGraph
from smartx.engine.objectives import FacilityLocation, GraphCut, LogDet, Objective
from smartx.engine.select import check_objective
from smartx.errors import InputError

_COLUMNS = 256  # whose similarities with all rows are held at once
_LARGEST = 65_535
Reals = NDArray[np.float64]


def evaluate(
    function: Objective,
    X: ArrayLike | SimilarityGraph | DenseKernel,
    items: ArrayLike,
    *,
    weights: ArrayLike | None = None,
) -> float:
    """f(S) of any set of rows, in the units of the function's definition; 0 of no rows.

    For log-det it is log det(K_S + ridge I), as in the definition.
    X: as `maximize` takes it.  items: (k,) places without repeats, or (n,) booleans.
    weights: (n,) >= 0, how much it counts that each row is covered; facility location only.
    Raises InputError that names the argument at fault.

    >>> import numpy as np, smartx
    >>> rows = np.eye(3)[[0, 0, 1, 2]]
    >>> best = smartx.maximize(smartx.FacilityLocation(), rows, 2)
    >>> value = smartx.evaluate(smartx.FacilityLocation(), rows, best.indices)
    >>> round(value, 2), bool(np.isclose(value, best.value))
    (3.0, True)
    """
    ground, chosen, weighs = _arguments(function, X, items, weights)
    if not len(chosen):
        return 0.0
    if isinstance(function, LogDet):
        found = np.linalg.slogdet(_regularised(ground, chosen, function))
        return float(found[1]) if found[0] > 0 else float("-inf")
    covers = ground.columns(chosen)
    if isinstance(function, FacilityLocation):
        return float((weighs * np.maximum(0.0, covers.max(axis=1))).sum() * ground.unit)
    near = float(covers.sum())
    return (near - function.penalty * float(covers[chosen].sum())) * ground.unit


def marginal_gains(
    function: Objective,
    X: ArrayLike | SimilarityGraph | DenseKernel,
    items: ArrayLike = (),
    *,
    weights: ArrayLike | None = None,
) -> Reals:
    """(n,) float64, f(S + v) - f(S) of every row v; 0 of those that are in S.

    Arguments as `evaluate` has them; items: S. Time: n^2 similarities, none of which are kept.

    >>> import numpy as np, smartx
    >>> smartx.marginal_gains(smartx.FacilityLocation(), np.eye(3)[[0, 0, 1]], [2]).round(2)
    array([2., 2., 0.])
    """
    ground, chosen, weighs = _arguments(function, X, items, weights)
    if isinstance(function, FacilityLocation):
        gains = _facility_gains(ground, chosen, weighs)
    elif isinstance(function, GraphCut):
        gains = _cut_gains(ground, chosen, function.penalty)
    else:
        gains = _log_det_gains(ground, chosen, function)
    gains[chosen] = 0.0
    return gains


@dataclass(frozen=True, eq=False)
class _Ground:
    """Similarities by column: how well some rows cover all of them.

    unit: what a similarity is multiplied by before anybody sees it.
    """

    source: Any
    n: int
    unit: float
    sixteen_bits: bool = False

    def columns(self, items: NDArray[Any]) -> Reals:
        """(n, k) float64 in units: entry (u, i) says how well items[i] covers u."""
        if isinstance(self.source, DenseKernel):
            return self.source.values[:, items].astype(np.float64)
        if isinstance(self.source, SimilarityGraph):
            return self._of_graph(items)
        found: Reals = self.source.astype(np.float64) @ self.source[items].T.astype(np.float64)
        if self.sixteen_bits:  # (max(0, s) + 128) >> 8, at most 65535
            np.maximum(found, 0.0, out=found)
            found += 128.0
            np.floor(np.multiply(found, 1 / 256, out=found), out=found)
            np.minimum(found, _LARGEST, out=found)
        return found

    def parts(self) -> Iterator[tuple[slice, Reals]]:
        """The columns of all rows, some at a time."""
        for start in range(0, self.n, _COLUMNS):
            own = slice(start, min(self.n, start + _COLUMNS))
            yield own, self.columns(np.arange(own.start, own.stop))

    def _of_graph(self, items: NDArray[Any]) -> Reals:
        graph = self.source
        place = np.full(self.n, -1, dtype=np.int64)
        place[items] = np.arange(len(items))
        column = place[graph.indices]
        rows = np.repeat(np.arange(self.n), np.diff(graph.indptr))
        found = np.zeros((self.n, len(items)))
        there = column >= 0
        found[rows[there], column[there]] = graph.similarities[there]
        return found


def _arguments(
    function: Objective, X: Any, items: ArrayLike, weights: ArrayLike | None
) -> tuple[_Ground, NDArray[np.int32], Reals]:
    check_objective(function)
    source: Any = SimilarityGraph.from_matrix(X) if hasattr(X, "tocsr") else X
    if isinstance(source, DenseKernel):
        ground = _Ground(source, len(source), 1.0)
    elif isinstance(source, SimilarityGraph):
        ground = _Ground(source, source.n, 1.0)
    else:
        rows, covers = as_rows(source), isinstance(function, FacilityLocation)
        unit = (256.0 if covers else 1.0) / (SCALE * SCALE)
        ground = _Ground(rows, len(rows), unit, sixteen_bits=covers)
    whole = isinstance(function, FacilityLocation) or not isinstance(
        source, DenseKernel | SimilarityGraph
    )
    if not whole and not source.is_symmetric():
        fault = "it is not symmetric, and only facility location has a meaning over such a one"
        raise InputError(fault, place="X")
    weighs = np.ones(ground.n) if weights is None else weights_of(function, weights, ground.n)
    return ground, places_of(items, ground.n, "items"), weighs


def _facility_gains(ground: _Ground, chosen: NDArray[np.int32], weighs: Reals) -> Reals:
    best = np.zeros(ground.n)
    if len(chosen):
        best = np.maximum(0.0, ground.columns(chosen).max(axis=1))
    gains = np.empty(ground.n)
    for own, covers in ground.parts():
        gains[own] = weighs @ np.maximum(0.0, covers - best[:, None])
    return gains * ground.unit


def _cut_gains(ground: _Ground, chosen: NDArray[np.int32], penalty: float) -> Reals:
    gains = np.empty(ground.n)
    for own, covers in ground.parts():
        of_itself = covers[np.arange(own.start, own.stop), np.arange(covers.shape[1])]
        within = 2.0 * covers[chosen].sum(axis=0) + of_itself
        gains[own] = covers.sum(axis=0) - penalty * within
    return gains * ground.unit


def _log_det_gains(ground: _Ground, chosen: NDArray[np.int32], function: LogDet) -> Reals:
    """The log of what is left of each row's variance once S is known (Schur complement)."""
    gains = np.empty(ground.n)
    factor = np.linalg.cholesky(_regularised(ground, chosen, function)) if len(chosen) else None
    for own, covers in ground.parts():
        covers *= ground.unit
        left = covers[np.arange(own.start, own.stop), np.arange(covers.shape[1])] + function.ridge
        if factor is not None:
            left -= (np.linalg.solve(factor, covers[chosen]) ** 2).sum(axis=0)
        gains[own] = np.log(np.maximum(left, np.finfo(np.float64).tiny))
    return gains


def _regularised(ground: _Ground, chosen: NDArray[np.int32], function: LogDet) -> Reals:
    """K_S + ridge I."""
    found: Reals = ground.columns(chosen)[chosen] * ground.unit
    return found + function.ridge * np.eye(len(chosen))
