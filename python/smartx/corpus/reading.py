"""Source files, block by block, into the arrivals and the ledger of dropped rows."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from smartx.corpus.blocks import Block
from smartx.corpus.columns import MEANINGS, TEXTS, Layout
from smartx.corpus.dropped import DropLedger
from smartx.corpus.extra import (
    Kinds,
    OthersFile,
    Taken,
    is_vector,
    other_columns,
)
from smartx.corpus.formats import open_source
from smartx.corpus.grouping import ARRIVAL, Arrivals
from smartx.corpus.layouts import Look, Options, extended, late_columns
from smartx.corpus.mixed import OtherLayouts
from smartx.corpus.normalise import Naming, Normal, normalise
from smartx.corpus.overview import named_by
from smartx.corpus.room import Room
from smartx.corpus.sources import SourceFile, watching
from smartx.errors import CorpusError, plain
from smartx.progress import Progress
from smartx.store import FileEntry


@dataclass
class Reading:
    """Where reading stands.

    position: rows read so far.  facts: of each finished source.
    extra, turns: the types of the other columns, and of the other keys of turns.
    others: opens the file of the other columns of a source, by its number.
    entries: of those files that are finished.
    """

    options: Options
    others: Callable[[int], AbstractContextManager[OthersFile]]
    room: Room
    arrivals: Arrivals
    ledger: DropLedger
    progress: Progress
    position: int = 0
    facts: list[dict[str, Any]] = field(default_factory=list)
    extra: Kinds = field(default_factory=Kinds)
    turns: Kinds = field(default_factory=Kinds)
    entries: list[FileEntry] = field(default_factory=list)

    def read(self, number: int, file: SourceFile, look: Look, before: tuple[int, ...]) -> None:
        """All rows of a file. before: its signature.

        Raises CorpusError where it changes under the reader's hands.
        """
        start = self.position
        with watching(file, before), self.others(number) as others:
            one = _OneFile(self, number, file, look, start, others)
            for block in open_source(file, self.room).blocks(one.wanted()):
                one.take(block)
                self.progress.advance(block.read)
            size = file.path.stat().st_size
        if others.entry is not None:
            self.entries.append(others.entry)
        self.facts.append({"name": file.name, "bytes": size, **one.facts()})


class _OneFile:
    """The reading of one file."""

    def __init__(
        self,
        reading: Reading,
        number: int,
        file: SourceFile,
        look: Look,
        start: int,
        file_of_others: OthersFile,
    ) -> None:
        self._reading, self._number, self._file = reading, number, file
        self._file_of_others = file_of_others
        self._layout, self._start, self._look = look.layout, start, look
        options = reading.options
        source = options.source_name
        if source is None and file.named:
            source = file.label
        self._naming = Naming(file.label, options.task_name, source, options.keep_empty_responses)
        named = options.columns
        self._others = OtherLayouts(file, look.layout)
        self._one_way = bool(named.prompt or named.response or named.messages)
        self._names: list[str] | None = None
        self._left_out: list[str] = []
        self._said: set[Layout] = {look.layout}
        self._unseen = look.unseen

    def wanted(self) -> list[str]:
        """The columns to read."""
        names = self._layout.columns()
        if self._reading.options.other_columns:
            names += self._look.names
        else:
            names += [name for name in self._look.names if name in MEANINGS]
        return list(dict.fromkeys(names))

    def facts(self) -> dict[str, Any]:
        """What the manifest says of the file."""
        others = [layout.roles() for layout in self._said if layout != self._layout]
        naming, layout = self._naming, self._layout
        label = naming.label if naming.task is None else naming.task
        without = "" if layout.task or naming.task is not None else naming.label
        names = {
            "source": without if naming.source is None else naming.source,
            "task": label,
            "template": "",
        }
        optional = {
            "hub": self._file.hub,
            "other_layouts": sorted(others, key=str),
            "left_out": sorted(self._left_out),
            "why": list(layout.why),
        }
        return {
            "set": self._file.label,
            "rows": self._reading.position - self._start,
            "columns": layout.roles(),
            **{role: named_by(getattr(layout, role), name) for role, name in names.items()},
            **{name: value for name, value in optional.items() if value},
        }

    def take(self, block: Block) -> None:
        """The rows of a block: kept ones to the arrivals, the others to the ledger."""
        reading = self._reading
        if self._unseen and len(block.places):
            self._see_late(block)
        drops = list(block.drops)
        reading.position += len(block.drops) + len(block.places)
        if len(block.places):
            normal, read_by = self._normal(block)
            carried = self._carried(block, read_by, normal)
            kept = normal.kept()
            drops += [
                (int(block.places[i]), int(block.lines[i]), why) for i, why in normal.drops.items()
            ]
            if len(kept):
                taken = dict(normal.columns)
                if len(kept) < len(block.places):
                    taken = {name: column.take(pa.array(kept)) for name, column in taken.items()}
                positions = block.places[kept] + self._start
                if carried is not None:
                    all_kept = len(kept) == len(block.places)
                    some = carried if all_kept else carried.take(pa.array(kept))
                    self._file_of_others.add(positions, some)
                origin = {
                    "origin_file": pa.repeat(pa.scalar(self._number, pa.int32()), len(kept)),
                    "origin_row": pa.array(block.lines[kept]),
                    "source_position": pa.array(positions),
                }
                rows = [{**taken, **origin}[name] for name in ARRIVAL.names]
                reading.arrivals.add(
                    pa.RecordBatch.from_arrays(rows, schema=ARRIVAL),
                    (taken["source"], taken["task"], taken["template"]),
                )
                last, groups = int(block.lines[-1]), reading.arrivals.groups
                reading.room.check_groups(
                    self._file.path, last, groups, reading.arrivals.name_bytes
                )
        for place, line, why in sorted(drops, key=lambda drop: drop[0]):
            reading.ledger.add(self._start + place, self._file, line, why)

    def _see_late(self, block: Block) -> None:
        """Give columns that have their first values in this block the roles that are free."""
        late = late_columns(block, self._unseen)
        if not late:
            return
        self._unseen -= late.keys()
        reading, before = self._reading, self._layout.roles()
        layout = extended(self._layout, late, self._file, reading.options, reading.room)
        roles = {name: role for role, name in layout.roles().items() if role not in before}
        for name, values in late.items():
            first = next(index for index, value in enumerate(values) if value is not None)
            place = f'{self._file.path}:{block.lines[first]}: the column "{name}" begins here'
            if name in roles:
                reading.progress.note(plain(f"{place}; it is the {roles[name]}"))
            elif name not in before.values() and not self._is_another_layout(block, name, first):
                reading.progress.note(plain(f"{place}; it is not used (it can be named)"))
        if layout != self._layout:
            self._said.discard(self._layout)
            self._said.add(layout)
            self._layout = layout
            self._others = OtherLayouts(self._file, layout)

    def _is_another_layout(self, block: Block, name: str, row: int) -> bool:
        """Whether a column of texts stands in the place of those that rows have usually."""
        usual = self._layout.messages or self._layout.prompt
        cells = block.cells[usual] if usual is not None and usual in block.cells else [None]
        cell = cells[row if len(cells) > row else 0]
        return name in TEXTS and (cell is None or getattr(cell, "is_valid", True) is False)

    def _normal(self, block: Block) -> tuple[Normal, dict[int, Layout]]:
        normal = normalise(block, self._layout, self._naming, self._reading.turns)
        if self._one_way:
            return normal, {}
        normal, read_by = self._others.rescue(block, normal, self._naming, self._reading.turns)
        for index, layout in sorted(read_by.items()):
            if layout not in self._said:
                self._said.add(layout)
                place = f"{self._file.path}:{block.lines[index]}"
                self._reading.progress.note(
                    plain(f"{place}: rows like this one are read in another way: {layout.words()}")
                )
        return normal, read_by

    def _carried(self, block: Block, read_by: dict[int, Layout], normal: Normal) -> pa.Table | None:
        """The other columns of each row; rows whose values cannot be kept go into the drops."""
        if not self._reading.options.other_columns:
            return None
        if self._names is None:
            self._names = self._other_names(block)
        left_out = frozenset(self._left_out)
        taken = Taken(
            left_out.union(self._layout.columns()),
            {index: left_out.union(layout.columns()) for index, layout in read_by.items()},
        )
        kept = normal.kept().tolist()
        try:
            others, drops = other_columns(block, kept, self._names, taken, self._reading.extra)
        except pa.ArrowInvalid as problem:
            fault = f"a column that is not used holds what cannot be kept ({problem})"
            fix = "leave the columns out (`drop_other_columns`)"
            raise CorpusError(self._file.path, int(block.lines[0]), fault, fix=fix) from None
        for index, why in drops.items():
            normal.drops.setdefault(index, why)
        return others

    def _other_names(self, block: Block) -> list[str]:
        """Columns that are not used, by the first block. Vectors are not among them: they are
        large, and smartx makes its own.
        """
        names = [name for name in block.cells if name not in self._layout.columns()]
        self._left_out = [name for name in names if is_vector(block.cells[name])]
        for name in sorted(self._left_out):
            said = f'{self._file.path}: the vectors in "{name}" do not travel with the rows'
            self._reading.progress.note(plain(said))
        return [name for name in names if name not in self._left_out]
