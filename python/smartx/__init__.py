"""smartx: which rows do I fine-tune on, and how much of each task?

For rows that are in memory or in files, `smartx.run`, or the command `smartx` for files; for
arrays, `smartx.select` and what it is made of. `smartx.SmartSelector` is `select` for scikit-learn.
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
    "evaluate": "smartx.engine",
    "marginal_gains": "smartx.engine",
    "Subset": "smartx.engine",
    "task_gains": "smartx.engine",
    "TaylorSoftmax": "smartx.weights",
    "task_budgets": "smartx.budget",
    "template_budgets": "smartx.budget",
    "select": "smartx.selection",
    "Demands": "smartx.budget",
    "Selection": "smartx.selection",
    "Mixture": "smartx.mixture",
    "Comparison": "smartx.mixture",
    "open_mixture": "smartx.mixture.out",
    "export": "smartx.exports",
    "run": "smartx.pipeline",
    "Run": "smartx.runs",
    "open_run": "smartx.runs",
    "plan": "smartx.pipeline",
    "RunConfig": "smartx.config",
    "SmartxError": "smartx.errors",
}

# What needs a package that smartx does not: not among `__all__`, and loaded when it is named.
_OPTIONAL = {"SmartSelector": "smartx.selector"}

__all__ = [
    "Comparison",
    "Demands",
    "DenseKernel",
    "FacilityLocation",
    "GraphCut",
    "LogDet",
    "Mixture",
    "Run",
    "RunConfig",
    "Selection",
    "SimilarityGraph",
    "SmartxError",
    "Subset",
    "TaylorSoftmax",
    "__version__",
    "evaluate",
    "export",
    "knn_graph",
    "marginal_gains",
    "maximize",
    "open_mixture",
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
        evaluate,
        knn_graph,
        marginal_gains,
        maximize,
        quantize,
        task_gains,
    )
    from smartx.errors import SmartxError
    from smartx.exports import export
    from smartx.mixture import Comparison, Mixture
    from smartx.mixture.out import open_mixture
    from smartx.pipeline import plan, run
    from smartx.runs import Run, open_run
    from smartx.selection import Selection, select
    from smartx.selector import SmartSelector as SmartSelector
    from smartx.weights import TaylorSoftmax


def __getattr__(name: str) -> Any:
    from importlib import import_module
    from importlib.util import find_spec

    place = _PUBLIC.get(name) or _OPTIONAL.get(name)
    if place is not None:
        value = getattr(import_module(place), name)
    elif not name.startswith("_") and find_spec(f"smartx.{name}") is not None:
        value = import_module(f"smartx.{name}")  # a room, such as smartx.engine
    else:
        raise AttributeError(f"module 'smartx' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
