"""Files whose rows are laid out in several ways: what the usual layout cannot read, read so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from smartx.corpus.blocks import Block, Drop, Sample
from smartx.corpus.columns import TEXTS, Layout, other_layout
from smartx.corpus.extra import Kinds
from smartx.corpus.normalise import Naming, Normal, normalise, values_of
from smartx.corpus.sources import SourceFile

_MISSING = ("no prompt", "no response")
_KINDS = 64  # sets of columns that are looked at in one file


@dataclass
class OtherLayouts:
    """The layouts of one file besides its usual one, by the text columns that a row has."""

    source: SourceFile
    usual: Layout
    found: dict[frozenset[str], Layout | None] = field(default_factory=dict)

    def rescue(
        self, block: Block, normal: Normal, naming: Naming, turn_kinds: Kinds
    ) -> tuple[Normal, dict[int, Layout]]:
        """Read again, by another layout, the rows that lack a column of the usual one.

        Returns the block with those rows in place, and by index the layout that each was read by.
        """
        lost = [i for i, drop in normal.drops.items() if drop.reason in _MISSING]
        pieces: list[tuple[list[int], Layout]] = []
        for names, rows in _by_names(block, lost).items():
            layout = self._layout(block.take(rows), names)
            if layout is not None:
                pieces.append((rows, layout))
        read_by: dict[int, Layout] = {}
        for rows, layout in pieces:
            again = normalise(block.take(rows), layout, naming, turn_kinds)
            normal = _with(normal, rows, again)
            read_by.update(dict.fromkeys(rows, layout))
        return normal, read_by

    def _layout(self, rows: Block, names: frozenset[str]) -> Layout | None:
        if names not in self.found and len(self.found) < _KINDS:
            values = {name: values_of(rows.cells[name]) for name in sorted(names)}
            self.found[names] = other_layout(Sample(tuple(values), values), self.usual, self.source)
        return self.found.get(names)


def _by_names(block: Block, rows: Iterable[int]) -> dict[frozenset[str], list[int]]:
    """Rows by the text columns that they have."""
    rows = sorted(rows)
    has: Mapping[str, Any] = (
        {name: _is_there(block.cells[name]) for name in block.cells if name in TEXTS}
        if rows
        else {}
    )
    found: dict[frozenset[str], list[int]] = {}
    for row in rows:
        found.setdefault(frozenset(n for n, there in has.items() if there[row]), []).append(row)
    return found


def _is_there(cells: pa.Array | list[Any]) -> Any:
    if isinstance(cells, list):
        return [value is not None for value in cells]
    return cells.is_valid().to_numpy(zero_copy_only=False)


def _with(normal: Normal, rows: list[int], again: Normal) -> Normal:
    """`normal`, with some of its rows replaced by what they became when they were read again."""
    size = len(normal.columns["prompt"])
    take = np.arange(size)
    take[rows] = size + np.arange(len(rows))
    columns = {
        name: pa.concat_arrays([column, again.columns[name]]).take(pa.array(take))
        for name, column in normal.columns.items()
    }
    drops: dict[int, Drop] = {i: drop for i, drop in normal.drops.items() if i not in set(rows)}
    drops.update({rows[i]: drop for i, drop in again.drops.items()})
    return Normal(columns, drops)
