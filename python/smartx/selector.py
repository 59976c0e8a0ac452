"""Rows chosen the way scikit-learn chooses: an estimator with fit, fit_resample and get_params.

Needs scikit-learn (`pip install "smartx-mix[learn]"`), and is loaded only when it is asked for.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smartx.config import DEFAULT_PRESET
from smartx.errors import InputError, MissingPackageError
from smartx.selection import select

try:
    from sklearn.base import BaseEstimator
    from sklearn.utils import check_random_state
except ImportError:
    raise MissingPackageError("scikit-learn", needed_for="SmartSelector", extra="learn") from None

_SEEDS = 2**31 - 1


class SmartSelector(BaseEstimator):  # type: ignore[misc]
    """`smartx.select` as an estimator: which rows of X to train on, given their tasks in y.

    budget: how many rows, or a part of them: 500, "5k", "10%".
    preset, weights, ranker: strategies, as `smartx.select` has them.
    random_state: seed of every random choice: a number, a RandomState, or None, which is 0 here:
    nothing is random that was not asked to be.  n_jobs: threads, None for all.

    After fit: indices_ (k,) int64, rows of X; ranks_ and gains_ (k,) of these; tasks_ (M,), the
    values of y; budgets_ (M,) int64, rows of each; selection_, the whole result; n_features_in_.
    There is no `transform`: in scikit-learn it keeps the number of rows. `fit_resample`, as
    imbalanced-learn has it, gives the chosen rows of X and y.

    >>> import numpy as np
    >>> from smartx.selector import SmartSelector
    >>> X = np.eye(4)[[0, 0, 0, 1, 1, 2, 3, 3]]
    >>> chooser = SmartSelector(budget=4, preset="smart-balanced").fit(X)
    >>> sorted(chooser.indices_.tolist())
    [0, 3, 5, 6]
    >>> chooser.fit_resample(X)[0].shape
    (4, 4)
    """

    def __init__(
        self,
        budget: int | str = "10%",
        *,
        preset: str = DEFAULT_PRESET,
        weights: Any = None,
        ranker: Any = None,
        random_state: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.budget = budget
        self.preset = preset
        self.weights = weights
        self.ranker = ranker
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> SmartSelector:
        """Choose rows of X. y: (n,) the task of each row; None: all rows are of one task.

        X: (n, d) finite numbers, no row of which is all zeros: directions are compared.
        Raises InputError, a ValueError, that names what is at fault.
        """
        rows = _validated(self, X)
        if isinstance(self.budget, int) and self.budget > len(rows):
            fault = f"{self.budget:,} rows are asked of n_samples = {len(rows)}"
            raise InputError(fault, place="budget", fix="ask for fewer, or for a part: '10%'")
        names = None if y is None else _names(y, len(rows))
        found = select(
            rows,
            budget=self.budget,
            tasks=names,
            preset=self.preset,
            weights=self.weights,
            ranker=self.ranker,
            seed=_seed(self.random_state),
            threads=self.n_jobs,
        )
        self.selection_, self.indices_ = found, found.indices
        self.ranks_, self.gains_, self.budgets_ = found.ranks, found.gains, found.budgets
        self.tasks_ = np.array([task for _, task in found.names])
        return self

    def fit_resample(self, X: Any, y: Any = None) -> tuple[Any, Any]:
        """The chosen rows of X, and of y (None where it is None), in the order of the mixture."""
        self.fit(X, y)
        return _rows(X, self.indices_), None if y is None else _rows(y, self.indices_)


def _validated(estimator: Any, X: ArrayLike) -> NDArray[Any]:
    """X as (n, d) float64 or float32, and what scikit-learn keeps of it."""
    kinds = [np.float64, np.float32]
    try:
        from sklearn.utils.validation import validate_data
    except ImportError:  # scikit-learn before 1.6
        found: NDArray[Any] = estimator._validate_data(X, dtype=kinds)
        return found
    rows: NDArray[Any] = validate_data(estimator, X, dtype=kinds)
    return rows


def _names(y: ArrayLike, rows: int) -> list[str]:
    from sklearn.utils import check_consistent_length, column_or_1d

    names = column_or_1d(y, warn=True)
    check_consistent_length(np.empty(rows), names)
    return [str(name) for name in names.tolist()]


def _seed(random_state: Any) -> int:
    if random_state is None:
        return 0
    if isinstance(random_state, int | np.integer):
        return int(random_state)
    return int(check_random_state(random_state).randint(_SEEDS))


def _rows(table: Any, places: NDArray[np.int64]) -> Any:
    """Some rows of an array, a frame or a list."""
    from sklearn.utils import _safe_indexing

    return _safe_indexing(table, places)
