from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__version__: str

# ---- cpp/bindings/similarity.cpp: fixed point, similarities, neighbours, graphs ----

_Rows = NDArray[np.int16]  # (n, d) Q12, C order
_RowFaults = tuple[Literal["", "not finite", "zero", "too long"], int, Sequence[int]]
_Weights = NDArray[np.int32] | NDArray[np.float32] | NDArray[np.float64]
_Csr = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]

SCALE: float
MAX_NORM2: int
COSINE_UNIT: int

def simd_levels() -> list[str]: ...
def simd_level() -> str: ...
def quantize(
    X: NDArray[np.float32] | NDArray[np.float64], threads: int
) -> tuple[NDArray[np.int16], _RowFaults]: ...
def check_q12(rows: _Rows, threads: int) -> _RowFaults: ...
def sum_rows(rows: _Rows, threads: int = 1) -> NDArray[np.int64]: ...
def similarities(a: _Rows, b: _Rows, level: str = "", threads: int = 1) -> NDArray[np.int32]: ...
def pair_similarities(
    rows: _Rows, i: NDArray[np.int32], j: NDArray[np.int32], threads: int = 1
) -> NDArray[np.int32]: ...
def neighbours(
    rows: _Rows, k: int, level: str = "", threads: int = 1
) -> tuple[NDArray[np.int32], NDArray[np.int32]]: ...
def graph_of_neighbours(
    rows: _Rows,
    items: NDArray[np.int32],
    weights: NDArray[np.int32],
    symmetric: bool,
    include_self: bool,
    threads: int = 1,
) -> _Csr: ...
def graph_fault(
    indptr: NDArray[np.int64], indices: NDArray[np.int32], weights: _Weights, threads: int = 1
) -> str: ...
def transposed_graph(
    indptr: NDArray[np.int64], indices: NDArray[np.int32], weights: _Weights, threads: int = 1
) -> tuple[NDArray[np.int64], NDArray[np.int32], _Weights]: ...
def near_duplicates(
    rows: _Rows,
    sizes: NDArray[np.int64],
    order: NDArray[np.int32],
    millionths: int,
    level: str = "",
    threads: int = 1,
) -> tuple[NDArray[np.int32], NDArray[np.float64]]: ...
def min_similarity(rows: _Rows, level: str = "", threads: int = 1) -> int: ...
def kernel16(rows: _Rows, level: str = "", threads: int = 1) -> NDArray[np.uint16]: ...

# ---- cpp/bindings/tokens.cpp: bags of tokens, tables with one row per token ----

_Bags = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]

def token_bags(
    ids: NDArray[np.uint32],
    lengths: NDArray[np.int64],
    weights: NDArray[np.float32],
    counts: NDArray[np.float32],
    threads: int = 1,
) -> _Bags: ...
def transposed_bags(
    starts: NDArray[np.int64],
    tokens: NDArray[np.int32],
    values: NDArray[np.float32],
    vocabulary: int,
    threads: int = 1,
) -> _Bags: ...
def bags_times(
    starts: NDArray[np.int64],
    tokens: NDArray[np.int32],
    values: NDArray[np.float32],
    table: NDArray[np.float32],
    level: str = "",
    threads: int = 1,
) -> tuple[NDArray[np.float32], int]: ...
def embed_tokens(
    ids: NDArray[np.uint32],
    lengths: NDArray[np.int64],
    weights: NDArray[np.float32],
    counts: NDArray[np.float32],
    table: NDArray[np.float32],
    centre: NDArray[np.float32],
    level: str = "",
    threads: int = 1,
) -> tuple[NDArray[np.int16], _RowFaults]: ...

# ---- cpp/bindings/selection.cpp: set functions and greedy ----

class FacilityLocation:
    def __init__(self) -> None: ...

class GraphCut:
    def __init__(self, penalty: float) -> None: ...

class LogDet:
    def __init__(self, ridge: float) -> None: ...

Objective = FacilityLocation | GraphCut | LogDet

class Optimizer:
    naive: Optimizer
    lazy: Optimizer
    stochastic: Optimizer
    lazier_than_lazy: Optimizer

class Request:
    def __init__(
        self,
        objective: Objective,
        budget: int,
        optimizer: Optimizer = Optimizer.lazy,
        seed: int = 0,
        epsilon: float = 0.01,
        certificate: bool = False,
        candidates: int = 0,
        costs: NDArray[np.float64] | None = None,
        total: float = 0.0,
        templates: NDArray[np.int32] | None = None,
        first: NDArray[np.int32] | None = None,
    ) -> None: ...

# items, gains, evaluations, gap of the certificate where asked for
_Chosen = tuple[NDArray[np.int32], NDArray[np.float64], int, float | None]

def maximize_rows(rows: _Rows, request: Request, threads: int = 1) -> _Chosen: ...
def maximize_graph(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    weights: _Weights,
    request: Request,
    threads: int = 1,
) -> _Chosen: ...
def maximize_kernel(
    kernel: NDArray[np.float32] | NDArray[np.float64], request: Request, threads: int = 1
) -> _Chosen: ...
def maximize_with_head(
    rows: _Rows,
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    weights: NDArray[np.int32],
    candidates: int,
    head: int,
    request: Request,
    threads: int = 1,
) -> _Chosen: ...
def maximize_kernel16(
    kernel: NDArray[np.uint16], request: Request, threads: int = 1
) -> _Chosen: ...  # the kernel is used up
def maximize_with_ready_head(
    rows: _Rows,
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    weights: NDArray[np.int32],
    proposed: NDArray[np.int32],
    kernel: NDArray[np.uint16],
    head: int,
    request: Request,
    threads: int = 1,
) -> _Chosen: ...  # the kernel is used up
def rank_groups(
    rows: _Rows,
    sizes: NDArray[np.int64],
    objective: Objective,
    threads: int = 1,
    memory: int = 536870912,
    templates: NDArray[np.int32] | None = None,
    first: NDArray[np.bool_] | None = None,
) -> tuple[NDArray[np.int32], NDArray[np.float64]]: ...
def dense_worth(rows: _Rows, items: NDArray[np.int32], threads: int = 1) -> tuple[float, float]: ...
def cosine_kernel(means: NDArray[np.float64], threads: int = 1) -> NDArray[np.float64]: ...
