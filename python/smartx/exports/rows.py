"""The rows of a mixture, read again a piece at a time, as an export writes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from smartx.errors import StoreError
from smartx.files import unchanged_digest
from smartx.mixture import Mixture
from smartx.mixture.chats import CALLS, turns_of_all

PIECE_ROWS = 10_000
PLAIN = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
Turn = dict[str, Any]
Row = dict[str, Any]


@dataclass(frozen=True)
class Rows:
    """The rows of a mixture, in its order.

    Every file that is read is compared with the digest that the mixture's manifest has of it.
    """

    mixture: Mixture

    def __len__(self) -> int:
        return int(self.mixture.manifest["rows"])

    @property
    def met(self) -> dict[str, Any]:
        """What trainers meet in it: `trainers` of the manifest."""
        met: dict[str, Any] = self.mixture.manifest["trainers"]
        return met

    @property
    def chats(self) -> bool:
        """Whether rows have `messages`; else they have `prompt` and `completion`."""
        return bool(self.met["conversations"])

    @cached_property
    def schema(self) -> pa.Schema:
        """Of the files, as they stand there."""
        return pq.read_schema(self._files()[0])

    @property
    def tools(self) -> bool:
        """Whether rows may offer tools."""
        return bool(self.met["tools"]) and "tools" in self.schema.names

    @property
    def prompt(self) -> str:
        """The column with the text before the last answer."""
        return "prompt_text" if self.chats else "prompt"

    def columns(self, names: Sequence[str]) -> pa.Table:
        """Some columns of all rows, in memory."""
        return pa.concat_tables(list(self._read(names)))

    def pieces(self, names: Sequence[str] | None = None) -> Iterator[tuple[slice, pa.Table]]:
        """Places and rows, PIECE_ROWS at a time at most. names: of columns; None: all."""
        done = 0
        for table in self._read(names):
            yield slice(done, done + table.num_rows), table
            done += table.num_rows

    @cached_property
    def tasks(self) -> tuple[list[tuple[str, str]], NDArray[np.int64]]:
        """((source, task) of every task with rows here, (n,) which of them each row is of)."""
        table = self.columns(["source", "task"])
        both = zip(table["source"].to_pylist(), table["task"].to_pylist(), strict=True)
        names = [(source or "", task or "") for source, task in both]
        known = sorted(set(names))
        place = {name: i for i, name in enumerate(known)}
        return known, np.array([place[name] for name in names], np.int64)

    def _read(self, names: Sequence[str] | None) -> Iterator[pa.Table]:
        for path in self._files():
            file = pq.ParquetFile(path)
            for batch in file.iter_batches(PIECE_ROWS, columns=names and list(names)):
                yield pa.Table.from_batches([batch])

    def _files(self) -> list[Path]:
        """Of the rows, each as it was written. Raises StoreError."""
        entries = [e for e in self.mixture.manifest["files"] if e["name"].startswith("data/")]
        for entry in entries:
            path = self.mixture.folder / entry["name"]
            try:
                whole = unchanged_digest(path) == entry["sha256"]
            except OSError:
                whole = False
            if not whole:
                raise StoreError(
                    "it is missing, or not what was written",
                    place=str(path),
                    fix="make the mixture again (`smartx verify` names all that is damaged)",
                )
        return [self.mixture.folder / entry["name"] for entry in entries]


def message_columns(rows: Rows) -> list[str]:
    """Those that `messages_of` needs, and `tools` where there are any."""
    if not rows.chats:
        return ["prompt", "completion"]
    return ["messages", "tools"] if rows.tools else ["messages"]


def messages_of(table: pa.Table) -> pa.ListArray:
    """Turns of every row; prompt and completion are one of the user and one of the assistant."""
    if "messages" in table.column_names:
        return table["messages"].combine_chunks()
    none = pa.nulls(table.num_rows, PLAIN)
    return turns_of_all(none, table["prompt"], table["completion"])[0]


def objects(table: pa.Table) -> Iterator[Row]:
    """Rows as JSON objects: `messages`, and `tools` where the row offers some.

    Calls of tools and tools are objects. A key that a turn has no value for is left out.
    """
    offered = table["tools"].to_pylist() if "tools" in table.column_names else []
    for place, turns in enumerate(messages_of(table).to_pylist()):
        row: Row = {"messages": [_turn(turn) for turn in turns]}
        if offered and offered[place] is not None:
            row["tools"] = orjson.loads(offered[place])
        yield row


def _turn(turn: Turn) -> Turn:
    made = {key: value for key, value in turn.items() if value is not None or key == "content"}
    if CALLS in made:
        made[CALLS] = [orjson.loads(call) for call in made[CALLS]]
    return made
