"""The bytes and lines of a file, unpacked on the way, in bounded memory."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

import pyarrow as pa

from smartx.corpus.sources import SourceFile
from smartx.errors import CorpusError

READ_BYTES = 1 << 20
# Text packs 3 to 30 times smaller. What unpacks to more than RATIO times its size, once that is
# more than BOMB_BYTES, is not text that anybody wrote.
RATIO = 200
BOMB_BYTES = 256 << 20

Read = Callable[[int], bytes]


@contextmanager
def opened(source: SourceFile, raw: BinaryIO) -> Iterator[Read]:
    """A reading function over the plain bytes; damage found while reading becomes a CorpusError."""
    try:
        if source.compression == "gzip":
            with gzip.GzipFile(fileobj=raw) as file:
                yield _watched(source, raw, file.read)
        elif source.compression == "zstd":
            with pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd") as stream:
                yield _watched(source, raw, stream.read)
        else:
            yield raw.read
    except OSError as problem:
        raise CorpusError(source.path, 0, f"it cannot be read ({problem})") from None


def _watched(source: SourceFile, raw: BinaryIO, read: Read) -> Read:
    lines = size = 0

    def watched(wanted: int) -> bytes:
        nonlocal lines, size
        try:
            block = read(wanted)
        except (OSError, EOFError, zlib.error) as problem:
            raise CorpusError(
                source.path,
                lines + 1,
                f"the file is damaged or cut off here ({problem})",
                fix="fetch or write the file again",
            ) from None
        lines, size = lines + block.count(b"\n"), size + len(block)
        if size > BOMB_BYTES and size > RATIO * raw.tell():
            raise CorpusError(
                source.path,
                lines + 1,
                f"{raw.tell():,} bytes unpack to more than {size:,}: over {RATIO} times as much",
                fix="unpack the file yourself if it is to be trusted",
            )
        return block

    return watched


def read_lines(read: Read, limit: int) -> Iterator[tuple[int, bytes | None]]:
    """Numbered lines (from 1) without their newline; None for one of more than `limit` bytes.

    Holds at most one block and one line of `limit` bytes.
    """
    held: list[bytes] = []
    size = number = 0
    while block := read(READ_BYTES):
        first, *whole, tail = block.split(b"\n") if b"\n" in block else (None, block)
        if first is not None:
            number, size = number + 1, size + len(first)
            line = b"".join((*held, first)) if size <= limit else None
            yield number, _without_bom(line) if number == 1 else line
            held, size = [], 0
        for line in whole:
            number += 1
            yield number, line if len(line) <= limit else None
        size += len(tail)
        held = [*held, tail] if size <= limit else []
    if size:
        line = b"".join(held) if size <= limit else None
        yield number + 1, _without_bom(line) if number == 0 else line


def _without_bom(line: bytes | None) -> bytes | None:
    return line.removeprefix(b"\xef\xbb\xbf") if line else line
