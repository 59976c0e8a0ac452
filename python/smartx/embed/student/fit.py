"""Teacher's vectors of some texts -> a table with a vector for each token.

A text is the bag of its tokens: token t that occurs c times has the value w(t) c^0.7, with w(t)^2 =
log(1 + n / (1 + n_t)), n_t of the n texts of the sample holding t; the bag has unit length. The
student's vector is bag @ table + centre, with the mean vector as centre. What is known beforehand
are the teacher's vectors of the tokens themselves, which also know the tokens that no text of the
sample holds. So the table is

    table = vectors of the tokens @ B + D,

B of least squares on what bags of these vectors say of the targets, D of ridge regression on what
is left of them, |bags @ D - rest|^2 + ridge |D|^2, by conjugate gradients, one for each of the d
values. All sums are exact or taken in one fixed order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smartx.embed.student.exact import least_squares, mapped
from smartx.embed.tokens import Ids
from smartx.engine.token_table import (
    Bags,
    bags_times,
    embed_tokens,
    token_bags,
    transposed_bags,
)
from smartx.progress import Progress, step

RECIPE = 1  # raised when the same sample gives another table
_RIDGE, _PRIOR_RIDGE = 0.1, 0.3
_POWER = 0.7
_STEPS = 30
_COUNTS = 512  # occurrences of a token that are told apart
_Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Table:
    """What a student knows. rows: (v, d), one for each token.  weights: (v,) of the tokens.

    counts: (m,) what c occurrences count.  centre: (d,) added to every vector.
    """

    rows: _Floats
    weights: _Floats
    counts: _Floats
    centre: _Floats

    def embed(
        self, flat: NDArray[np.uint32], lengths: NDArray[np.int64], *, threads: int
    ) -> NDArray[np.int16]:
        """(n, d) Q12 rows of texts. flat: their tokens, one text after another.  lengths: (n,)."""
        return embed_tokens(
            flat, lengths, self.weights, self.counts, self.rows, self.centre, threads=threads
        )


def fitted(
    ids: Ids,
    vectors: NDArray[np.int16],
    tokens: NDArray[np.int16],
    vocabulary: int,
    *,
    threads: int,
    progress: Progress,
) -> Table:
    """The table. vectors: (n, d) Q12 rows of the teacher, of the texts whose tokens are `ids`.

    tokens: (at most v, d) the teacher's vectors of the first tokens.  vocabulary: v.
    """
    targets = _unit(vectors)
    centre = targets.mean(axis=0)
    targets -= centre
    known = np.zeros((vocabulary, vectors.shape[1]), dtype=np.int16)
    known[: len(tokens)] = tokens[:vocabulary]
    weights = _weights(ids, vocabulary, np.asarray(known.any(axis=1)))
    counts = (np.arange(_COUNTS, dtype=np.float64) ** _POWER).astype(np.float32)
    bags = token_bags(ids.flat, ids.lengths, weights, counts, threads=threads)
    spoken = bags_times(bags, _unit(known), threads=threads)
    rows = mapped(known, least_squares(spoken, targets, _PRIOR_RIDGE))
    targets -= bags_times(bags, rows, threads=threads)
    seen, own = np.unique(bags.tokens, return_inverse=True)
    held = Bags(bags.starts, own.reshape(-1).astype(np.int32), bags.values)
    rows[seen] += _ridge(held, targets, len(seen), threads, progress)
    return Table(rows, weights, counts, centre)


def _unit(vectors: NDArray[np.int16]) -> _Floats:
    """Q12 rows as floats; those of zeros stay zeros."""
    units: _Floats = vectors.astype(np.float32) / np.float32(4_096)
    return units


def _weights(ids: Ids, vocabulary: int, known: NDArray[np.bool_]) -> _Floats:
    """(v,) the root of log(1 + n / (1 + n_t)), and 0 for tokens of which nothing is known."""
    n = len(ids.lengths)
    texts = np.repeat(np.arange(n), ids.lengths)
    pairs = np.unique(texts * vocabulary + ids.flat)
    held = np.bincount(pairs % vocabulary, minlength=vocabulary)
    return np.where(known | (held > 0), np.sqrt(np.log1p(n / (1 + held))), 0).astype(np.float32)


def _ridge(
    bags: Bags, targets: _Floats, vocabulary: int, threads: int, progress: Progress
) -> _Floats:
    """(v, d) table, by conjugate gradients on the normal equations, scaled by their diagonal."""
    turned = transposed_bags(bags, vocabulary, threads=threads)
    diagonal = np.add.reduceat(turned.values.astype(np.float64) ** 2, turned.starts[:-1])
    scale = (1 / (diagonal + _RIDGE)).astype(np.float32)[:, np.newaxis]
    residual = bags_times(turned, targets, threads=threads)
    table, direction = np.zeros_like(residual), scale * residual
    square = _products(residual, direction)
    with step(progress, "fit the student", _STEPS, "steps") as advance:
        for _ in range(_STEPS):
            there = bags_times(bags, direction, threads=threads)
            image = bags_times(turned, there, threads=threads)
            image += np.float32(_RIDGE) * direction
            length = _ratio(square, _products(direction, image))
            table += length * direction
            residual -= length * image
            scaled = scale * residual
            before, square = square, _products(residual, scaled)
            direction *= _ratio(square, before)
            direction += scaled
            advance(1)
    return table


def _products(first: _Floats, second: _Floats) -> NDArray[np.float64]:
    """(d,) products of the columns, added row after row."""
    total = np.zeros(first.shape[1], dtype=np.float64)
    for start in range(0, len(first), 1_024):  # a block at a time: it stays in the cache
        block = first[start : start + 1_024].astype(np.float64) * second[start : start + 1_024]
        total += np.add.reduce(block, axis=0)
    return total


def _ratio(first: NDArray[np.float64], second: NDArray[np.float64]) -> _Floats:
    """0 where a column is solved already."""
    ratio = np.divide(first, second, out=np.zeros_like(first), where=second > 0)
    return ratio.astype(np.float32)
