"""How fast this machine is, from short trials."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from smartx import _core
from smartx.engine.fixed_point import quantize


def measured_products(dimensions: int, threads: int) -> float:
    """How many multiply-adds of row pairs this machine does a second."""
    rows = made_up_rows(min(3_000, 3_000_000 // dimensions), dimensions)
    pairs = len(rows) ** 2 * dimensions / 2
    return pairs / min(seconds_of(lambda: _core.min_similarity(rows, "", threads)) for _ in "ab")


def made_up_rows(count: int, dimensions: int) -> NDArray[np.int16]:
    """Q12 rows around centres, as those of real tasks are."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(max(2, math.isqrt(count)), dimensions)).astype(np.float32)
    noise = rng.standard_normal((count, dimensions), dtype=np.float32)
    return quantize(centres[rng.integers(0, len(centres), count)] + 0.7 * noise)


def seconds_of(work: Callable[[], object]) -> float:
    """How long it takes by the clock."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
