"""Rank the units of a ground set in bundles of adjacent ones, so that memory stays bounded.

The same for a corpus on disk and for arrays in memory. Bundles do not decide what comes out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from smartx.engine import near_duplicate_seconds
from smartx.errors import InputError
from smartx.needs import VECTORS, Feature, Need, dimensions_of
from smartx.rankers.large import LargeUnit, MadeParts, by_itself
from smartx.rankers.near import COLUMNS, check_within, set_apart
from smartx.rankers.pool import Pool, Units, units_of
from smartx.rankers.ranker import Order, Ranker
from smartx.rankers.submodular import SubmodularRanker
from smartx.strategies import at_work

if TYPE_CHECKING:
    from smartx.corpus import Groups

BUNDLE_ROWS = 65_536  # a bundle ends before it holds more rows than this,
BUNDLE_SECONDS = 1.0  # or takes longer than this by the cost model, unless it is one unit
NO_ROWS = np.zeros(0, dtype=np.int64)
NO_ROWS.flags.writeable = False


@dataclass(frozen=True, eq=False)
class Ranked:
    """Units in order. row_ids: (n,) int64, best first, unit after unit; those that nobody takes
    stand last.  gains: (n,) float64.  near: near.COLUMNS of these rows, where they were looked for.
    """

    row_ids: NDArray[np.int64]
    gains: NDArray[np.float64]
    near: list[pa.Array]


@dataclass(frozen=True, eq=False)
class Ranking:
    """What is to be ranked, and how.

    features: by `Need.key`, all that the ranker needs; the vectors too where near duplicates are
    looked for.
    left_out: rising row ids that are neither ranked nor taken.
    trained: rising row ids of rows that a model was trained on; they are not taken either, and a
    ranker may count what others add to them.
    near: least cosine of near duplicates, or None.
    near_within: "template", "task" or "corpus": which rows are compared with each other. None:
    those that are ranked together.
    """

    groups: Groups
    ranker: Ranker
    features: Mapping[str, Feature]
    left_out: NDArray[np.int64] = field(default_factory=lambda: NO_ROWS)
    trained: NDArray[np.int64] = field(default_factory=lambda: NO_ROWS)
    near: float | None = None
    near_within: str | None = None
    threads: int = 1

    def __post_init__(self) -> None:
        if self.near is not None and self.near_within is not None:
            d = dimensions_of(self.needs, self.features)
            check_within(int(self.groups.rows.sum()), d, self.near_within)
        for need in self.needs:
            if need.key not in self.features:
                raise _missing(self.ranker, need, self.near)

    @property
    def needs(self) -> tuple[Need, ...]:
        """What is read of the rows."""
        own = self.ranker.reads
        seen = self.near is None or any(need.kind == "vectors" for need in own)
        return own if seen else (*own, VECTORS)

    @cached_property
    def units(self) -> Units:
        """What is ranked by itself."""
        return units_of(self.groups, self.ranker.per)

    @cached_property
    def gone(self) -> NDArray[np.int64]:
        """(g,) rows of each group that are left out or were trained on."""
        ids = np.union1d(self.left_out, self.trained)
        groups = np.searchsorted(self.groups.start + self.groups.rows, ids, side="right")
        return np.bincount(groups, minlength=len(self.groups))

    @cached_property
    def parts(self) -> NDArray[np.int64]:
        """(u,) in how many parts each unit is ranked: of the rows that are not left out."""
        out = np.setdiff1d(self.left_out, self.trained)
        ends = self.units.start + self.units.rows
        of_units = np.bincount(np.searchsorted(ends, out, side="right"), minlength=len(ends))
        rows = (self.units.rows - of_units).tolist()
        return np.array([self.ranker.parts(count) for count in rows], dtype=np.int64)

    @cached_property
    def compared(self) -> Units:
        """What is compared for near duplicates by itself."""
        return units_of(self.groups, self.near_within or self.ranker.per)

    @property
    def meets_all_rows(self) -> bool:
        """Whether near duplicates are looked for in the whole corpus."""
        return self.near is not None and (self.near_within or self.ranker.per) == "corpus"

    @cached_property
    def seconds(self) -> NDArray[np.float64]:
        """(u,) about how long each unit takes, by the cost model."""
        d, units = dimensions_of(self.needs, self.features), self.units
        seconds = self.ranker.seconds(units.rows, d)
        if self.near is None or not len(units):
            return seconds
        rows = self.compared.rows
        of_a_row = near_duplicate_seconds(rows, d) / np.maximum(rows, 1)
        of_groups = self.groups.rows * np.repeat(of_a_row, np.diff(self.compared.first_group))
        return seconds + np.add.reduceat(of_groups, units.first_group[:-1])

    @cached_property
    def bounds(self) -> NDArray[np.int64]:
        """Where units may be cut into bundles: rising numbers of units, from 0 to how many there
        are. None cuts rows that are compared.
        """
        if self.near is None or len(self.compared) >= len(self.units):
            return np.arange(len(self.units) + 1)
        return np.searchsorted(self.units.first_group, self.compared.first_group)

    def bundles(
        self, most: int, first: int = 0, last: int | None = None, *, seconds: float = BUNDLE_SECONDS
    ) -> Iterator[tuple[int, int]]:
        """Units first..last-1 (all), cut at `bounds` into those to be ranked together, as `bundles`
        has it. One that is ranked in parts is by itself.
        """
        last = len(self.units) if last is None else last
        if first >= last:
            return
        bounds = self.bounds[(self.bounds >= first) & (self.bounds <= last)]
        rows = np.add.reduceat(self.units.rows[:last], bounds[:-1])
        # Rounded: the last bit, which is not the same on every processor, decides nothing.
        took: NDArray[np.float64] = np.add.reduceat(self.seconds[:last], bounds[:-1]).round(6)
        large = np.maximum.reduceat(self.parts[:last], bounds[:-1]) > 1
        rows[large] = np.maximum(rows[large], most + 1)
        for begin, end in bundles(rows, took, most, seconds):
            yield int(bounds[begin]), int(bounds[end])

    def large(self, unit: int) -> LargeUnit | None:
        """A unit that is ranked in parts; None of one that is ranked whole."""
        if self.parts[unit] == 1 or not isinstance(self.ranker, SubmodularRanker):
            return None
        feature = self.features[self.ranker.reads[0].key]
        start, stop = _span(self.units, unit, unit + 1)
        pool = self._pool(unit, unit + 1, start, stop, ())
        return LargeUnit(unit, self.ranker, pool, feature, self.threads)

    def ranked(self, first: int, last: int, made: MadeParts = by_itself) -> Ranked:
        """Units first..last-1 in order. Raises InputError where the ranker's answer is none.

        made: gives the parts of a unit that is ranked in such, where it is the only one.
        """
        start, stop = _span(self.units, first, last)
        large = self.large(first) if last - first == 1 else None
        if large is None:
            pool = self._pool(first, last, start, stop, self.needs)
            order = _checked(self.ranker, pool, self.threads)
        else:
            order = large.joined(made)
            whole = self.near is not None
            pool = self._pool(first, last, start, stop, self.needs) if whole else large.pool
        near: list[pa.Array] = []
        if self.near is not None:
            within = None if self.near_within is None else self._compared_of(pool)
            order, near = set_apart(pool, order, self.near, within=within, threads=self.threads)
        row_ids, gains = pool.row_ids[pool.begins() + order[0]], order[1]
        if len(pool) == stop - start and pool.trained is None:
            return Ranked(row_ids, gains, near)
        return self._with_others(first, last, Ranked(row_ids, gains, near))

    def _pool(self, first: int, last: int, start: int, stop: int, needs: Sequence[Need]) -> Pool:
        ids, sizes = np.arange(start, stop), self.units.rows[first:last]
        groups = slice(int(self.units.first_group[first]), int(self.units.first_group[last]))
        numbers = np.arange(groups.start, groups.stop, dtype=np.int32)
        bounds = self.units.first_group[first : last + 1]
        numbers -= np.repeat(bounds[:-1], np.diff(bounds)).astype(np.int32)
        templates = np.repeat(numbers, self.groups.rows[groups])
        features = {n.key: self.features[n.key].rows(start, stop) for n in needs}
        if self.ranker.vectors and needs:
            features[VECTORS.key] = features[self.ranker.vectors]
        tables = {need.key for need in needs if need.kind == "table"}
        trained = _inside(self.trained, start, stop)
        out = _inside(self.left_out, start, stop)
        if out is not None:
            stays = ~out if trained is None else ~out | trained
            unit = np.repeat(np.arange(last - first), sizes)
            sizes = np.bincount(unit[stays], minlength=last - first)
            ids, templates = ids[stays], _without_gaps(unit[stays], templates[stays])
            trained = None if trained is None else trained[stays]
            features = {k: v if k in tables else v[stays] for k, v in features.items()}
        return Pool(sizes, ids, templates, features, trained)

    def _compared_of(self, pool: Pool) -> NDArray[np.int64]:
        """How many rows of the pool are compared with each other, part after part."""
        ends = self.compared.start + self.compared.rows
        part = np.searchsorted(ends, pool.row_ids, side="right")
        return np.bincount(part - part.min(initial=len(ends)))

    def _with_others(self, first: int, last: int, ranked: Ranked) -> Ranked:
        """The same with the rows that nobody takes behind the others of their unit."""
        start, stop = _span(self.units, first, last)
        others = np.setdiff1d(np.arange(start, stop), ranked.row_ids)
        ids = np.concatenate([ranked.row_ids, others])
        gains = np.concatenate([ranked.gains, np.zeros(len(others))])
        taken = np.ones(stop - start, dtype=np.bool_)
        for gone in (self.left_out, self.trained):
            found = _inside(gone, start, stop)
            taken &= True if found is None else ~found
        unit = np.repeat(np.arange(last - first), self.units.rows[first:last])[ids - start]
        order = np.lexsort((~taken[ids - start], unit))  # stable
        nulls = [pa.nulls(len(others), kind.type) for kind in COLUMNS]
        pairs = zip(ranked.near, nulls, strict=False)  # there may be no columns
        near = [pa.concat_arrays(pair).take(pa.array(order)) for pair in pairs]
        return Ranked(ids[order], gains[order], near)


def bundles(
    sizes: NDArray[np.int64],
    seconds: NDArray[np.float64],
    most: int,
    longest: float = BUNDLE_SECONDS,
) -> Iterator[tuple[int, int]]:
    """Cut units into runs (first, last) of at most `most` rows and `longest` seconds, or of one
    unit.
    """
    first, rows, cost = 0, 0, 0.0
    for unit, (size, own) in enumerate(zip(sizes.tolist(), seconds.tolist(), strict=True)):
        if unit > first and (rows + size > most or cost + own > longest):
            yield first, unit
            first, rows, cost = unit, 0, 0.0
        rows, cost = rows + size, cost + own
    if len(sizes):
        yield first, len(sizes)


def _span(units: Units, first: int, last: int) -> tuple[int, int]:
    return int(units.start[first]), int(units.start[last - 1] + units.rows[last - 1])


def _inside(row_ids: NDArray[np.int64], start: int, stop: int) -> NDArray[np.bool_] | None:
    """(stop - start,) whether each row is one of these; None where none is."""
    low, high = np.searchsorted(row_ids, [start, stop])
    if low == high:
        return None
    mask = np.zeros(stop - start, dtype=np.bool_)
    mask[row_ids[low:high] - start] = True
    return mask


def _checked(ranker: Ranker, pool: Pool, threads: int) -> Order:
    """The ranker's answer, checked to be an order of each unit: it may be anybody's."""
    with at_work(ranker):
        order, gains = ranker.rank(pool, threads=threads)
    sizes = np.repeat(pool.sizes, pool.sizes)
    inside = len(order) == len(sizes) == len(gains) and bool(((order >= 0) & (order < sizes)).all())
    if not inside or not (np.bincount(pool.begins() + order, minlength=len(sizes)) == 1).all():
        rows = f"rows {pool.row_ids[0]}..{pool.row_ids[-1]}" if len(pool) else "no rows"
        raise InputError(
            f"the ranker {ranker.name} did not name every row of its units exactly once",
            place=rows,
        )
    return order, np.asarray(gains, dtype=np.float64)


def _missing(ranker: Ranker, need: Need, near: float | None) -> InputError:
    if need == VECTORS:
        whose = f"the ranker {ranker.name} needs"
        asks = whose if need in ranker.reads or near is None else "near duplicates need"
        return InputError(f"{asks} embeddings", place="embeddings", fix="run `smartx embed` first")
    return InputError(
        f'the ranker {ranker.name} needs "{need.name}" of the rows ({need.kind})',
        place="features",
        fix=f"give `feature` {need.name}=FILE",
    )


def _without_gaps(units: NDArray[np.int64], templates: NDArray[np.int32]) -> NDArray[np.int32]:
    """Templates numbered from 0 inside each unit, as before: some may have lost all rows."""
    if not len(units):
        return templates
    both = units * (int(templates.max()) + 1) + templates
    _, numbers = np.unique(both, return_inverse=True)
    lowest = np.full(int(units.max()) + 1, len(both))
    np.minimum.at(lowest, units, numbers)
    dense: NDArray[np.int32] = (numbers - lowest[units]).astype(np.int32)
    return dense
