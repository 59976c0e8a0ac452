"""Corpora of nothing but names and sizes, laws whose shares are given, and units by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from smartx.corpus import Groups
from smartx.weights import Shares, WeightLaw

Name = tuple[str, str, str]


def groups_of(sizes: Mapping[Name, int]) -> Groups:
    """Groups by (source, task, template), in the order of their names."""
    names = sorted(sizes)
    rows = np.array([sizes[name] for name in names], dtype=np.int64)
    source, task, template = ([name[i] for name in names] for i in range(3))
    return Groups(source, task, template, np.cumsum(rows) - rows, rows)


@dataclass(frozen=True)
class Fixed(WeightLaw):
    """Tasks (or groups) in an order, with weights."""

    order: Any
    values: Any
    rounding: str = "largest-remainder"

    name: ClassVar[str] = "fixed"

    def shares(self, ground, total):
        order, values = np.array(self.order, np.int64), np.array(self.values, np.float64)
        return Shares(order, values, rounding=self.rounding)


@dataclass(frozen=True)
class FixedGroups(Fixed):
    """The same among groups."""

    unit: ClassVar[str] = "group"


def equal(groups: Groups, **options: Any) -> Fixed:
    """All tasks alike, in corpus order."""
    tasks = len(groups.tasks())
    return Fixed(list(range(tasks)), [1.0] * tasks, **options)
