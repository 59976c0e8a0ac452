"""Source files, block by block, into the arrivals and the ledger of dropped rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from smartx.corpus.blocks import Block, Drop, Sample
from smartx.corpus.columns import TEXTS, Columns, Layout, find_layout
from smartx.corpus.dropped import DropLedger
from smartx.corpus.extra import EXTRA, Kinds, Taken, is_vector, other_columns
from smartx.corpus.formats import open_source
from smartx.corpus.grouping import ARRIVAL, Arrivals
from smartx.corpus.mixed import OtherLayouts
from smartx.corpus.normalise import Naming, Normal, normalise
from smartx.corpus.room import Room
from smartx.corpus.sources import SourceFile
from smartx.errors import CorpusError, plain
from smartx.progress import Progress


@dataclass(frozen=True)
class Options:
    """What the caller of ingest decides about rows."""

    columns: Columns
    keep_empty_responses: bool
    task_name: str | None
    other_columns: bool


@dataclass
class Reading:
    """Where reading stands.

    position: rows read so far.  facts: of each finished source.  layouts: by columns of a file.
    extra, turns: the kinds of the other columns, and of the other keys of turns.
    """

    options: Options
    room: Room
    arrivals: Arrivals
    ledger: DropLedger
    progress: Progress
    position: int = 0
    facts: list[dict[str, Any]] = field(default_factory=list)
    layouts: dict[frozenset[str], Layout] = field(default_factory=dict)
    extra: Kinds = field(default_factory=Kinds)
    turns: Kinds = field(default_factory=Kinds)

    def read(self, number: int, file: SourceFile) -> None:
        """All rows of a file. Raises CorpusError where it changes under the reader's hands."""
        before, start = file.path.stat(), self.position
        reader = open_source(file, self.room)
        sample = reader.sample()
        one = _OneFile(self, number, file, self._layout(sample, file), start)
        for block in reader.blocks(one.wanted(sample)):
            one.take(block)
            self.progress.advance(block.read)
        after = file.path.stat()
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise CorpusError(file.path, 0, "the file changed while it was read", fix="run again")
        self.facts.append({"name": file.name, "bytes": after.st_size, **one.facts()})

    def _layout(self, sample: Sample, file: SourceFile) -> Layout:
        """Files with the same columns are read in the same way; what was guessed is said once."""
        if not sample.names:
            return Layout(prompt="prompt", response="response")  # no row has anything in any case
        names = frozenset(sample.names)
        if names not in self.layouts:
            one_task = self.options.task_name is not None
            layout = find_layout(sample, self.options.columns, file, one_task=one_task)
            self.layouts[names] = layout
            self.progress.note(plain(f"{file.path}: {layout.words()}"))
        return self.layouts[names]


class _OneFile:
    """The reading of one file."""

    def __init__(
        self, reading: Reading, number: int, file: SourceFile, layout: Layout, start: int
    ) -> None:
        self._reading, self._number, self._file = reading, number, file
        self._layout, self._start = layout, start
        options = reading.options
        self._naming = Naming(file.default_name, options.task_name, options.keep_empty_responses)
        named = options.columns
        self._others = OtherLayouts(file, layout)
        self._one_way = bool(named.prompt or named.response or named.messages)
        self._left_out: frozenset[str] | None = None
        self._said: set[Layout] = {layout}

    def wanted(self, sample: Sample) -> list[str]:
        """The columns to read."""
        names = self._layout.columns()
        if self._reading.options.other_columns:
            names += sample.names
        elif not self._one_way:
            names += [name for name in sample.names if name in TEXTS]
        return list(dict.fromkeys(names))

    def facts(self) -> dict[str, Any]:
        """What the manifest says of the file."""
        others = [layout.roles() for layout in self._said if layout != self._layout]
        optional = {
            "hub": self._file.hub,
            "other_layouts": sorted(others, key=str),
            "left_out": sorted(self._left_out or ()),
        }
        return {
            "rows": self._reading.position - self._start,
            "columns": self._layout.roles(),
            **{name: value for name, value in optional.items() if value},
        }

    def take(self, block: Block) -> None:
        """The rows of a block: kept ones to the arrivals, the others to the ledger."""
        reading = self._reading
        drops = list(block.drops)
        reading.position += len(block.drops) + len(block.places)
        if len(block.places):
            normal, read_by = self._normal(block)
            extra = self._extra(block, read_by, normal)
            kept = normal.kept()
            drops += [
                (int(block.places[i]), int(block.lines[i]), why) for i, why in normal.drops.items()
            ]
            if len(kept):
                taken = {**normal.columns, "extra": extra}
                if len(kept) < len(block.places):
                    taken = {name: column.take(pa.array(kept)) for name, column in taken.items()}
                origin = {
                    "origin_file": pa.repeat(pa.scalar(self._number, pa.int32()), len(kept)),
                    "origin_row": pa.array(block.lines[kept]),
                    "source_position": pa.array(block.places[kept] + self._start),
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

    def _extra(self, block: Block, read_by: dict[int, Layout], normal: Normal) -> pa.Array:
        """The other columns of each row, as JSON; rows that cannot be written go into the drops."""
        if not self._reading.options.other_columns:
            return pa.nulls(len(block.places), EXTRA)
        left_out = self._vectors(block)
        taken = Taken(
            left_out.union(self._layout.columns()),
            {index: left_out.union(layout.columns()) for index, layout in read_by.items()},
        )
        texts = other_columns(block, taken, self._reading.extra)
        for index, text in enumerate(texts):
            if isinstance(text, Drop):
                normal.drops.setdefault(index, text)
        if not any(texts):
            return pa.nulls(len(texts), EXTRA)
        return pa.array([None if isinstance(text, Drop) else text for text in texts], EXTRA)

    def _vectors(self, block: Block) -> frozenset[str]:
        """Columns of vectors, by the first block: they are large, and smartx makes its own."""
        if self._left_out is None:
            used = set(self._layout.columns())
            names: Iterable[str] = (name for name in block.cells if name not in used)
            self._left_out = frozenset(name for name in names if is_vector(block.cells[name]))
            for name in sorted(self._left_out):
                said = f'{self._file.path}: the vectors in "{name}" do not travel with the rows'
                self._reading.progress.note(plain(said))
        return self._left_out
