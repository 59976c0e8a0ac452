"""The account of rows that were not kept: each one in a table, all of them counted by reason."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa

from smartx.corpus.blocks import Drop
from smartx.corpus.sources import SourceFile
from smartx.corpus.tables import TableWriter

DROPPED = pa.schema(
    [
        ("source_position", pa.int64()),
        ("file", pa.string()),
        ("line", pa.int64()),
        ("reason", pa.string()),
        ("detail", pa.string()),
    ]
)
# Every reason there is; names stay as they are from version to version.
REASONS = {
    "not UTF-8": "the line, or a text in it, is not valid UTF-8",
    "not JSON": "the line is not JSON (NaN, lone surrogates and endless nesting are not)",
    "not an object": "the line is JSON, but not an object",
    "line too long": "the line is longer than 64 MiB",
    "not CSV": "the line cannot be taken apart into cells",
    "wrong number of cells": "the row has more or fewer cells than the header",
    "nested too deeply": "lists and objects lie inside each other more than 250 deep",
    "no prompt": "the prompt, or the conversation, is missing or null",
    "no response": "the response is missing or null",
    "empty prompt": "the prompt is empty or white space",
    "empty response": "the response is empty or white space (kept on request)",
    "no assistant turn": "nobody answers in the conversation",
    "duplicate": "an earlier row says the same word for word (left out on request)",
    **{
        f"wrong type: {role}": f"the {role} is not what it has to be"
        for role in ("prompt", "response", "system", "messages", "source", "task", "template")
    },
}
_EXAMPLES = 3  # places named per reason
_DETAIL = 200  # characters
_WAITING = 65_536  # rows held before they are written


class DropLedger:
    """Takes dropped rows and writes them to a table (schema DROPPED).

    They come in source order, and behind them the duplicates in source order.
    """

    def __init__(self, writer: TableWriter) -> None:
        self._writer = writer
        self._waiting: list[tuple[int, str, int, str, str]] = []
        self._examples: dict[str, list[str]] = {}
        self.reasons: Counter[str] = Counter()

    def add(self, position: int, source: SourceFile, line: int, why: Drop) -> None:
        """One row that was dropped. position: its place among all rows of the sources."""
        self.reasons[why.reason] += 1
        examples = self._examples.setdefault(why.reason, [])
        if len(examples) < _EXAMPLES:
            examples.append(f"{source.path}:{line}" + (f" ({why.detail})" if why.detail else ""))
        self._waiting.append((position, source.name, line, why.reason, why.detail[:_DETAIL]))
        if len(self._waiting) >= _WAITING:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        if self._waiting:
            columns = zip(*self._waiting, strict=True)
            arrays = [pa.array(list(c), f.type) for c, f in zip(columns, DROPPED, strict=True)]
            self._writer.write(pa.Table.from_arrays(arrays, schema=DROPPED))
            self._waiting.clear()

    def summary(self) -> list[str]:
        """One line per reason, most frequent first, with the first places."""
        lines = []
        for reason, count in sorted(self.reasons.items(), key=lambda item: (-item[1], item[0])):
            rows = "1 row" if count == 1 else f"{count:,} rows"
            more = " ..." if count > _EXAMPLES else ""
            lines.append(f"{rows} dropped, {reason}: {'; '.join(self._examples[reason])}{more}")
        return lines
