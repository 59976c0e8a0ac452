"""The vector of each row: what a sentence encoder gives for instruction data, made from a seed.

A vector is a common direction (mean cosine of two rows about .8), the centre of one of 160
categories, that of its task, an offset of its template, and noise whose variance falls as 1/j over
the dimensions, as that of real embeddings does. 3 of 100 rows nearly repeat an earlier row of
their group. The vector of a row depends on the seed and its number alone; they are drawn in blocks
of 1,024 rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from flan.shape import CATEGORIES, Shape
from smartx.embed import Read

BLOCK = 1_024
REPEATS = 0.03
JITTER = 0.05  # of a near duplicate, as a part of the noise
# Squared lengths; they sum to 1.
COMMON, CATEGORY, TASK, TEMPLATE, NOISE = 0.79, 0.06, 0.05, 0.01, 0.09
NUMBER_MARK = "#"  # the number of its row stands behind the last one of a prompt


class Geometry:
    """The vectors of a shape. Memory: d floats a task."""

    def __init__(self, shape: Shape, dimensions: int, seed: int) -> None:
        self.shape, self.dimensions, self.seed = shape, dimensions, seed
        rng = np.random.default_rng([seed, 3])
        common = _unit(rng, 1, dimensions) * np.sqrt(COMMON)
        categories = _unit(rng, CATEGORIES, dimensions) * np.sqrt(CATEGORY)
        names, template = np.unique(shape.template, return_inverse=True)
        self._template = template.reshape(-1)
        self._templates = _unit(rng, len(names), dimensions) * np.float32(np.sqrt(TEMPLATE))
        self._tasks = _unit(rng, shape.tasks, dimensions) * np.float32(np.sqrt(TASK))
        self._tasks += (common + categories)[rng.integers(0, CATEGORIES, shape.tasks)]
        variance = 1 / np.arange(1, dimensions + 1)
        self._scale = np.sqrt(NOISE * variance / variance.sum()).astype(np.float32)

    def rows(self, numbers: np.ndarray) -> np.ndarray:
        """(n, d) float32 vectors of the rows with these numbers, in any order."""
        made = np.empty((len(numbers), self.dimensions), dtype=np.float32)
        order = np.argsort(numbers, kind="stable")
        block = numbers[order] // BLOCK
        cuts = np.flatnonzero(np.diff(block)) + 1
        for part in np.split(order, cuts):
            number = int(numbers[part[0]]) // BLOCK
            made[part] = self.block(number)[numbers[part] - number * BLOCK]
        return made

    def block(self, number: int) -> np.ndarray:
        """The vectors of rows number * BLOCK and following."""
        original, group, noise = self._drawn(number)
        repeat = np.flatnonzero(original != np.arange(len(original)))
        jitter = noise[repeat] * np.float32(JITTER)
        made = noise[original]
        made[repeat] += jitter
        made *= self._scale
        values, inverse = np.unique(group, return_inverse=True)
        centres = self._tasks[self.shape.task_of[values]] + self._templates[self._template[values]]
        made += centres[inverse] if len(values) > 1 else centres
        return made

    def originals(self, number: int) -> np.ndarray:
        """(n,) int64: for each row of a block the place in it of the row that it nearly repeats,
        its own place where it repeats none."""
        return self._drawn(number)[0]

    def _drawn(self, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Originals, groups and raw noise of a block."""
        first, stop = number * BLOCK, min((number + 1) * BLOCK, self.shape.rows)
        at = np.arange(stop - first)
        rng = np.random.Generator(np.random.SFC64([self.seed, 4, number]))
        repeats, pick = rng.random(len(at)) < REPEATS, rng.random(len(at))
        group = np.searchsorted(self.shape.starts, first + at, side="right") - 1
        low = np.maximum(self.shape.starts[group] - first, 0)
        original = np.where(repeats, low + (pick * (at - low)).astype(np.int64), at)
        while (original[original] != original).any():
            original = original[original]
        return original, group, rng.standard_normal((len(at), self.dimensions), dtype=np.float32)


class NumberedEncoder:
    """The encoder of made-up prompts (smartx.embed.Encoder): each says which row it is."""

    batch_tokens, batch_rows, workers = 1 << 14, 1 << 14, 2

    def __init__(self, geometry: Geometry, identity: Mapping[str, Any]) -> None:
        self._geometry, self.identity = geometry, dict(identity)
        self.made_by = {"numpy": np.__version__}

    def read(self, texts: list[str]) -> Read:
        return Read(
            texts, np.ones(len(texts), dtype=np.int64), np.zeros(len(texts), dtype=np.bool_)
        )

    def encode(self, texts: list[str], length: int) -> np.ndarray:
        numbers = [int(text[text.rindex(NUMBER_MARK) + 1 :]) for text in texts]
        return self._geometry.rows(np.array(numbers, dtype=np.int64))


def _unit(rng: np.random.Generator, count: int, dimensions: int) -> np.ndarray:
    rows = rng.standard_normal((count, dimensions), dtype=np.float32)
    rows /= np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]
    return rows
