"""scipy and scikit-learn, loaded when they are needed: they come with scikit-learn's extra."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from smartx.errors import MissingPackageError


def special() -> Any:
    """scipy.special. Raises MissingPackageError without it."""
    return _module("scipy.special", "scipy")


def gaussian_processes() -> Any:
    """sklearn.gaussian_process, its kernels with it. Raises MissingPackageError without it."""
    _module("sklearn.gaussian_process.kernels", "scikit-learn")
    return _module("sklearn.gaussian_process", "scikit-learn")


def ensembles() -> Any:
    """sklearn.ensemble. Raises MissingPackageError without it."""
    return _module("sklearn.ensemble", "scikit-learn")


def _module(name: str, package: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise MissingPackageError(
            package, needed_for="a swarm of mixtures, or its fit,", extra="learn"
        ) from None
