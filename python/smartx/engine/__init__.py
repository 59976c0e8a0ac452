"""Everything numeric: fixed point, similarities, set functions, greedy. The core is called here."""

from smartx.engine.dense import DenseKernel
from smartx.engine.fixed_point import MAX_NORM2, SCALE, as_rows, is_q12, quantize, sum_rows
from smartx.engine.graph import SimilarityGraph, knn_graph
from smartx.engine.memory import DENSE_BYTES, GRAPH_NEIGHBOURS, kernel_bytes
from smartx.engine.objectives import FacilityLocation, GraphCut, LogDet, Objective
from smartx.engine.rank import rank_groups, task_gains
from smartx.engine.select import OptimizerName, Selection, maximize
from smartx.engine.threads import default_threads, resolve_threads

__all__ = [
    "DENSE_BYTES",
    "GRAPH_NEIGHBOURS",
    "MAX_NORM2",
    "SCALE",
    "DenseKernel",
    "FacilityLocation",
    "GraphCut",
    "LogDet",
    "Objective",
    "OptimizerName",
    "Selection",
    "SimilarityGraph",
    "as_rows",
    "default_threads",
    "is_q12",
    "kernel_bytes",
    "knn_graph",
    "maximize",
    "quantize",
    "rank_groups",
    "resolve_threads",
    "sum_rows",
    "task_gains",
]
