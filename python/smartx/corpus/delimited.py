"""Tables as text: comma- or tab-separated, a header first, every cell a text."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import numpy as np

from smartx.corpus.blocks import (
    BLOCK_BYTES,
    BLOCK_ROWS,
    LINE_LIMIT,
    SAMPLE_ROWS,
    Block,
    Drop,
    Sample,
)
from smartx.corpus.room import UNLIMITED, Room
from smartx.corpus.sources import SourceFile
from smartx.corpus.streams import READ_BYTES, Read, opened, read_lines
from smartx.errors import CorpusError


@dataclass(frozen=True)
class _Record:
    """One row of the file. line: where it starts.  cells: or why there are none."""

    line: int
    size: int
    cells: list[str] | Drop


class DelimitedRows:
    """CSV and TSV as RFC 4180 has them: quotes may hold line ends; blank lines are ignored.

    A header without a comma but with semicolons is taken at its word.
    """

    def __init__(self, source: SourceFile, room: Room = UNLIMITED) -> None:
        self._source, self._room = source, room

    def sample(self) -> Sample:
        """The first rows."""
        with self._source.path.open("rb") as raw, opened(self._source, raw) as read:
            names, records = self._open(read)
            rows = [record.cells for record in islice(records, SAMPLE_ROWS)]
            usable = [row for row in rows if not isinstance(row, Drop)]
        return Sample(
            tuple(names), {name: [row[i] for row in usable] for i, name in enumerate(names)}
        )

    def blocks(self, columns: Sequence[str]) -> Iterator[Block]:
        """All rows in order."""
        with self._source.path.open("rb") as raw, opened(self._source, raw) as read:
            names, records = self._open(read)
            for name in columns:
                if names.count(name) > 1:
                    fault = f'column "{name}" is there more than once'
                    raise CorpusError(self._source.path, 1, fault, fix="rename one of them")
            part: list[tuple[int, _Record]] = []
            done = size = 0
            for place, record in enumerate(records):
                part.append((place, record))
                size += record.size
                if len(part) >= BLOCK_ROWS or size >= BLOCK_BYTES:
                    yield _block(names, columns, part, raw.tell() - done)
                    part, done, size = [], raw.tell(), 0
            yield _block(names, columns, part, raw.tell() - done)

    def _open(self, read: Read) -> tuple[list[str], Iterator[_Record]]:
        records = _Records(self._source, self._room, read)
        header = next(records.read(), None)
        if header is None:
            return [], iter(())
        if isinstance(header.cells, Drop):
            fault = f"the header cannot be read ({header.cells.reason}: {header.cells.detail})"
            raise CorpusError(self._source.path, header.line, fault, fix="write it as UTF-8 text")
        return header.cells, records.read(len(header.cells))


def _block(
    names: list[str], columns: Sequence[str], part: list[tuple[int, _Record]], read: int
) -> Block:
    good = [(place, r.line, r.cells) for place, r in part if not isinstance(r.cells, Drop)]
    at = {name: names.index(name) for name in columns if name in names}
    missing: list[Any] = [None] * len(good)
    return Block(
        np.array([place for place, _, _ in good], dtype=np.int64),
        np.array([line for _, line, _ in good], dtype=np.int64),
        {n: [cells[at[n]] for _, _, cells in good] if n in at else missing for n in columns},
        [(place, r.line, r.cells) for place, r in part if isinstance(r.cells, Drop)],
        read=read,
    )


@dataclass
class _Records:
    """The records of a file, each judged by the lines that it took."""

    source: SourceFile
    room: Room
    text: Read
    wrong: Drop | None = None
    lines: int = 0
    size: int = 0
    ended: bool = False
    reader: Any = None

    def __post_init__(self) -> None:
        csv.field_size_limit(max(csv.field_size_limit(), LINE_LIMIT))  # one for the process
        lines = (line for _, line in read_lines(self.text, LINE_LIMIT))
        first = next(lines, b"") or b""
        delimiter = "\t" if self.source.format == "tsv" else ","
        if delimiter == "," and b"," not in first and b";" in first:
            delimiter = ";"
        counted = self._counted(chain([first], lines))
        self.reader = csv.reader(counted, delimiter=delimiter, strict=True)

    def read(self, width: int = 0) -> Iterator[_Record]:
        """Records from where reading stands. width: cells that each has to have (0: any)."""
        while True:
            start, self.wrong, self.size = self.lines + 1, None, 0
            try:
                cells = next(self.reader, None)
            except csv.Error as problem:
                if self.lines > start or self.ended:  # nobody knows where the next row begins
                    raise self._open_quote(start, problem) from None
                cells, self.wrong = [""], self.wrong or Drop("not CSV", str(problem))
            if cells is None:
                return
            if cells:
                lines = self.lines - start + 1
                yield _Record(start, self.size, self.wrong or _right_width(cells, width, lines))

    def _open_quote(self, line: int, problem: csv.Error) -> CorpusError:
        end = "the end of the file" if self.ended else f"line {self.lines} ({problem})"
        return CorpusError(
            self.source.path,
            line,
            f"a quote is opened in this row and not closed before {end}",
            fix='close it, and write a quote inside a text twice ("")',
        )

    def _counted(self, lines: Iterable[bytes | None]) -> Iterator[str]:
        """The lines as text; what is noticed on the way is kept for the record they make."""
        for line in lines:
            self.lines += 1
            if line is None:
                self.wrong = Drop("line too long", f"more than {LINE_LIMIT:,} bytes")
                line = b""
            self.size += len(line)
            if self.size > READ_BYTES:
                self.room.check_row(self.source.path, self.lines, self.size)
            try:
                text = line.decode()
            except UnicodeDecodeError as bad:
                self.wrong = Drop("not UTF-8", f"byte {bad.start}: {bad.reason}")
                text = line.decode(errors="replace")
            yield text + "\n"
        self.ended = True


def _right_width(cells: list[str], width: int, lines: int) -> list[str] | Drop:
    if width and len(cells) != width:
        over = f"; it goes over {lines:,} lines: is a quote open?" if lines > 1 else ""
        return Drop("wrong number of cells", f"{len(cells)}, and the header has {width}{over}")
    return cells
