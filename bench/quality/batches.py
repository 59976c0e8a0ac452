"""Rows in batches of about as many tokens, with the places of the answers' tokens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quality.texts import Tokens


@dataclass(frozen=True, eq=False)
class Asked:
    """What is predicted in a batch of b rows whose longest answer has k tokens.

    places: (b, k) int64 of the tokens that predict.  real: (b, k) bool, which are no padding.
    targets: (b, k) int64 ids.
    """

    places: Tensor
    real: Tensor
    targets: Tensor

    def to(self, device: Any) -> tuple[Tensor, Tensor, Tensor]:
        return self.places.to(device), self.real.to(device), self.targets.to(device)


def asked_of(tokens: Tokens, rows: NDArray[np.int64], opening: int) -> Asked:
    """The answers of the rows. opening: tokens before each row."""
    sizes, ends = tokens.targets[rows], (tokens.starts + tokens.lengths)[rows]
    real = np.arange(sizes.max()) < sizes[:, None]
    back = np.where(real, sizes[:, None] - np.arange(sizes.max()), 1)
    places = opening + tokens.lengths[rows][:, None] - back - 1
    targets = tokens.ids[ends[:, None] - back].astype(np.int64)
    return Asked(*(torch.from_numpy(array) for array in (places, real, targets)))


def cut(
    rows: NDArray[np.int64], lengths: NDArray[np.int64], tokens: int
) -> Iterator[NDArray[np.int64]]:
    """The rows in order, in batches of about as many tokens."""
    batch = (np.cumsum(lengths[rows]) - lengths[rows]) // tokens
    yield from np.split(rows, np.flatnonzero(np.diff(batch)) + 1)
