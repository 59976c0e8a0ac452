"""Everything numeric: fixed point, similarities, set functions, greedy. The core is called here."""

from smartx._core import simd_levels
from smartx.engine.cost import (
    NOMINAL,
    Speed,
    engine_of,
    near_duplicate_bytes,
    near_duplicate_seconds,
    ranking_bytes,
    ranking_seconds,
)
from smartx.engine.dense import DenseKernel
from smartx.engine.fixed_point import SCALE, as_rows, other_scale, quantize, sum_rows
from smartx.engine.graph import SimilarityGraph, knn_graph
from smartx.engine.measure import made_up_rows, measured_products, seconds_of
from smartx.engine.memory import (
    DENSE_BYTES,
    DENSE_TASKS,
    GRAPH_NEIGHBOURS,
    TOGETHER_BYTES,
    available_bytes,
    default_memory,
    kernel_bytes,
)
from smartx.engine.near_duplicates import NearDuplicates, checked_threshold, near_duplicates
from smartx.engine.near_rows import NearRows, near_rows
from smartx.engine.nearest import nearest_centre
from smartx.engine.objectives import FacilityLocation, GraphCut, LogDet, Objective
from smartx.engine.rank import balanced, rank_groups, task_gains
from smartx.engine.select import Subset, maximize
from smartx.engine.set_values import evaluate, marginal_gains
from smartx.engine.simd import simd_level
from smartx.engine.threads import default_threads, resolve_threads
from smartx.engine.token_table import (
    Bags,
    bags_times,
    bags_transposed_times,
    embed_tokens,
    token_bags,
    transposed_bags,
)

__all__ = [
    "DENSE_BYTES",
    "DENSE_TASKS",
    "GRAPH_NEIGHBOURS",
    "NOMINAL",
    "SCALE",
    "TOGETHER_BYTES",
    "Bags",
    "DenseKernel",
    "FacilityLocation",
    "GraphCut",
    "LogDet",
    "NearDuplicates",
    "NearRows",
    "Objective",
    "SimilarityGraph",
    "Speed",
    "Subset",
    "as_rows",
    "available_bytes",
    "bags_times",
    "bags_transposed_times",
    "balanced",
    "checked_threshold",
    "default_memory",
    "default_threads",
    "embed_tokens",
    "engine_of",
    "evaluate",
    "kernel_bytes",
    "knn_graph",
    "made_up_rows",
    "marginal_gains",
    "maximize",
    "measured_products",
    "near_duplicate_bytes",
    "near_duplicate_seconds",
    "near_duplicates",
    "near_rows",
    "nearest_centre",
    "other_scale",
    "quantize",
    "rank_groups",
    "ranking_bytes",
    "ranking_seconds",
    "resolve_threads",
    "seconds_of",
    "simd_level",
    "simd_levels",
    "sum_rows",
    "task_gains",
    "token_bags",
    "transposed_bags",
]
