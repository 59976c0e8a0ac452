"""maximize(): a set function, a ground set and a budget -> what greedy chooses."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, NoReturn, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smartx import _core
from smartx.engine.dense import DenseKernel
from smartx.engine.fixed_point import as_rows, native
from smartx.engine.given import (
    check_first,
    costs_of,
    epsilon_of,
    places_of,
    seed_of,
    weighed_ground,
    weights_of,
)
from smartx.engine.graph import SimilarityGraph, knn_graph
from smartx.engine.memory import (
    DENSE_BYTES,
    GRAPH_NEIGHBOURS,
    check_log_det,
    dense_head,
    kernel_fits,
)
from smartx.engine.objectives import FacilityLocation, GraphCut, LogDet, Objective, in_core
from smartx.engine.on_card import card_for_kernel, kernel_on
from smartx.engine.threads import resolve_threads, whole_number
from smartx.errors import InputError

OptimizerName: TypeAlias = Literal["lazy", "naive", "stochastic", "lazier-than-lazy"]

_OPTIMIZERS = {
    "lazy": _core.Optimizer.lazy,
    "naive": _core.Optimizer.naive,
    "stochastic": _core.Optimizer.stochastic,
    "lazier-than-lazy": _core.Optimizer.lazier_than_lazy,
}


@dataclass(frozen=True, slots=True, eq=False)
class Subset:
    """What greedy chose, in the order it chose it.

    items: (k,) int32, rows of the ground set, no repeats.
    gains: (k,) float64, marginal gain of items[i] when it was added, in the units of the function's
    definition (similarities of rows are cosines).
    engine: which engine ran: "dense-u16", "graph", "graph+dense-head", "rows", "kernel-float64".
    With "graph+dense-head" the first gains are those of the dense objective, the others those of
    the graph's, which knows near rows alone.
    evaluations: how many gains were computed anew (more where a card made a kernel of equal rows).
    bound: no set of k rows has a larger value than this; None unless the certificate was asked for.
    exact_value: where the engine is "graph+dense-head" and the certificate was asked for, the dense
    objective of the chosen rows, which `bound` then belongs to; else None.

    >>> import numpy as np, smartx
    >>> subset = smartx.maximize(smartx.FacilityLocation(), np.eye(4, 5), 2, certificate=True)
    >>> len(subset), subset.indices.tolist(), bool(subset.value <= subset.bound)
    (2, [0, 1], True)
    """

    items: NDArray[np.int32]
    gains: NDArray[np.float64]
    engine: str
    evaluations: int
    bound: float | None = None
    exact_value: float | None = None

    def __post_init__(self) -> None:
        self.items.flags.writeable = self.gains.flags.writeable = False

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[int]:
        return iter(self.items.tolist())

    @property
    def indices(self) -> NDArray[np.int32]:
        """`items` under the name that others give it."""
        return self.items

    @property
    def value(self) -> float:
        """What S is worth more than the empty set: the sum of the gains."""
        return math.fsum(self.gains)


@dataclass(frozen=True)
class _Task:
    """The arguments of one run that do not depend on where the similarities come from."""

    function: Objective
    budget: int
    optimizer: str
    seed: int
    epsilon: float
    threads: int
    certificate: bool
    costs: NDArray[np.float64] | None = None
    total: float = 0.0
    templates: NDArray[np.int32] | None = None
    first: NDArray[np.int32] | None = None

    def request(self) -> _core.Request:
        return _core.Request(
            in_core(self.function),
            self.budget,
            _OPTIMIZERS[self.optimizer],
            self.seed,
            self.epsilon,
            self.certificate,
            costs=self.costs,
            total=self.total,
            templates=self.templates,
            first=self.first,
        )


def maximize(
    function: Objective,
    X: ArrayLike | SimilarityGraph | DenseKernel,
    budget: float,
    *,
    costs: ArrayLike | None = None,
    optimizer: OptimizerName = "lazy",
    seed: int = 0,
    epsilon: float = 0.01,
    threads: int | None = None,
    memory_bytes: int = DENSE_BYTES,
    certificate: bool = False,
    initial_subset: ArrayLike | None = None,
    weights: ArrayLike | None = None,
) -> Subset:
    """Choose `budget` rows by greedy: every round the row of largest gain, ties to the lower row.

    X: (n, d) float32 or float64 embedding rows (any length, any memory order) or int16 Q12 rows; or
    a SimilarityGraph or scipy sparse matrix; or a DenseKernel. In a graph or kernel, entry (u, v)
    says how well v covers u; facility location takes an asymmetric one, the others refuse it.
    budget: 0..n rows, or what they may cost together. It goes on below zero where gains are
    negative.
    costs: (n,) numbers above zero, for example tokens: then greedy by gain and greedy by gain per
    cost each go on until nothing more fits, and the better set is chosen. For facility location it
    is worth at least (1 - 1/e) / 2 of the best. Only for "lazy" and "naive".
    optimizer: "lazy" gives what "naive" gives, faster. "stochastic" looks at ceil(n / budget *
    log(1 / epsilon)) random rows a round; "lazier-than-lazy" gives the same as it, faster.
    seed: of those samples; its low 64 bits count.  epsilon: above 0, below 1.
    threads: None for default_threads(); at most twice the processors are used (8 on small
    machines). The result does not depend on it.
    memory_bytes: facility location over rows uses a dense kernel of 2 n^2 bytes up to this size.
    Above it, an exact 64-nearest-neighbour graph proposes candidates, dense greedy among them
    chooses the first rows, and the objective of the graph is maximised from there on.
    certificate: also compute Subset.bound, at one more gain per remaining row (above
    memory_bytes: at about the time of the graph). For a log-det kernel it supposes that the kernel
    is positive semidefinite.
    initial_subset: rows that are in S from the start, as places or (n,) booleans: the others are
    chosen for what they add to these, which are neither counted nor returned.
    weights: (n,) numbers >= 0, how much it counts that each row is covered: facility location is
    then the sum of weights[u] times the largest similarity. A kernel of 8 n^2 bytes is used up to
    memory_bytes, and above it the graph alone.
    Raises InputError before any work where an argument is at fault, such as a ridge that rounding
    would hide; and during it where a log-det kernel turns out not to be positive definite.

    >>> import numpy as np, smartx
    >>> rows = np.eye(3)[[0, 0, 0, 1, 1, 2]]
    >>> smartx.maximize(smartx.FacilityLocation(), rows, 2).indices
    array([0, 3], dtype=int32)
    >>> smartx.maximize(smartx.FacilityLocation(), rows, 2, initial_subset=[1]).indices
    array([3, 5], dtype=int32)
    """
    check_objective(function)
    if optimizer not in _OPTIMIZERS:
        names = ", ".join(map(repr, _OPTIMIZERS))
        raise InputError(f"{optimizer!r} is unknown", place="optimizer", fix=f"use one of {names}")
    ground: Any = SimilarityGraph.from_matrix(X) if hasattr(X, "tocsr") else X
    if not isinstance(ground, (SimilarityGraph, DenseKernel)):
        ground = _array_of(ground)
    size = ground.n if isinstance(ground, SimilarityGraph) else len(ground)
    first = None
    if initial_subset is not None:
        first = places_of(initial_subset, size, "initial_subset")
        check_first(first, optimizer, costs, certificate)
    limits = (
        None if costs is None else costs_of(function, costs, budget, size, optimizer, certificate)
    )
    most = size if first is None else size - len(first)
    task = _Task(
        function,
        whole_number(budget, "budget", 0, most) if limits is None else 0,
        optimizer,
        seed_of(seed),
        epsilon_of(epsilon),
        resolve_threads(threads),
        bool(certificate),
        costs=None if limits is None else limits[0],
        total=0.0 if limits is None else limits[1],
        first=None if first is None else np.sort(first),
    )
    memory = whole_number(memory_bytes, "memory_bytes", 0, 1 << 62)
    if weights is not None:
        known = weights_of(function, weights, size)
        if not isinstance(ground, (SimilarityGraph, DenseKernel)):
            ground = as_rows(ground, threads=task.threads)
        ground = weighed_ground(ground, known, memory, task.threads)
    if isinstance(function, LogDet) and isinstance(ground, (SimilarityGraph, DenseKernel)):
        chosen = task.budget + size - most
        check_log_det(size, chosen if costs is None else size)
    if isinstance(ground, SimilarityGraph):
        return _over_graph(task, ground)
    if isinstance(ground, DenseKernel):
        return _over_kernel(task, ground)
    rows = as_rows(ground, threads=task.threads)
    return _over_rows(task, rows, memory)


def order_rows(
    function: Objective,
    rows: NDArray[np.int16],
    templates: NDArray[np.int32] | None,
    first: NDArray[np.int32],
    *,
    threads: int,
    memory_bytes: int,
) -> Subset:
    """What lazy greedy chooses of all rows but those that come first and are in S from the start.

    rows: (n, d) Q12.  templates: (n,) in 0..n-1, each of which keeps to its share of the rows, or
    None.  first: rows, ascending.
    """
    task = _Task(
        function,
        len(rows) - len(first),
        "lazy",
        0,
        0.01,
        threads,
        certificate=False,
        templates=templates,
        first=first,
    )
    return _over_rows(task, rows, memory_bytes)


def check_objective(function: object) -> None:
    """Raise InputError unless `function` is one of the objectives."""
    if not isinstance(function, (FacilityLocation, GraphCut, LogDet)):
        raise InputError(
            f"{function!r} is no set function",
            place="function",
            fix="pass FacilityLocation(), GraphCut(penalty=0.4) or LogDet(ridge=1.0)",
        )


def _over_rows(task: _Task, rows: NDArray[np.int16], memory_bytes: int) -> Subset:
    if not isinstance(task.function, FacilityLocation):
        return _selection(_core.maximize_rows(rows, task.request(), task.threads), "rows")
    if kernel_fits(len(rows), memory_bytes):
        return _over_kernel16(task, rows)
    graph = knn_graph(rows, GRAPH_NEIGHBOURS, "exact", threads=task.threads)
    if task.costs is not None:
        return _over_graph(task, graph)
    subset = _with_head(task, rows, graph, memory_bytes)
    if not task.certificate:
        return subset
    value, gap = _core.dense_worth(rows, subset.items, task.threads)
    return replace(subset, bound=value + gap, exact_value=value)


def _with_head(
    task: _Task, rows: NDArray[np.int16], graph: SimilarityGraph, memory_bytes: int
) -> Subset:
    """Greedy over the graph; its first rows by the dense objective, unless rows are sampled."""
    n, d = rows.shape
    candidates, head = dense_head(n, memory_bytes)
    if head == 0 or task.optimizer not in ("lazy", "naive"):
        return _over_graph(replace(task, certificate=False), graph)
    weights = graph.weights.astype(np.int32, copy=False)  # they are: the graph is of Q12 rows
    arrays = (graph.indptr, graph.indices, weights)  # symmetric: row v is what v covers too
    request = (task := replace(task, certificate=False)).request()
    card = card_for_kernel(candidates, n, d, task.threads) if task.budget else None
    if card is not None:
        budget = min(candidates, n - (0 if task.first is None else len(task.first)))
        proposing = replace(task, budget=budget).request()
        items, _, evaluations, _ = _core.maximize_graph(*arrays, proposing, task.threads)
        items = np.sort(items)  # ties go to the lower row
        kernel = kernel_on(card, rows, items, threads=task.threads)
        if kernel is not None:
            chosen = _core.maximize_with_ready_head(
                rows, *arrays, items, kernel, head, request, task.threads
            )
            subset = _selection(chosen, "graph+dense-head")
            return replace(subset, evaluations=subset.evaluations + evaluations)
    chosen = _core.maximize_with_head(rows, *arrays, candidates, head, request, task.threads)
    return _selection(chosen, "graph+dense-head")


def _over_kernel16(task: _Task, rows: NDArray[np.int16]) -> Subset:
    n, d = rows.shape
    plain = task.optimizer in ("lazy", "naive") and task.costs is None and not task.certificate
    card = card_for_kernel(n, n, d, task.threads) if plain else None
    kernel = None if card is None else kernel_on(card, rows, None, threads=task.threads)
    if kernel is None:
        return _selection(_core.maximize_rows(rows, task.request(), task.threads), "dense-u16")
    chosen = _core.maximize_kernel16(kernel, task.request(), task.threads)
    return _selection(chosen, "dense-u16")


def _over_graph(task: _Task, graph: SimilarityGraph) -> Subset:
    arrays = (graph.indptr, graph.indices, graph.weights)
    covers = _core.transposed_graph(*arrays, task.threads)  # row v: what v covers
    symmetric = all(np.array_equal(a, b) for a, b in zip(arrays, covers, strict=True))
    if not symmetric and not isinstance(task.function, FacilityLocation):
        _refuse_asymmetric("the graph", "symmetrise it: knn_graph(..., symmetric=True)")
    with _refusals(task, graph):
        chosen = _core.maximize_graph(
            *(arrays if symmetric else covers), task.request(), task.threads
        )
    return _selection(chosen, "graph")


def _over_kernel(task: _Task, kernel: DenseKernel) -> Subset:
    values = kernel.values
    if not kernel.is_symmetric():
        if not isinstance(task.function, FacilityLocation):
            _refuse_asymmetric("the kernel", "pass (K + K.T) / 2 if rounding is the cause")
        values = np.ascontiguousarray(values.T)  # row v: what v covers
    with _refusals(task, kernel):
        chosen = _core.maximize_kernel(values, task.request(), task.threads)
    return _selection(chosen, f"kernel-{values.dtype}")


def _selection(
    chosen: tuple[NDArray[np.int32], NDArray[np.float64], int, float | None], engine: str
) -> Subset:
    items, gains, evaluations, gap = chosen
    bound = None if gap is None else math.fsum(gains) + gap
    return Subset(items, gains, engine, evaluations, bound)


def _refuse_asymmetric(what: str, fix: str) -> NoReturn:
    raise InputError(
        f"{what} is not symmetric, and only facility location has a meaning over such a one",
        place="X",
        fix=fix,
    )


@contextmanager
def _refusals(task: _Task, ground: SimilarityGraph | DenseKernel) -> Iterator[None]:
    """What is found at fault in a graph or kernel, here or by the core, with place and fix.

    Rounding moves an eigenvalue of K_S, and a variance, by up to |S| u times the largest entry of
    the diagonal: u is that of float64 in the core, and that of the entries if these are rounded.
    """
    fix = "repair the similarities, or scale them down"
    if isinstance(task.function, LogDet):
        ridge, largest = task.function.ridge, float(ground.diagonal().max(initial=0.0))
        chosen = task.budget if task.costs is None else len(task.costs)
        needed = chosen * 2.0**-52 * largest
        if ridge < needed:
            raise InputError(
                f"a ridge of {ridge:g} is lost in the rounding of similarities of up to"
                f" {largest:g}: {chosen} rows need one of {needed:.2g}",
                place="function",
                fix="raise ridge, or scale the similarities down",
            )
        rounded = chosen * 2.0**-24 * largest if ground.dtype == np.float32 else 0.0
        raised = f"raise ridge to {rounded:.2g}" if ridge < rounded else "raise ridge"
        fix = f"{raised} (now {ridge:g}), or repair the kernel"
    try:
        yield
    except InputError as refusal:
        place, fix = refusal.place or "X", refusal.fix or fix
        raise InputError(refusal.fault, place=place, fix=fix) from None


def _array_of(X: Any) -> NDArray[Any]:
    """What is not a graph or kernel must be an array of rows; as_rows checks their values."""
    array = native(X)
    if array.ndim != 2 or not (array.dtype == np.int16 or array.dtype.kind == "f"):
        raise InputError(
            f"expected (n, d) float rows or int16 Q12 rows, got shape {array.shape}, "
            f"dtype {array.dtype}",
            place="X",
            fix="pass float32 or float64 embeddings; wrap similarities in DenseKernel(...)",
        )
    if 0 in array.shape:
        raise InputError(f"there are no values in an array of shape {array.shape}", place="X")
    return array
