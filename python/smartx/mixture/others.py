"""What rows carry besides the columns of every mixture: real columns again, as in their sources."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa

from smartx.corpus.extra import arrow_column, arrow_type

if TYPE_CHECKING:
    from smartx.corpus import Corpus

_TURN = ("role", "content")


@dataclass(frozen=True)
class OtherColumns:
    """The other columns of a corpus, and the other keys of its turns.

    names: in the mixture, by name in the sources.
    kinds: of the columns, by name in the sources.  turns: of the keys of turns, in the same way.
    """

    names: Mapping[str, str]
    kinds: Mapping[str, Any]
    turns: Mapping[str, Any]

    @classmethod
    def of(cls, corpus: Corpus, taken: Iterable[str]) -> OtherColumns:
        """Those of a corpus. One whose name is taken becomes original_NAME."""
        noted = corpus.manifest.get("extra", {})
        kinds, used, names = noted.get("columns", {}), set(taken), {}
        for name in kinds:
            free = name
            while free in used or (free != name and free in kinds):
                free = f"original_{free}"
            used.add(free)
            names[name] = free
        turns = {k: v for k, v in noted.get("turns", {}).items() if k not in _TURN}
        return cls(names, kinds, turns)

    def schema(self, own: pa.Schema) -> pa.Schema:
        """Of a mixture whose own columns are given."""
        for name, kind in self.kinds.items():
            own = own.append(pa.field(self.names[name], arrow_type(kind)))
        return own

    def appended(self, table: pa.Table, rows: pa.Table) -> pa.Table:
        """A table of rows of the corpus with their other columns."""
        if not self.kinds:
            return table
        objects = [_object(text) for text in rows["extra"].to_pylist()]
        for name, kind in self.kinds.items():
            column = arrow_column([row.get(name) for row in objects], kind)
            table = table.append_column(self.names[name], column)
        return table

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
        }
        made = pa.StructArray.from_arrays(list(fields.values()), list(fields))
        lengths = lists.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
        offsets = pa.array([0, *lengths.cumsum().tolist()], pa.int32())
        mask = lists.is_null() if lists.null_count else None
        return pa.ListArray.from_arrays(offsets, made, mask=mask)


def _object(text: str | None) -> dict[str, Any]:
    found = orjson.loads(text) if text else {}
    assert isinstance(found, dict)
    return found
