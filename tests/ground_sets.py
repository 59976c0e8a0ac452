"""Ground sets for the tests of greedy, small and exact or larger and rounded."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from smartx.engine import SCALE, DenseKernel, FacilityLocation, GraphCut, LogDet, SimilarityGraph

UNIT = SCALE * SCALE
"""What one unit of cosine is in Q12 similarities."""

# ---- small kernels: entries in eighths, so sums are exact and ties are real ----

eighths = st.integers(-8, 8).map(lambda k: k / 8)


@st.composite
def symmetric_kernels(draw: st.DrawFn) -> np.ndarray:
    n = draw(st.integers(1, 7))
    values = draw(st.lists(eighths, min_size=n * n, max_size=n * n))
    lower = np.tril(np.array(values).reshape(n, n))
    return lower + np.tril(lower, -1).T


@st.composite
def gram_kernels(draw: st.DrawFn) -> np.ndarray:
    """Positive semidefinite, often singular, with equal rows."""
    n = draw(st.integers(1, 7))
    values = draw(st.lists(st.integers(-2, 2), min_size=3 * n, max_size=3 * n))
    rows = np.array(values, dtype=float).reshape(n, 3) / 2
    return rows @ rows.T


def as_kernel(kernel: np.ndarray) -> DenseKernel:
    return DenseKernel(kernel)


def as_kernel32(kernel: np.ndarray) -> DenseKernel:
    return DenseKernel(kernel.astype(np.float32))


def as_graph(kernel: np.ndarray, dtype: Any = np.float64) -> SimilarityGraph:
    starts = np.concatenate([[0], np.cumsum((kernel != 0).sum(axis=1))])
    columns = np.nonzero(kernel)[1].astype(np.int32)
    return SimilarityGraph(starts, columns, kernel[kernel != 0].astype(dtype))


def as_graph32(kernel: np.ndarray) -> SimilarityGraph:
    return as_graph(kernel, np.float32)


def as_integer_graph(kernel: np.ndarray) -> SimilarityGraph:
    """Weights in eighths: gains are then in units of 8 / UNIT."""
    return as_graph(kernel * 8, np.int32)


# ---- larger ground sets, where sums are rounded ----

FUNCTIONS = [FacilityLocation(), GraphCut(0.4), GraphCut(1.0), LogDet(1.0), LogDet(1e-3)]


def clustered(n: int, d: int = 12, seed: int = 0) -> np.ndarray:
    """Rows around 9 centres, cosines of both signs; a third of them are copies of their centre."""
    rng = np.random.default_rng(seed)
    centre = rng.normal(size=(9, d))[rng.integers(9, size=n)]
    noise = rng.normal(size=(n, d)) * (rng.integers(3, size=(n, 1)) > 0)
    return (centre + 0.7 * noise).astype(np.float32)


def inputs(n: int, seed: int = 0) -> dict[str, Any]:
    rows = clustered(n, seed=seed)
    unit = rows.astype(np.float64) / np.linalg.norm(rows, axis=1, keepdims=True)
    kernel = unit @ unit.T
    kernel = np.tril(kernel) + np.tril(kernel, -1).T
    sparse = np.where(np.abs(kernel) > 0.5, kernel, 0.0)
    return {
        "rows": rows,
        "kernel": DenseKernel(kernel),
        "kernel32": DenseKernel(kernel.astype(np.float32)),
        "graph": as_graph(sparse),
        "graph32": as_graph(sparse, np.float32),
        "graph-int": as_graph(np.rint(sparse * UNIT), np.int32),
    }


def same(a: Any, b: Any) -> bool:
    return a.items.tobytes() == b.items.tobytes() and a.gains.tobytes() == b.gains.tobytes()
