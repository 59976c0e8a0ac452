"""Which rows stand on the maps of a report, and where: a bounded sample of every task."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smartx.report.material import Material
from smartx.report.projection import on_grid, plane

ALL_POINTS = 120_000  # of all tasks together
FEWEST, MOST = 40, 1_500  # of one task
Ids = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class RowMap:
    """The rows of one task on its own map.

    others, picked: rising row ids; the places of the former stand first in `places`, (k, 2) uint16.
    """

    others: Ids
    picked: Ids
    places: NDArray[np.uint16]


@dataclass(frozen=True, eq=False)
class Maps:
    """tasks: (m, 2) uint16, the place of each task among all.  rows: of each task."""

    tasks: NDArray[np.uint16]
    rows: list[RowMap]


def maps_of(material: Material) -> Maps | None:
    """The maps; None where there are no vectors, or very many.

    A task stands at the mean of the rows that its own map shows, which are all of a small one.
    """
    vectors, tasks = material.mapped, material.tasks
    if vectors is None or not len(tasks):
        return None
    room = room_of(len(tasks))
    means = np.zeros((len(tasks), vectors.dimensions), dtype=np.int16)
    found = []
    for task, (start, count) in enumerate(
        zip(tasks.start.tolist(), tasks.rows.tolist(), strict=True)
    ):
        own = material.picked[start : start + count]
        others, picked = sampled(np.flatnonzero(~own), np.flatnonzero(own), room)
        shown = np.concatenate([others, picked]) + start
        order = np.argsort(shown, kind="stable")
        rows = np.empty((len(shown), vectors.dimensions), dtype=np.int16)
        rows[order] = vectors.take(shown[order])
        found.append(RowMap(others + start, picked + start, on_grid(plane(rows))))
        means[task] = np.rint(rows.sum(axis=0, dtype=np.int64) / max(1, len(rows)))
    return Maps(on_grid(plane(means)), found)


def room_of(tasks: int) -> int:
    """How many rows of a task are on its map at most. tasks: how many there are, > 0."""
    return int(np.clip(ALL_POINTS // tasks, FEWEST, MOST))


def sampled(others: Ids, picked: Ids, room: int) -> tuple[Ids, Ids]:
    """At most `room` of both together, evenly strewn over each: half for either, more where the
    other has fewer.
    """
    half = room // 2
    mine = max(half, room - len(others))
    return _evenly(others, max(room - half, room - len(picked))), _evenly(picked, mine)


def packed(places: NDArray[np.uint16]) -> str:
    """Places of a grid of 4,096 as text: 12 bits for x, 12 for y, in four characters of base64."""
    x, y = places[:, 0].astype(np.uint32), places[:, 1].astype(np.uint32)
    both = x << 12 | y
    three = np.stack([both >> 16, both >> 8 & 255, both & 255], axis=1).astype(np.uint8)
    return base64.b64encode(three.tobytes()).decode()


def _evenly(ids: Ids, count: int) -> Ids:
    if len(ids) <= count:
        return ids
    return ids[np.arange(count) * len(ids) // count]
