"""JSON Lines, and JSON as one array: rows of objects, one after the other, never the whole file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import orjson

from smartx.corpus.blocks import (
    BLOCK_BYTES,
    BLOCK_ROWS,
    LINE_LIMIT,
    SAMPLE_ROWS,
    Block,
    Drop,
    RowCells,
    Sample,
    json_kind,
)
from smartx.corpus.room import UNLIMITED, Room
from smartx.corpus.sources import SourceFile
from smartx.corpus.streams import READ_BYTES, Read, opened, read_lines
from smartx.errors import CorpusError

_SPACE = re.compile(r"[ \t\r\n]*")


class JsonLines:
    """JSON Lines: an object per line, blank lines ignored. Of a repeated key the last counts."""

    def __init__(self, source: SourceFile, room: Room = UNLIMITED) -> None:
        self._source, self._room = source, room

    def sample(self) -> Sample:
        """The first objects, from however far down they are."""
        rows: list[dict[str, Any]] = []
        for block in self._parsed(SAMPLE_ROWS):
            rows += block.rows
            if len(rows) >= SAMPLE_ROWS:
                break
        return Sample.of_rows(rows[:SAMPLE_ROWS], more=len(rows) >= SAMPLE_ROWS)

    def blocks(self, columns: Sequence[str]) -> Iterator[Block]:
        """All rows in order; their other columns are there too."""
        del columns
        for block in self._parsed(BLOCK_ROWS):
            yield Block(
                np.array(block.places, dtype=np.int64),
                np.array(block.lines, dtype=np.int64),
                RowCells(block.rows, block.big),
                block.drops,
                read=block.read,
            )

    def items(self, read: Read) -> Iterator[tuple[int, bytes | None]]:
        """The text of each row with its line; None where it is too long to be held."""
        for number, line in read_lines(read, LINE_LIMIT):
            if line is None or line.strip():
                yield number, line

    def _parsed(self, block_rows: int) -> Iterator[_Parsed]:
        with self._source.path.open("rb") as raw, opened(self._source, raw) as read:
            numbers: list[int] = []
            lines: list[bytes | None] = []
            place = size = done = 0
            for number, line in self.items(read):
                numbers.append(number)
                lines.append(line)
                if line is not None:
                    size += len(line)
                    if len(line) > READ_BYTES:
                        self._check(number, line)
                if len(lines) >= block_rows or size >= BLOCK_BYTES:
                    yield _parsed(place, numbers, lines, raw.tell() - done)
                    place, done, size = place + len(lines), raw.tell(), 0
                    numbers, lines = [], []
            yield _parsed(place, numbers, lines, raw.tell() - done)

    def _check(self, number: int, text: bytes) -> None:
        """Raise CorpusError where a row is too large for the memory that may be used."""
        values = text.count(b",") + text.count(b"[") + text.count(b"{")
        self._room.check_row(self._source.path, number, len(text), values)


class JsonValues(JsonLines):
    """One array of objects, or objects one after the other, laid out in any way.

    The line of a row is its number. What is not JSON ends the reading: behind it nothing is sure.
    """

    def items(self, read: Read) -> Iterator[tuple[int, bytes | None]]:
        """The text of each element with its number."""
        window = _Window(read)
        array = window.next() == "["
        window.at += array
        number = 0
        while (char := window.next()) and not (array and char == "]"):
            number += 1
            yield number, self._element(window, number)
            if array and window.next() == ",":
                window.at += 1
                if window.next() == "]":
                    raise self._fault(number, "a comma is followed by the end of the array")
            elif array and window.next() not in ("]", ""):
                raise self._fault(number, "a comma is missing behind this element")
        if array and not char:
            raise self._fault(number + 1, "the array is not closed: the file is cut off here")
        window.at += array
        if window.next():
            raise self._fault(number, "there is more behind the end of the array")

    def _element(self, window: _Window, number: int) -> bytes:
        """The next value's text. Latin-1 gives one character a byte, so offsets are bytes."""
        while True:
            try:
                end = _DECODER.raw_decode(window.text, window.at)[1]
                if end < len(window.text) or not window.more():
                    found = window.text[window.at : end].encode("latin-1")
                    window.at = end
                    return found
                continue
            except RecursionError:
                raise self._fault(number, "lists and objects are nested too deeply") from None
            except json.JSONDecodeError as bad:
                problem = bad.msg
            if len(window.text) - window.at > READ_BYTES:
                held = len(window.text) - window.at
                self._room.check_row(self._source.path, number, held)
            if len(window.text) - window.at > LINE_LIMIT:
                raise self._fault(number, f"no JSON within {LINE_LIMIT:,} bytes ({problem})")
            if not window.more():
                raise self._fault(number, f"this element is not JSON ({problem})")

    def _fault(self, number: int, fault: str) -> CorpusError:
        return CorpusError(
            self._source.path,
            number,
            fault,
            fix="write it again, best as JSON Lines (.jsonl), where a bad row costs only itself",
        )


_DECODER = json.JSONDecoder(strict=False, parse_int=str, parse_float=str)


class _Window:
    """The part of a text that is looked at; `at` is the place in it."""

    def __init__(self, read: Read) -> None:
        self._read, self._first, self.text, self.at = read, True, "", 0

    def next(self) -> str:
        """The next character that is not white space, without taking it; "" at the end."""
        while True:
            found = _SPACE.match(self.text, self.at)
            assert found is not None
            self.at = found.end()
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.more():
                return ""

    def more(self) -> bool:
        """Look at as much again, or say that there is no more."""
        rest = self.text[self.at :]
        block = self._read(max(READ_BYTES, len(rest)))
        while self._first and 0 < len(block) < 3 and (piece := self._read(READ_BYTES)):
            block += piece
        text = block.removeprefix(b"\xef\xbb\xbf") if self._first else block
        self._first = False
        self.text, self.at = rest + text.decode("latin-1"), 0
        return bool(block)


def json_reader(source: SourceFile, room: Room = UNLIMITED) -> JsonLines:
    """A file that ends in .json is an array, or JSON Lines after all."""
    with source.path.open("rb") as raw, opened(source, raw) as read:
        if _Window(read).next() == "[":
            return JsonValues(source, room)
    with source.path.open("rb") as raw, opened(source, raw) as read:
        for _, line in read_lines(read, LINE_LIMIT):
            if line is None or line.strip():
                is_row = isinstance(parse_object(line), dict)
                return JsonLines(source, room) if is_row else JsonValues(source, room)
    return JsonLines(source, room)


@dataclass
class _Parsed:
    places: Sequence[int]
    lines: list[int]
    rows: list[dict[str, Any]]
    big: dict[int, bytes]
    drops: list[tuple[int, int, Drop]]
    read: int


def _parsed(place: int, numbers: list[int], lines: list[bytes | None], read: int) -> _Parsed:
    """Lines of JSON, the first of them row `place` of its file: all at once if all are objects."""
    try:
        rows = [orjson.loads(line) for line in lines]  # type: ignore[arg-type]
        if set(map(type, rows)) <= {dict}:
            return _Parsed(range(place, place + len(rows)), numbers, rows, _big(lines), [], read)
    except orjson.JSONDecodeError:
        pass
    found = list(zip(count(place), numbers, map(parse_object, lines), lines, strict=False))
    drops = [(at, number, row) for at, number, row, _ in found if isinstance(row, Drop)]
    good = [(at, number, row, line) for at, number, row, line in found if isinstance(row, dict)]
    rows, big = [row for _, _, row, _ in good], _big([line for _, _, _, line in good])
    return _Parsed([at for at, *_ in good], [line for _, line, *_ in good], rows, big, drops, read)


def _big(lines: list[bytes | None]) -> dict[int, bytes]:
    """Lines with 20 digits in a row, by index: the parser makes a float of so large a number.

    Of 20 bytes in a row two stand at places that 10 divides: few places need a closer look.
    """
    ends = np.cumsum([0, *(len(line or b"") + 1 for line in lines)])
    found: dict[int, bytes] = {}
    start = 0
    while start < len(lines):
        stop = max(start + 1, int(np.searchsorted(ends, ends[start] + READ_BYTES, "right")) - 1)
        text = np.frombuffer(b"\n".join(line or b"" for line in lines[start:stop]), np.uint8)
        digit = text[::10] - _ZERO < _TEN
        places = np.flatnonzero(digit[1:] & digit[:-1]) * 10
        for step in range(1, 10):
            places = places[text[places + step] - _ZERO < _TEN]
        near = np.unique(np.searchsorted(ends, places + ends[start], side="right")) - 1
        closer = ((index, lines[index] or b"") for index in near.tolist())
        found.update((i, line) for i, line in closer if _TWENTY in line.translate(_DIGITS))
        start = stop
    return found


_ZERO, _TEN = np.uint8(ord("0")), np.uint8(10)
_DIGITS = bytes(48 if 48 <= byte < 58 else 32 for byte in range(256))
_TWENTY = b"0" * 20


def parse_object(line: bytes | None) -> dict[str, Any] | Drop:
    """One line of JSON Lines, or why it is none: NaN or a lone surrogate, for one, is not JSON."""
    if line is None:
        return Drop("line too long", f"more than {LINE_LIMIT:,} bytes")
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as problem:
        try:
            line.decode()
        except UnicodeDecodeError as bad:
            return Drop("not UTF-8", f"byte {bad.start}: {bad.reason}")
        return Drop("not JSON", problem.msg)
    if not isinstance(value, dict):
        return Drop("not an object", json_kind(value))
    return value
