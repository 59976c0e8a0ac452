"""Which column is what in every file, decided before any of them is read.

Files of one data set with the same columns are read in one way, that of the first by name: neither
the order of the sources nor which others there are plays a part. What a file shows late is added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from smartx.corpus.blocks import Block, RowCells, Sample, SourceReader
from smartx.corpus.columns import MEANINGS, Columns, Layout, appended_column, find_layout
from smartx.corpus.formats import open_source
from smartx.corpus.normalise import values_of
from smartx.corpus.room import Room
from smartx.corpus.sources import SourceFile, watching

_ADDED = ("extra", "system", "source", "task", "template")  # roles that a file may get late
_NO_COLUMNS = Layout(prompt="prompt", response="response")  # of a file without rows


@dataclass(frozen=True)
class Options:
    """What the caller of ingest decides about rows."""

    columns: Columns
    keep_empty_responses: bool
    task_name: str | None
    source_name: str | None
    other_columns: bool


@dataclass(frozen=True)
class Look:
    """How to read a file, by the first rows of its data set.

    names: columns, in the order found.  unseen: those that may mean something and had no value yet.
    """

    names: tuple[str, ...]
    unseen: frozenset[str]
    layout: Layout


def look_at(
    files: Sequence[SourceFile],
    signatures: Sequence[tuple[int, ...]],
    options: Options,
    room: Room,
) -> list[Look]:
    """A look for each file. signatures: of the files as they have to be.

    Raises CorpusError for a file that is not understood.
    """
    looks: dict[str, Look] = {}
    decided: dict[tuple[str, frozenset[str]], Look] = {}
    for file, signature in sorted(
        zip(files, signatures, strict=True), key=lambda pair: (pair[0].label, pair[0].name)
    ):
        with watching(file, signature):
            sample = _sample(open_source(file, room), options.columns)
        columns = file.label, frozenset(sample.names)
        if columns not in decided:
            layout = layout_of(sample, file, options)
            decided[columns] = Look(sample.names, MEANINGS - _seen(sample), layout)
        looks[file.name] = replace(decided[columns], names=sample.names)
    return [looks[file.name] for file in files]


def layout_of(sample: Sample, file: SourceFile, options: Options) -> Layout:
    """How to read a file, by its first rows."""
    if not sample.names:
        return _NO_COLUMNS
    named = options.source_name is not None or (file.named and options.columns.source is None)
    return find_layout(
        sample,
        options.columns,
        file,
        one_task=options.task_name is not None,
        one_source=named,
    )


def late_columns(block: Block, unseen: frozenset[str]) -> dict[str, list[Any]]:
    """The values of columns that may mean something and have values for the first time."""
    if isinstance(block.cells, RowCells):
        names = sorted(unseen & set().union(*block.cells.rows))
    else:
        names = [name for name in block.cells if name in unseen]
    cells = {name: block.cells[name] for name in names}
    values = {n: c for n, c in cells.items() if isinstance(c, list) or c.null_count < len(c)}
    lists = {name: values_of(cell) for name, cell in values.items()}
    return {n: v for n, v in lists.items() if any(value is not None for value in v)}


def extended(
    layout: Layout, late: dict[str, list[Any]], file: SourceFile, options: Options, room: Room
) -> Layout:
    """The layout with roles for columns that show late, where those are not taken yet."""
    sample = _sample(open_source(file, room), options.columns)
    names = dict.fromkeys((*sample.names, *late))
    sample = Sample(tuple(names), {**sample.values, **late})
    found, known = layout_of(sample, file, options).roles(), layout.roles()
    if found.get("prompt") != known.get("prompt"):  # of rows that are laid out in another way
        found.pop("extra", None)
        if options.columns.prompt is None and (extra := appended_column(sample, layout)):
            found["extra"] = extra
    added: Any = {r: n for r, n in found.items() if r in _ADDED and r not in known and n in late}
    return replace(layout, **added)


def _sample(reader: SourceReader, wanted: Columns) -> Sample:
    """The first rows, and further ones where a column that the caller names shows late."""
    sample = reader.sample()
    lost = {name for name in vars(wanted).values() if name is not None} - set(sample.names)
    values = dict(sample.values)
    for block in reader.blocks([]) if lost and sample.more else ():
        late = late_columns(block, frozenset(lost))
        values.update(late)
        lost -= set(late)
        if not lost:
            break
    return replace(sample, names=tuple(values), values=values)


def _seen(sample: Sample) -> frozenset[str]:
    return frozenset(
        name for name, cells in sample.values.items() if any(cell is not None for cell in cells)
    )
