"""What is there of a part that takes long, so that a kill loses little of it.

A scrap holds adjacent rows of a part, in files like those of a part, named by the number of the
part and their first row: `scrap-00003-02048.npy`. Whoever goes on with the part takes them up, and
they are deleted once it is whole. Where nobody will go on with it they become a part themselves.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smartx.embed.npy import open_npy
from smartx.embed.parts import PartFile, Parts

_NAME = re.compile(r"scrap-([0-9]{5,})-([0-9]{5,})(?:\.texts)?\.npy(?:\.json)?")
_Vectors = NDArray[np.int16]
_Words = NDArray[np.uint64]
_Flags = NDArray[np.bool_]


def scrap_of(file: PartFile, first: int) -> PartFile:
    """Where rows of a part are, from `first` on, until it is whole."""
    return replace(file, first=first)


def scraps_of(file: PartFile) -> Iterator[tuple[int, _Vectors, _Words, _Flags]]:
    """What is whole of a part: first row, vectors, digests of their texts, which were cut."""
    begun = {first for _, number, first in _found(file.folder) if number == file.number}
    for first in sorted(begun):
        if (scrap := scrap_of(file, first).whole()) is None:
            continue
        try:
            vectors = open_npy(scrap.path).read(0, scrap.vectors.rows)
            texts, cut = scrap.texts, scrap.cut
        except (OSError, ValueError):
            continue  # gone: somebody else has made the part
        yield first, vectors, texts, cut


def delete_scraps(file: PartFile) -> None:
    """Once the part is whole."""
    for path, number, _ in _found(file.folder):
        if number == file.number:
            path.unlink(missing_ok=True)


def delete_needless(parts: Parts) -> None:
    """Scraps of parts that are whole, of a run that was killed before it deleted them."""
    for path, number, _ in _found(parts.folder):
        if number in parts.whole:
            path.unlink(missing_ok=True)


def keep_scraps(parts: Parts) -> bool:
    """Make a part of the scraps of each part that is not whole. Returns whether there were any."""
    numbers = sorted({number for _, number, _ in _found(parts.folder)} - parts.whole.keys())
    for number in numbers:
        file, after = parts.file(number), 0
        vectors, texts, cut = list[_Vectors](), list[_Words](), list[_Flags]()
        for first, rows, words, flags in scraps_of(file):
            own = slice(max(0, after - first), None)  # without what the one before it has
            vectors.append(rows[own])
            texts.append(words[own])
            cut.append(flags[own])
            after = max(after, first + len(rows))
        if after:
            made = file.commit(np.concatenate(vectors), np.concatenate(texts), np.concatenate(cut))
            parts.add(file, made)
        delete_scraps(file)
    return bool(numbers)


def _found(folder: Path) -> Iterator[tuple[Path, int, int]]:
    """Path, number of the part and first row of each file of a scrap."""
    for name in sorted(name for name in os.listdir(folder) if name.startswith("scrap-")):
        if found := _NAME.fullmatch(name):
            yield folder / name, int(found[1]), int(found[2])
