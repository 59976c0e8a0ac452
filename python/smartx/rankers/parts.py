"""A group too large for one node: cut into parts that are ranked by themselves, and put together.

How depends on the function; each way is the best of those that were measured
(docs/recipes/very_large.md):

"near": rows that are near each other are in one part. Facility location of a part then knows most
of what covers its rows. Rows are put together by gain, largest first: of the sum of the parts'
functions, in which a row covers rows of its part alone, that is the order of greedy.
"drawn": parts are drawn. What a row is worth to graph cut, its similarity with the sum of all
rows less that with the chosen ones, is then in each part 1/P of what it is in the group. Rows are
taken from the parts in turn.
"chosen again": parts are drawn, and greedy chooses once more among their first rows, as many as one
part has (randomised GreeDi, Barbosa et al. 2015; for log-det, whose value of some rows depends on
them alone). The others are taken from the parts in turn.

A part depends on the rows of the group and the seed only. Products of rows and their sums are whole
numbers that float64 holds, so no part depends on the processor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from smartx.draws import GROUP_PARTS, draws_at
from smartx.engine import nearest_centre, quantize

Way = Literal["near", "drawn", "chosen again"]
Vectors = Callable[[int, int], NDArray[np.int16]]
Ints = NDArray[np.int64]
Ordered = tuple[Ints, NDArray[np.float64]]

BLOCK_ROWS = 65_536  # rows that are read at a time
CENTRES, MOST_CENTRES = 128, 4_096  # of a part, and in all, that rows are told apart by;
SAMPLED = 16  # each found among so many drawn rows,
ROUNDS = 3  # in so many rounds of K-means
_TURNS = 8  # rounds in which centres are halved
ROW_BYTES = 120  # of a group, while it is cut or put together


def blocks(rows: int) -> Iterator[tuple[int, int]]:
    """Where to begin and end reading that many rows."""
    for start in range(0, rows, BLOCK_ROWS):
        yield start, min(rows, start + BLOCK_ROWS)


def part_sizes(rows: int, parts: int) -> Ints:
    """(parts,) rows of each part; they differ by one at most."""
    return np.diff(rows * np.arange(parts + 1, dtype=np.int64) // parts)


def centres_of(rows: int, parts: int) -> int:
    """How many centres the rows of a group are told apart by."""
    return max(1, min(CENTRES * parts, MOST_CENTRES, rows // SAMPLED))


def cut(
    vectors: Vectors, row_ids: Ints, parts: int, way: Way, *, seed: int, threads: int
) -> NDArray[np.int32]:
    """(n,) the part of each row of a group.

    vectors: reads the Q12 rows of places start..stop-1.  row_ids: (n,) what the draws go by.
    """
    keys = draws_at(seed, GROUP_PARTS, row_ids)
    along = np.zeros(len(keys), dtype=np.int32)
    if way == "near":
        along = _along(vectors, keys, parts, threads)
    order = np.lexsort((keys, along))  # stable; drawn among the rows of one centre
    part = np.empty(len(keys), dtype=np.int32)
    part[order] = np.repeat(np.arange(parts, dtype=np.int32), part_sizes(len(keys), parts))
    return part


def taken(vectors: Vectors, places: Ints, rows: int) -> NDArray[np.int16]:
    """The Q12 rows at rising places of a group of so many rows, read block by block."""
    found = []
    for start, stop in blocks(rows):
        first, last = np.searchsorted(places, [start, stop])
        if first < last:
            found.append(vectors(start, stop)[places[first:last] - start])
    return np.concatenate(found)


def by_gain(parts: Sequence[Ordered]) -> Ordered:
    """Rows of all parts by falling gain; those of a part stay in order, for which a gain counts as
    no more than those before it. Equal ones come from the parts in turn.
    """
    least = [np.minimum.accumulate(gains) for _, gains in parts]
    return _sorted(parts, -np.concatenate(least))


def in_turn(parts: Sequence[Ordered]) -> Ordered:
    """One row of each part after the other."""
    return _sorted(parts, np.zeros(sum(len(order) for order, _ in parts)))


def _sorted(parts: Sequence[Ordered], key: NDArray[np.float64]) -> Ordered:
    place = np.concatenate([np.arange(len(order)) for order, _ in parts])
    part = np.repeat(np.arange(len(parts)), [len(order) for order, _ in parts])
    order = np.lexsort((part, place, key))
    rows, gains = (np.concatenate(each)[order] for each in zip(*parts, strict=True))
    return rows, gains


def _along(
    vectors: Vectors, keys: NDArray[np.uint64], parts: int, threads: int
) -> NDArray[np.int32]:
    """(n,) where each row's nearest centre stands on a line on which near centres are adjacent."""
    rows = len(keys)
    count = centres_of(rows, parts)
    drawn = np.argsort(keys, kind="stable")[: SAMPLED * count]
    sample = taken(vectors, np.sort(drawn), rows)
    starts = np.searchsorted(np.sort(drawn), np.sort(drawn[:count]))
    centres = _centres(sample, starts, threads)
    nearest = np.empty(rows, dtype=np.int32)
    for start, stop in blocks(rows):
        nearest[start:stop] = nearest_centre(vectors(start, stop), centres, threads=threads)[0]
    return line_of(centres, np.bincount(nearest, minlength=count), parts)[nearest]


def _centres(sample: NDArray[np.int16], starts: Ints, threads: int) -> NDArray[np.int16]:
    """(k, d) Q12 centres of the sample by K-means: exact sums, scaled to length 1."""
    centres = np.ascontiguousarray(sample[starts])
    for _ in range(ROUNDS):
        nearest, _ = nearest_centre(sample, centres, threads=threads)
        order = np.argsort(nearest, kind="stable")
        held, first = np.unique(nearest[order], return_index=True)
        sums = np.add.reduceat(sample[order].astype(np.int64), first, axis=0)
        moved = sums.any(axis=1)
        centres[held[moved]] = quantize(sums[moved].astype(np.float64), threads=threads)
    return centres


def line_of(centres: NDArray[np.int16], weights: Ints, parts: int) -> NDArray[np.int32]:
    """(k,) the place of each centre on a line that can be cut into so many parts of like weight.

    Centres are cut into two sides, again and again, by a plane between the means of the sides.
    """
    values = centres.astype(np.float64)  # whole numbers, and so are all sums and products below
    line: list[int] = []

    def lay(own: Ints, pieces: int) -> None:
        if pieces == 1 or len(own) == 1:
            line.extend(own.tolist())
            return
        lower = pieces // 2
        near, far = _sides(values[own], weights[own], lower, pieces)
        lay(own[near], lower)
        lay(own[far], pieces - lower)

    lay(np.arange(len(centres)), parts)
    place = np.empty(len(line), dtype=np.int32)
    place[line] = np.arange(len(line), dtype=np.int32)
    return place


def _sides(
    values: NDArray[np.float64], weights: Ints, lower: int, pieces: int
) -> tuple[Ints, Ints]:
    """Places of the centres on either side, those at the plane last and first; the first side holds
    lower / pieces of the weight.

    It begins between two centres that are far from each other.
    """
    one = int(np.argmin(values @ values.sum(axis=0)))
    other = int(np.argmin(values @ values[one]))
    direction = values[one] - values[other]
    first = second = np.empty(0, dtype=np.int64)
    for _ in range(_TURNS):
        order = np.argsort(-(values @ direction), kind="stable")
        heavy = (2 * np.cumsum(weights[order]) - weights[order]) * pieces  # to a centre's middle
        size = int(np.searchsorted(heavy, 2 * int(weights.sum()) * lower))
        size = min(max(size, 1), len(order) - 1)
        before, first, second = np.sort(first), order[:size], order[size:]
        if np.array_equal(before, np.sort(first)):
            break
        direction = values[first].sum(axis=0) * len(second)
        direction -= values[second].sum(axis=0) * len(first)
    return first, second
