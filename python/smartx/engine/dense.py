"""A dense kernel of the caller, told apart from embedding rows by its type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartx.errors import InputError

LARGEST = 1e100
"""Sums and squares of similarities up to this size, times any penalty, do not overflow."""


@dataclass(frozen=True, eq=False)
class DenseKernel:
    """Similarities of all pairs of n rows.

    values: (n, n) float32 or float64 within -LARGEST .. LARGEST; any memory order. values[u, v]
    says how well v covers u; graph cut and log-det need it symmetric.
    Raises InputError where it is not so, with the first entry that is at fault.

    >>> import numpy as np, smartx
    >>> kernel = smartx.DenseKernel(np.array([[1.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 1.0]]))
    >>> smartx.maximize(smartx.FacilityLocation(), kernel, 2).items.tolist()
    [0, 2]
    """

    values: NDArray[Any]

    def __post_init__(self) -> None:
        values = np.asarray(self.values)
        values = values.astype(values.dtype.newbyteorder("="), copy=False)
        if values.dtype not in (np.float32, np.float64):
            raise InputError(
                f"expected float32 or float64, got {values.dtype}",
                place="DenseKernel.values",
                fix="convert it: values.astype(numpy.float64)",
            )
        if values.ndim != 2 or values.shape[0] != values.shape[1]:
            raise InputError(
                f"expected a square matrix, got shape {values.shape}", place="DenseKernel.values"
            )
        if values.shape[0] == 0:
            raise InputError("there are no rows", place="DenseKernel.values")
        values = np.ascontiguousarray(values)
        if not max(float(values.max()), -float(values.min())) <= LARGEST:  # NaN is not
            wrong = np.argwhere(~(np.abs(values.astype(np.float64)) <= LARGEST))
            row, column = wrong[0].tolist()
            raise InputError(
                f"entry ({row}, {column}) is {values[row, column]}; {len(wrong)} entries are not"
                f" finite or beyond {LARGEST:g}",
                place="DenseKernel.values",
                fix="remove those rows and columns, or repair or scale down the similarities",
            )
        object.__setattr__(self, "values", values)

    def __len__(self) -> int:
        return int(self.values.shape[0])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the values."""
        return self.values.dtype

    def diagonal(self) -> NDArray[np.float64]:
        """The similarities of rows with themselves."""
        return self.values.diagonal().astype(np.float64)

    def is_symmetric(self) -> bool:
        """Whether values[i, j] equals values[j, i] everywhere."""
        starts = range(0, len(self), 512)  # blocks that stay in cache, with Ctrl-C between them
        parts = [slice(start, start + 512) for start in starts]
        return all(
            np.array_equal(self.values[down, across], self.values[across, down].T)
            for i, down in enumerate(parts)
            for across in parts[i:]
        )
