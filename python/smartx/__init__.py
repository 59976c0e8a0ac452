"""smartx: which rows do I fine-tune on, and how much of each task?

For arrays, this namespace; for files, `smartx.run(config)` or the command `smartx`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# name -> where it is defined. Loaded at first use, so that `import smartx` stays light.
_PUBLIC = {
    "FacilityLocation": "smartx.engine",
    "GraphCut": "smartx.engine",
    "LogDet": "smartx.engine",
    "DenseKernel": "smartx.engine",
    "SimilarityGraph": "smartx.engine",
    "quantize": "smartx.engine",
    "knn_graph": "smartx.engine",
    "maximize": "smartx.engine",
    "Subset": "smartx.engine",
    "task_gains": "smartx.engine",
    "TaylorSoftmax": "smartx.weights",
    "task_budgets": "smartx.budget",
    "template_budgets": "smartx.budget",
    "select": "smartx.selection",
    "Demands": "smartx.budget",
    "Selection": "smartx.selection",
    "run": "smartx.pipeline",
    "open_run": "smartx.pipeline",
    "plan": "smartx.pipeline",
    "RunConfig": "smartx.config",
    "SmartxError": "smartx.errors",
}

__all__ = [
    "Demands",
    "DenseKernel",
    "FacilityLocation",
    "GraphCut",
    "LogDet",
    "RunConfig",
    "Selection",
    "SimilarityGraph",
    "SmartxError",
    "Subset",
    "TaylorSoftmax",
    "__version__",
    "knn_graph",
    "maximize",
    "open_run",
    "plan",
    "quantize",
    "run",
    "select",
    "task_budgets",
    "task_gains",
    "template_budgets",
]

if TYPE_CHECKING:
    from smartx.budget import Demands, task_budgets, template_budgets
    from smartx.config import RunConfig
    from smartx.engine import (
        DenseKernel,
        FacilityLocation,
        GraphCut,
        LogDet,
        SimilarityGraph,
        Subset,
        knn_graph,
        maximize,
        quantize,
        task_gains,
    )
    from smartx.errors import SmartxError
    from smartx.pipeline import open_run, plan, run
    from smartx.selection import Selection, select
    from smartx.weights import TaylorSoftmax


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'smartx' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
