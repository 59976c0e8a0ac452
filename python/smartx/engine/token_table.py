"""Texts as weighted bags of their tokens, and products of bags with a table of one row per token.

float32 throughout. Every sum goes over its terms in one fixed order, from 0 on, each product
rounded before it is added: neither threads nor the instruction set show in a single bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartx import _core
from smartx.engine.fixed_point import raise_faults
from smartx.engine.threads import resolve_threads, whole_number
from smartx.errors import InputError

_MOST = 2**31 - 1


@dataclass(frozen=True, slots=True, eq=False)
class Bags:
    """Sparse rows (CSR): row i lists tokens[starts[i]:starts[i + 1]], rising, and their values.

    starts: (n + 1,) int64, from 0.  tokens: (e,) int32.  values: (e,) float32.
    """

    starts: NDArray[np.int64]
    tokens: NDArray[np.int32]
    values: NDArray[np.float32]

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.starts) - 1


def token_bags(
    ids: NDArray[np.uint32],
    lengths: NDArray[np.int64],
    weights: NDArray[np.float32],
    counts: NDArray[np.float32],
    *,
    threads: int | None = None,
) -> Bags:
    """The bag of every text: its tokens by what they are worth, scaled to unit length.

    ids: (total,) uint32, the tokens of all texts, one text after another.  lengths: (n,) int64, how
    many each text has.  weights: (v,) float32, by token.  counts: (m,) float32, m >= 2.
    A token that a text has c times is worth weights[token] * counts[min(c, m - 1)] there; counts[0]
    is not used. These are divided by the root of the sum of their squares, which is added in double
    from the lowest token up. What is worth 0 is left out: such a text has no entries.
    Raises InputError where types or lengths do not fit, a number is not finite, or a token is not
    below v; the message names the first such text.
    """
    count = resolve_threads(threads)
    ids, lengths = _texts(ids, lengths)
    weights, counts = _worth(weights, counts)
    return Bags(*_core.token_bags(ids, lengths, weights, counts, count))


def bags_times(
    bags: Bags, table: NDArray[np.float32], *, threads: int | None = None
) -> NDArray[np.float32]:
    """Row i: the sum of value * table[token] over bag i, from the lowest token up.

    table: (v, d) float32.
    Returns (n, d) float32; zeros where a bag is empty.
    Raises InputError where types do not fit, a token is not below v, or a row is not finite.
    """
    return _product(bags, _floats(table, "table", 2), "table", "bag", resolve_threads(threads))


def transposed_bags(bags: Bags, vocabulary: int, *, threads: int | None = None) -> Bags:
    """`vocabulary` rows, one a token: the texts that have it, rising, and its value there."""
    columns = whole_number(vocabulary, "vocabulary", 0, _MOST)
    count = resolve_threads(threads)
    turned = _core.transposed_bags(bags.starts, bags.tokens, bags.values, columns, count)
    return Bags(*turned)


def bags_transposed_times(
    bags: Bags, rows: NDArray[np.float32], vocabulary: int, *, threads: int | None = None
) -> NDArray[np.float32]:
    """Row t: the sum of value * rows[i] over the texts i that have token t, from the first text on.

    rows: (n, d) float32.  vocabulary: v, how many tokens there are.
    Returns (v, d) float32. Whoever multiplies more than once with the same bags turns them once:
    this is bags_times(transposed_bags(bags, vocabulary), rows).
    Raises InputError where types or lengths do not fit, a token is not below v, or a row of the
    product is not finite.
    """
    count = resolve_threads(threads)
    rows = _floats(rows, "rows", 2)
    if len(rows) != len(bags):
        raise InputError(f"there are {len(rows)}, and {len(bags)} bags", place="rows")
    turned = transposed_bags(bags, vocabulary, threads=count)
    return _product(turned, rows, "rows", "token", count)


def embed_tokens(
    ids: NDArray[np.uint32],
    lengths: NDArray[np.int64],
    weights: NDArray[np.float32],
    counts: NDArray[np.float32],
    table: NDArray[np.float32],
    centre: NDArray[np.float32],
    *,
    threads: int | None = None,
) -> NDArray[np.int16]:
    """quantize(bags_times(token_bags(ids, lengths, weights, counts), table) + centre), in one go.

    table: (v, d) float32.  centre: (d,) float32, the vector of a text without tokens.
    Returns (n, d) int16 Q12, the same bits as the three steps give.
    Raises InputError as they do; a text whose vector is 0 or not finite is named.
    """
    count = resolve_threads(threads)
    ids, lengths = _texts(ids, lengths)
    weights, counts = _worth(weights, counts)
    table, centre = _floats(table, "table", 2), _floats(centre, "centre", 1)
    if table.shape != (len(weights), len(centre)):
        raise InputError(
            f"expected {(len(weights), len(centre))}, by weights and centre, got {table.shape}",
            place="table",
        )
    rows, faults = _core.embed_tokens(ids, lengths, weights, counts, table, centre, threads=count)
    raise_faults(faults, "texts")
    return rows


def _product(
    bags: Bags, table: NDArray[np.float32], place: str, row: str, threads: int
) -> NDArray[np.float32]:
    """What each `row` is a product for, and what `place` is the table, are for the message."""
    rows, fault = _core.bags_times(bags.starts, bags.tokens, bags.values, table, threads=threads)
    if fault < len(rows):
        raise InputError(f"the product for {row} {fault} is not finite", place=place)
    return rows


def _texts(ids: Any, lengths: Any) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    ids, lengths = _typed(ids, "ids", 1, np.uint32), _typed(lengths, "lengths", 1, np.int64)
    if len(lengths) and lengths.min() < 0:
        raise InputError(f"text {lengths.argmin()} has {lengths.min()} tokens", place="lengths")
    if (total := int(lengths.sum())) != len(ids):
        raise InputError(f"they sum to {total}, and there are {len(ids)} ids", place="lengths")
    return ids, lengths


def _worth(weights: Any, counts: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    weights, counts = _floats(weights, "weights", 1), _floats(counts, "counts", 1)
    if len(counts) < 2:
        raise InputError(f"expected 2 or more, got {len(counts)}", place="counts")
    return weights, counts


def _floats(array: Any, name: str, dimensions: int) -> NDArray[np.float32]:
    return _typed(array, name, dimensions, np.float32)


def _typed(array: Any, name: str, dimensions: int, kind: type[Any]) -> NDArray[Any]:
    """The array in C order, where it is of this type already: nothing is rounded unseen."""
    if not isinstance(array, np.ndarray) or array.dtype != kind or array.ndim != dimensions:
        given = (
            f"shape {array.shape}, dtype {array.dtype}"
            if isinstance(array, np.ndarray)
            else type(array).__name__
        )
        wanted = f"{dimensions} dimension{'s' * (dimensions > 1)} of {np.dtype(kind)}"
        raise InputError(f"expected {wanted}, got {given}", place=name)
    return np.ascontiguousarray(array)
