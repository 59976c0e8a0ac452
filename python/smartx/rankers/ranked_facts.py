"""What the manifest of a ranking says of it: its digest, its curve of gains, who stands last."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from smartx.rankers.near import COLUMNS
from smartx.rankers.rank import Ranking
from smartx.rankers.rankings import reading
from smartx.store import FileEntry

CURVE_POINTS = 20  # the curve of gains is taken at 0, 1/20, ... of every unit's length


def ranked_facts(folder: Path, entries: Sequence[FileEntry], ranking: Ranking) -> dict[str, Any]:
    """What the manifest says of a ranking whose parts are all there.

    digest: of its columns in order: the same however they were cut into files.
    apart: how many rows of each unit and group nobody takes; absent where there are none.
    features: the folder of each feature that was read, by name; absent where none has one.
    """
    near, groups = ranking.near, ranking.groups
    names = ["row_id", "gain", *(COLUMNS.names if near is not None else [])]
    shas = {name: hashlib.sha256() for name in names}
    read = names if near is None else ["group_id", *names]
    curve, duplicates = _Curve(ranking.units.rows), np.zeros(len(groups), dtype=np.int64)
    for entry in entries:
        path = folder / entry.name
        with reading(path):
            table = pq.read_table(path, columns=read, page_checksum_verification=True)
        for name, sha in shas.items():
            sha.update(table[name].fill_null(-1).to_numpy().tobytes())
        curve.add(table["gain"].to_numpy())
        if near is not None:
            found = table["group_id"].filter(table["duplicate_of"].is_valid()).to_numpy()
            duplicates += np.bincount(found, minlength=len(groups))
    digest = hashlib.sha256(b"".join(sha.digest() for sha in shas.values())).hexdigest()
    facts: dict[str, Any] = {"digest": digest, "per": ranking.ranker.per, "curve": curve.points()}
    facts["rows"] = int(groups.rows.sum())
    folders = {n.name: getattr(ranking.features[n.key], "folder", None) for n in ranking.needs}
    if named := {name: path.name for name, path in folders.items() if name and path is not None}:
        facts["features"] = named
    if near is not None:
        facts["near_duplicates"] = {"threshold": near, "rows": int(duplicates.sum())}
        if ranking.near_within is not None:
            facts["near_duplicates"]["within"] = ranking.near_within
    apart = duplicates + ranking.gone
    if apart.any():
        of_units = ranking.units.of_groups(apart)
        facts["apart"] = {"groups": apart.tolist(), "units": of_units.tolist()}
    return facts


class _Curve:
    """How much of the units' value their first rows hold: what a larger budget brings."""

    def __init__(self, sizes: NDArray[np.int64]) -> None:
        self._sizes = iter(sizes.tolist())
        self._size = next(self._sizes, 0)
        self._waiting = np.empty(0)
        self._held = np.zeros(CURVE_POINTS + 1)

    def add(self, gains: NDArray[np.float64]) -> None:
        """The next gains, unit after unit; a unit may be cut."""
        gains = np.concatenate([self._waiting, gains])
        begin = 0
        while self._size and begin + self._size <= len(gains):
            self._add_unit(gains[begin : begin + self._size])
            begin += self._size
            self._size = next(self._sizes, 0)
        self._waiting = gains[begin:]

    def points(self) -> list[float]:
        """Value held by the first 0, 1/20, ..., 1 of every unit (rounded up), summed."""
        return [float(value) for value in self._held]

    def _add_unit(self, gains: NDArray[np.float64]) -> None:
        if gains.any():
            parts = np.arange(CURVE_POINTS + 1)
            so_far = np.concatenate([[0.0], np.cumsum(gains)])
            self._held += so_far[-(-parts * len(gains) // CURVE_POINTS)]
