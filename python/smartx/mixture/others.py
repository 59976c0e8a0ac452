"""What rows carry besides the columns of every mixture: columns again, as in their sources."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from smartx.corpus import pieces
from smartx.corpus.arrow_types import JSON, column_of, fitted, one_array, plain_type
from smartx.corpus.extra import COLUMNS, POSITION, REST, parsed, types_of

if TYPE_CHECKING:
    from smartx.corpus import Corpus

_TURN = ("role", "content")
_MORE = "other_columns"
_OTHERS = "others"
_PAD_ROWS = 8_192  # rows without other columns that are held at a time


@dataclass(frozen=True)
class OtherColumns:
    """The other columns of a corpus, and the other keys of its turns.

    names: in the mixture, by name in the sources.
    kinds: types of the columns, by name in the sources.  turns: of the keys of turns.
    more: the column of JSON texts for columns that have none of their own, or "" if there are none.
    more_keys: the same, of the keys of turns.
    """

    corpus: Corpus
    names: Mapping[str, str]
    kinds: Mapping[str, pa.DataType]
    turns: Mapping[str, pa.DataType]
    more: str
    more_keys: str

    @classmethod
    def of(cls, corpus: Corpus, taken: Iterable[str]) -> OtherColumns:
        """Those of a corpus. One whose name is taken becomes original_NAME."""
        columns, turns = (corpus.manifest["extra"][part] for part in ("columns", "turns"))
        kinds, used, names = types_of(columns), set(taken), dict[str, str]()
        for name in kinds:
            names[name] = _free(name, used, kinds)
            used.add(names[name])
        keys = {key: kind for key, kind in types_of(turns).items() if key not in _TURN}
        return cls(
            corpus,
            names,
            kinds,
            keys,
            _free(_MORE, used, ()) if columns["more"] else "",
            _free(_MORE, {*keys, *_TURN}, ()) if turns["more"] else "",
        )

    def schema(self, own: pa.Schema) -> pa.Schema:
        """Of a mixture whose own columns are given."""
        return pa.schema([*own, *self._schema])

    def rows(self, row_ids: NDArray[np.int64], piece_rows: int, folder: Path) -> Iterator[pa.Table]:
        """`pieces` of the corpus, with what `appended` needs."""
        found = pieces(self.corpus.rising, row_ids, piece_rows, folder)
        if not self._schema:
            yield from found
            return
        positions = self.positions(row_ids)
        others = pieces(self._rising, positions, piece_rows, folder)
        for rows, beside in zip(found, others, strict=True):
            names = [*rows.column_names, *(f"{_OTHERS}.{name}" for name in beside.column_names)]
            yield pa.table([*rows.columns, *beside.columns], names=names)

    def appended(self, table: pa.Table, rows: pa.Table) -> pa.Table:
        """A table of rows of the corpus with their other columns."""
        names = (name for name in rows.column_names if name.startswith(f"{_OTHERS}."))
        others = (rows[name] for name in names)
        return pa.table([*table.columns, *others], schema=self.schema(table.schema))

    def messages(self, messages: pa.ChunkedArray) -> pa.Array:
        """Turns with their other keys as real keys, null where a turn has none."""
        lists = one_array(messages)
        turns = lists.flatten()
        fields = {name: turns.field(name).cast(pa.string()) for name in _TURN}
        if self.turns:
            exact = bool(self.more_keys) or JSON in self.turns.values()
            extras = [parsed(text, exact=exact) for text in turns.field("extra").to_pylist()]
            for name, kind in self.turns.items():
                fields[name] = column_of([extra.get(name) for extra in extras], kind)
            if self.more_keys:
                fields[self.more_keys] = _rest(extras, self.turns)
        made = pa.StructArray.from_arrays(list(fields.values()), list(fields))
        lengths = lists.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
        offsets = pa.array([0, *lengths.cumsum().tolist()], pa.int32())
        mask = lists.is_null() if lists.null_count else None
        return pa.ListArray.from_arrays(offsets, made, mask=mask)

    @property
    def _schema(self) -> pa.Schema:
        fields = [(self.names[name], plain_type(kind)) for name, kind in self.kinds.items()]
        return pa.schema([*fields, (self.more, pa.string())] if self.more else fields)

    def positions(self, row_ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where rows stand in the sources, all of them in their order, dropped rows counted."""
        order = np.argsort(row_ids)
        found = self.corpus.rising(row_ids[order], [POSITION])
        positions = np.empty(len(order), np.int64)
        positions[order] = np.concatenate([table[POSITION].to_numpy() for table in found])
        return positions

    def _rising(self, positions: NDArray[np.int64]) -> Iterator[pa.Table]:
        """The other columns of the rows at rising positions, with nulls for what has none."""
        if not len(positions):
            yield self._schema.empty_table()
        done = 0
        for found in self.corpus.others(positions):
            there = found[POSITION].to_numpy()
            copy = np.arange(len(there)) - np.searchsorted(there, there)  # rows may come again
            at = np.searchsorted(positions, there) + copy
            yield from self._nothing(int(at[0]) - done)
            done = int(at[-1]) + 1
            places = np.full(done - int(at[0]), -1)
            places[at - at[0]] = np.arange(len(at))
            yield self._made(found).take(pa.array(places, mask=places < 0))
        yield from self._nothing(len(positions) - done)

    def _nothing(self, rows: int) -> Iterator[pa.Table]:
        for start in range(0, rows, _PAD_ROWS):
            count = min(_PAD_ROWS, rows - start)
            nulls = [pa.nulls(count, field.type) for field in self._schema]
            yield pa.Table.from_arrays(nulls, schema=self._schema)

    def _made(self, found: pa.Table) -> pa.Table:
        """The columns of the mixture, from rows of a file of other columns."""
        columns, texts = {}, found[REST]
        if COLUMNS in found.column_names:
            parts = found[COLUMNS].combine_chunks()
            columns = dict(zip((f.name for f in parts.type), parts.flatten(), strict=True))
        single: list[dict[str, Any]] = []
        if texts.null_count < len(texts):
            exact = bool(self.more) or JSON in self.kinds.values()
            single = [parsed(text, exact=exact) for text in texts.to_pylist()]
        made = []
        for name, kind in self.kinds.items():
            if name in columns:
                made.append(fitted(columns[name], kind))
            elif single:
                made.append(column_of([row.get(name) for row in single], kind))
            else:
                made.append(pa.nulls(len(texts), plain_type(kind)))
        if self.more:
            beyond = single or [{} for _ in range(len(texts))]
            for name in (name for name in columns if name not in self.kinds):
                for row, text in zip(beyond, fitted(columns[name], JSON).to_pylist(), strict=True):
                    row.update({} if text is None else {name: json.loads(text)})
            made.append(_rest(beyond, self.kinds))
        return pa.Table.from_arrays(made, schema=self._schema)


def _free(name: str, used: Collection[str], others: Collection[str]) -> str:
    """A name that is not used, nor the name of another column."""
    free = name
    while free in used or (free != name and free in others):
        free = f"original_{free}"
    return free


def _rest(objects: Iterable[Mapping[str, Any]], known: Collection[str]) -> pa.Array:
    """What the objects hold besides, each as JSON."""
    rests = [{k: v for k, v in found.items() if k not in known} for found in objects]
    return column_of([rest or None for rest in rests], JSON)
