"""What rows carry besides the columns of every mixture: real columns again, as in their sources."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa

from smartx.corpus.extra import JSON, arrow_column, arrow_type

if TYPE_CHECKING:
    from smartx.corpus import Corpus

_TURN = ("role", "content")
_MORE = "other_columns"
_NONE: dict[str, Any] = {"kinds": {}, "more": False}


@dataclass(frozen=True)
class OtherColumns:
    """The other columns of a corpus, and the other keys of its turns.

    names: in the mixture, by name in the sources.
    kinds: of the columns, by name in the sources.  turns: of the keys of turns, in the same way.
    more: the column of JSON texts for columns that have none of their own, or "" if there are none.
    more_keys: the same, of the keys of turns.
    """

    names: Mapping[str, str]
    kinds: Mapping[str, Any]
    turns: Mapping[str, Any]
    more: str
    more_keys: str

    @classmethod
    def of(cls, corpus: Corpus, taken: Iterable[str]) -> OtherColumns:
        """Those of a corpus. One whose name is taken becomes original_NAME."""
        noted = corpus.manifest.get("extra", {})
        columns, turns = noted.get("columns", _NONE), noted.get("turns", _NONE)
        kinds, used, names = columns["kinds"], set(taken), {}
        for name in kinds:
            names[name] = _free(name, used, kinds)
            used.add(names[name])
        keys = {key: kind for key, kind in turns["kinds"].items() if key not in _TURN}
        return cls(
            names,
            kinds,
            keys,
            _free(_MORE, used, ()) if columns["more"] else "",
            _free(_MORE, {*keys, *_TURN}, ()) if turns["more"] else "",
        )

    def schema(self, own: pa.Schema) -> pa.Schema:
        """Of a mixture whose own columns are given."""
        for name, kind in self.kinds.items():
            own = own.append(pa.field(self.names[name], arrow_type(kind)))
        return own.append(pa.field(self.more, pa.string())) if self.more else own

    def appended(self, table: pa.Table, rows: pa.Table) -> pa.Table:
        """A table of rows of the corpus with their other columns."""
        if not self.kinds:
            return table
        objects = [_object(text) for text in rows["extra"].to_pylist()]
        for name, kind in self.kinds.items():
            column = arrow_column([row.get(name) for row in objects], kind)
            table = table.append_column(self.names[name], column)
        return table.append_column(self.more, _rest(objects, self.kinds)) if self.more else table

    def messages(self, messages: pa.ChunkedArray) -> pa.Array:
        """Turns with their other keys as real keys, null where a turn has none."""
        lists = messages.combine_chunks()
        if isinstance(lists, pa.ChunkedArray):
            lists = pa.concat_arrays(lists.chunks)
        turns = lists.flatten()
        extras = [_object(text) for text in turns.field("extra").to_pylist()] if self.turns else []
        fields = {
            **{name: turns.field(name).cast(pa.string()) for name in _TURN},
            **{
                name: arrow_column([extra.get(name) for extra in extras], kind)
                for name, kind in self.turns.items()
            },
            **({self.more_keys: _rest(extras, self.turns)} if self.more_keys else {}),
        }
        made = pa.StructArray.from_arrays(list(fields.values()), list(fields))
        lengths = lists.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
        offsets = pa.array([0, *lengths.cumsum().tolist()], pa.int32())
        mask = lists.is_null() if lists.null_count else None
        return pa.ListArray.from_arrays(offsets, made, mask=mask)


def _free(name: str, used: Collection[str], others: Collection[str]) -> str:
    """A name that is not used, nor the name of another column."""
    free = name
    while free in used or (free != name and free in others):
        free = f"original_{free}"
    return free


def _rest(objects: Sequence[Mapping[str, Any]], known: Collection[str]) -> pa.Array:
    """What the objects hold besides, each as JSON."""
    rests = [{k: v for k, v in found.items() if k not in known} for found in objects]
    return arrow_column([rest or None for rest in rests], JSON)


def _object(text: str | None) -> dict[str, Any]:
    found = orjson.loads(text) if text else {}
    assert isinstance(found, dict)
    return found
