"""What each task got of a mixture, as a person sees it: as text, and as HTML in a notebook."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from smartx.mixture.names import shown
from smartx.progress import counted

_LINES, _HTML_LINES = 10, 30  # tasks that are listed


@dataclass(frozen=True, eq=False)
class Shares:
    """How many rows each task has and got.

    what: the first word of the display.  names: (source, task) of M tasks.
    taken, held: (M,) int64 rows.
    """

    what: str
    names: Sequence[tuple[str, str]]
    taken: NDArray[np.int64]
    held: NDArray[np.int64]

    def title(self) -> str:
        """A line that says it all."""
        rows, of = int(self.taken.sum()), int(self.held.sum())
        tasks, given = len(self.names), int(np.count_nonzero(self.taken))
        places = counted(tasks, "task") if given == tasks else f"{given:,} of {tasks:,} tasks"
        return f"{self.what} of {counted(rows, 'row')} of {of:,}, in {places}"

    def text(self) -> str:
        """Title and the largest tasks, one a line."""
        return text_of(self.title(), self._head(), self._cells(_LINES), self._more(_LINES))

    def html(self) -> str:
        """The same for a notebook; what comes from anybody's files is escaped."""
        cells = self._cells(_HTML_LINES)
        return html_of(self.title(), self._head(), cells, self._more(_HTML_LINES))

    @property
    def _sources(self) -> bool:
        return len({source for source, _ in self.names}) > 1

    def _head(self) -> list[str]:
        return [*(["source"] if self._sources else []), "task", "rows", "of", "share"]

    def _order(self) -> NDArray[np.int64]:
        order: NDArray[np.int64] = np.argsort(-self.taken, kind="stable")
        return order

    def _cells(self, most: int) -> list[list[str]]:
        rows, whole = [], max(1, int(self.taken.sum()))
        for i in self._order()[:most].tolist():
            source, task = self.names[i]
            names = [shown(source), shown(task)] if self._sources else [shown(task)]
            taken, held = int(self.taken[i]), int(self.held[i])
            rows.append([*names, f"{taken:,}", f"{held:,}", f"{taken / whole:.1%}"])
        return rows

    def _more(self, most: int) -> str:
        rest = self._order()[most:]
        if not len(rest):
            return ""
        rows = counted(int(self.taken[rest].sum()), "row")
        return f"... and {counted(len(rest), 'more task')} with {rows}"


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two mixtures side by side.

    names: (source, task) of the M tasks of either.  rows: (M, 2) int64, what each took of them.
    shared: rows that stand in both; None where they are of other sources.

    >>> import smartx
    >>> tasks = ["sums"] * 6 + ["odes"] * 2
    >>> fair = smartx.select(tasks=tasks, budget=4, preset="equal")
    >>> found = fair.compare(smartx.select(tasks=tasks, budget=8, preset="equal"))
    >>> found
    4 rows here and 8 rows there, 4 in both
      source  task  here  there  change
              sums     2      6      +4
              odes     2      2      +0
    """

    names: list[tuple[str, str]]
    rows: NDArray[np.int64]
    shared: int | None

    def to_arrow(self) -> pa.Table:
        """A row for each task: source, task, and its rows `here` and `there`."""
        columns = [[name[0] for name in self.names], [name[1] for name in self.names]]
        names = ["source", "task", "here", "there"]
        return pa.table([*columns, self.rows[:, 0], self.rows[:, 1]], names=names)

    def __repr__(self) -> str:
        return text_of(self._title(), self._head, self._cells(_LINES), self._more(_LINES))

    def _repr_html_(self) -> str:
        cells, more = self._cells(_HTML_LINES), self._more(_HTML_LINES)
        return html_of(self._title(), self._head, cells, more)

    _head = ("source", "task", "here", "there", "change")

    def _title(self) -> str:
        here, there = (counted(int(n), "row") for n in self.rows.sum(axis=0))
        if self.shared is None:
            return f"{here} here and {there} there, of other sources"
        return f"{here} here and {there} there, {self.shared:,} in both"

    def _order(self) -> NDArray[np.int64]:
        change = np.abs(self.rows[:, 1] - self.rows[:, 0])
        order: NDArray[np.int64] = np.argsort(-change, kind="stable")
        return order

    def _cells(self, most: int) -> list[list[str]]:
        found = []
        for i in self._order()[:most].tolist():
            here, there = map(int, self.rows[i])
            names = map(shown, self.names[i])
            found.append([*names, f"{here:,}", f"{there:,}", f"{there - here:+,}"])
        return found

    def _more(self, most: int) -> str:
        rest = len(self.names) - most
        return f"... and {counted(rest, 'more task')}, changed less" if rest > 0 else ""


def compared(here: Shares, there: Shares, shared: int | None) -> Comparison:
    """Two choices side by side, their tasks by name."""
    names = sorted({*here.names, *there.names})
    place = {name: i for i, name in enumerate(names)}
    rows = np.zeros((len(names), 2), dtype=np.int64)
    for column, one in enumerate((here, there)):
        rows[[place[name] for name in one.names], column] = one.taken
    return Comparison(names, rows, shared)


def text_of(title: str, head: Sequence[str], cells: Sequence[Sequence[str]], more: str = "") -> str:
    """A title and a table, names to the left and numbers to the right."""
    return "\n".join([title, *_lines(head, cells), *([f"  {more}"] if more else [])])


def _lines(head: Sequence[str], cells: Sequence[Sequence[str]]) -> Iterator[str]:
    texts = _texts(head)
    widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
    for row in [head, *cells]:
        places = enumerate(zip(row, widths, strict=True))
        padded = [c.ljust(width) if i < texts else c.rjust(width) for i, (c, width) in places]
        yield f"  {'  '.join(padded)}".rstrip()


def html_of(title: str, head: Sequence[str], cells: Sequence[Sequence[str]], more: str) -> str:
    """The same as HTML; everything in it is escaped."""
    texts = _texts(head)

    def row(one: Sequence[str], tag: str) -> str:
        sides = ["left" if i < texts else "right" for i in range(len(one))]
        return "".join(
            f'<{tag} style="text-align:{side}">{escape(cell)}</{tag}>'
            for cell, side in zip(one, sides, strict=True)
        )

    body = "".join(f"<tr>{row(one, 'td')}</tr>" for one in cells)
    last = f"<p>{escape(more)}</p>" if more else ""
    table = f"<table><thead><tr>{row(head, 'th')}</tr></thead><tbody>{body}</tbody></table>"
    return f"<div><p><b>{escape(title)}</b></p>{table}{last}</div>"


def _texts(head: Sequence[str]) -> int:
    """How many of the first columns are names."""
    return list(head).index("task") + 1
