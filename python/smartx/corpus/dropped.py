"""The account of rows that were not kept: each one in a table, all of them counted by reason."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa

from smartx.corpus.formats import Drop
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
_EXAMPLES = 3  # places named per reason
_DETAIL = 200  # characters
_WAITING = 65_536  # rows held before they are written


class DropLedger:
    """Takes dropped rows in source order and writes them to a table (schema DROPPED)."""

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
