"""A ranking in pieces, which anybody makes in any order; `run.py` puts its parts together of them.

A piece is a file of adjacent units in RUN/rankings/ID/pieces with a sidecar, gone when the ranking
is finished. Where pieces are cut depends on the rows and the cost model only. Of a unit that is
ranked in parts each part is a piece: its row ids and gains.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from smartx.costs import BASE_BYTES
from smartx.engine import near_duplicate_bytes
from smartx.files import MARK, has_mark, is_beside_others, own, storing, sweep
from smartx.needs import dimensions_of
from smartx.rankers.large import LargeUnit
from smartx.rankers.parts import ROW_BYTES, Ordered
from smartx.rankers.rank import Ranking
from smartx.rankers.rankings import BLOCK_ROWS, reading, write_rows
from smartx.store import Sidecar, key_of
from smartx.units import Unit

PIECE_ROWS = 65_536  # a piece ends before it holds more rows than this,
PIECE_SECONDS = 20.0  # or takes one thread longer by the cost model, unless it is one unit;
MANY = 64  # sooner where there would be fewer pieces than these,
LEAST_ROWS, LEAST_SECONDS = 1_024, 1.0  # but not before these
_ROW_BYTES = 120  # while a piece is put together
_FOLDER = "pieces"

Span = tuple[int, int]  # ranking units first..last-1


class Pieces:
    """The pieces of a ranking; implements smartx.units.Divided.

    A piece that ends whoever makes it is split into the least that can be ranked by itself:
    "rank-00012" into "rank-00012.00000" and so on. Parts of a unit are "rank-00012-part-00000"
    and so on, and cannot be split.
    """

    name = "rank"

    def __init__(
        self,
        ranking: Ranking,
        folder: Path,
        key: str,
        lack: Callable[[int, int], bool],
        tables: Callable[[int, int], Iterable[pa.Table]],
    ) -> None:
        """folder, key: of the stage.  lack: whether any of rows start..stop-1 is not yet in a part.

        tables: ranks units first..last-1, and gives them in order.
        """
        self.key = key
        self._ranking, self._stage, self._lack, self._tables = ranking, folder, lack, tables
        self._found: dict[Span, Sidecar] = {}
        self._large: LargeUnit | None = None  # of which a part was made last

    @cached_property
    def _spans(self) -> dict[str, Span]:
        rows, took = int(self._ranking.units.rows.sum()), float(self._ranking.seconds.sum())
        most = min(PIECE_ROWS, max(LEAST_ROWS, -(-rows // MANY)))
        seconds = min(PIECE_SECONDS, max(LEAST_SECONDS, round(took / MANY, 3)))
        spans = self._ranking.bundles(most, seconds=seconds)
        return {f"{self.name}-{number:05d}": span for number, span in enumerate(spans)}

    @cached_property
    def _begins(self) -> dict[int, str]:
        """The name of the piece that begins with a unit."""
        return {first: name for name, (first, _) in self._spans.items()}

    @cached_property
    def _parts(self) -> dict[str, tuple[str, int]]:
        """The whole unit of each part of one, by its name in `_spans`, and the part's number."""
        return {
            f"{name}-part-{number:05d}": (name, number)
            for name, (first, last) in self._spans.items()
            if last - first == 1 and self._ranking.parts[first] > 1
            for number in range(int(self._ranking.parts[first]))
        }

    def units(self) -> list[Unit]:
        """The pieces, in order."""
        in_parts: dict[str, list[str]] = {}
        for part, (whole, _) in self._parts.items():
            in_parts.setdefault(whole, []).append(part)
        names = [one for name in self._spans for one in in_parts.get(name, [name])]
        return [self._unit(name, self._span(name)) for name in names]

    def done(self, unit: Unit) -> bool:
        """Whether the piece is there, in smaller ones perhaps, or its rows are in parts already."""
        first, last = self._span(unit.name)
        rows = self._ranking.units
        if not self._lack(int(rows.start[first]), int(rows.start[last - 1] + rows.rows[last - 1])):
            return True
        if self._sidecar(unit.name).whole_part() is not None:
            return True
        smaller = self._smaller(unit.name)
        return bool(smaller) and all(self._sidecar(name).whole_part() for name in smaller)

    def make(self, unit: Unit, advance: Callable[[int], None]) -> None:
        """Rank the units of a piece, or a part of one."""
        if unit.name in self._parts:
            first, number = self._span(unit.name)[0], self._parts[unit.name][1]
            if self._large is None or self._large.number != first:
                self._large = self._ranking.large(first)
            assert self._large is not None
            ids, gains = self._large.ranked(number)
            self._keep(unit.name, pa.table({"row_id": ids, "gain": gains}))
            advance(len(ids))
            return
        tables = []
        for table in self._tables(*self._span(unit.name)):
            tables.append(table)
            advance(table.num_rows)
        self._keep(unit.name, pa.concat_tables(tables))

    def made(self, large: LargeUnit, part: int) -> Ordered:
        """A part of a unit: what is kept of it, or ranked and kept now. Raises StoreError."""
        name = f"{self._begins[large.number]}-part-{part:05d}"
        sidecar = self._sidecar(name)
        if sidecar.whole_part() is None:
            ids, gains = large.ranked(part)
            self._keep(name, pa.table({"row_id": ids, "gain": gains}))
            return ids, gains
        with reading(sidecar.part):
            table = pq.read_table(sidecar.part, page_checksum_verification=True)
        return table["row_id"].to_numpy(), table["gain"].to_numpy()

    def _keep(self, name: str, table: pa.Table) -> None:
        own(self._stage, "ranking stage")
        own(self._folder, "folder of pieces of a ranking")
        with storing(self._folder):
            self._sidecar(name).commit(table.num_rows, partial(write_rows, table, BLOCK_ROWS))

    def split(self, unit: Unit) -> list[Unit]:
        """The least pieces that can be ranked by themselves; none of one that is such a piece."""
        return [self._unit(name, span) for name, span in self._smaller(unit.name).items()]

    def close(self) -> None:
        """Forget where a unit was cut into parts."""
        self._large = None

    def cuts(self, most: int) -> Iterator[Span]:
        """All units in order, cut into pieces that are there, for `read`, and bundles of at most
        `most` rows.
        """
        if not self._folder.is_dir():
            yield from self._ranking.bundles(most)
            return
        for name, span in self._spans.items():
            own = {name: span}
            if not self._find(name, span):
                smaller = self._smaller(name)
                found = [self._find(*one) for one in smaller.items()]
                own = smaller if any(found) else own
            for first, last in own.values():
                if (first, last) in self._found:
                    yield first, last
                else:
                    yield from self._ranking.bundles(most, first, last)

    def read(self, first: int, last: int) -> pa.Table | None:
        """The piece of just these units, if `cuts` found it. Raises StoreError."""
        sidecar = self._found.get((first, last))
        if sidecar is None:
            return None
        with reading(sidecar.part):
            return pq.read_table(sidecar.part, page_checksum_verification=True)

    def clear(self) -> None:
        """Delete all pieces, once the ranking is finished; not beside others."""
        if is_beside_others() or not has_mark(self._folder):
            return
        with storing(self._folder):
            sweep(self._folder)
            there = {path.name for path in self._folder.iterdir()}
            whole = (one for name in self._spans for one in (name, *self._smaller(name)))
            for name in (*whole, *self._parts):
                sidecar = self._sidecar(name)
                for path in (sidecar.part, sidecar.path):
                    if path.name in there:
                        path.unlink(missing_ok=True)
            if [path.name for path in self._folder.iterdir()] == [MARK]:
                (self._folder / MARK).unlink()
                self._folder.rmdir()

    @property
    def _folder(self) -> Path:
        return self._stage / _FOLDER

    def _sidecar(self, name: str) -> Sidecar:
        keyed = key_of("ranking piece", 1, {"piece": name}, {"stage": self.key})
        return Sidecar(self._folder / f"{name}.parquet", keyed)

    def _find(self, name: str, span: Span) -> bool:
        """Whether a piece is there, for `read`."""
        sidecar = self._sidecar(name)
        if sidecar.whole_part() is None:
            return False
        self._found[span] = sidecar
        return True

    def _span(self, name: str) -> Span:
        if name in self._parts:
            return self._spans[self._parts[name][0]]
        whole = name.partition(".")[0]
        return self._spans[name] if name == whole else self._smaller(whole)[name]

    def _smaller(self, name: str) -> dict[str, Span]:
        """The least pieces of a piece, where it has more than one."""
        if name not in self._spans:
            return {}
        first, last = self._spans[name]
        bounds = self._ranking.bounds
        bounds = bounds[(bounds >= first) & (bounds <= last)]
        if len(bounds) < 3:
            return {}
        spans = pairwise(bounds.tolist())
        return {f"{name}.{number:05d}": span for number, span in enumerate(spans)}

    def _unit(self, name: str, span: Span) -> Unit:
        ranking, own = self._ranking, slice(*span)
        sizes, d = ranking.units.rows[own], dimensions_of(ranking.needs, ranking.features)
        seconds, memory = float(ranking.seconds[own].sum()), BASE_BYTES
        if name in self._parts:
            whole = int(sizes[0])
            sizes = np.array([ranking.ranker.held_rows(whole)])
            seconds /= int(ranking.parts[span[0]])
            memory += ROW_BYTES * whole
        elif ranking.near is not None:
            memory += near_duplicate_bytes(int(sizes.sum()), d)
        memory += ranking.ranker.memory(sizes, d, ranking.threads)
        memory += (_ROW_BYTES + 4 * d) * int(sizes.sum())
        return Unit(name, seconds, memory)
