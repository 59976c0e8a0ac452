"""The table of the sources for a person: file, rows, columns, and where source, task and template
come from. Made from the manifest, so that it is the same when a corpus is used again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from smartx.errors import plain

_MOST_LINES = 20
_WIDEST = 60  # characters of a cell
_HEAD = ("file", "rows", "columns", "source", "task", "template")
_NAMED = ("source", "task", "template")


def named_by(column: str | None, name: str) -> dict[str, str]:
    """Where a name of rows comes from, for the manifest: a column, or one name for all of them."""
    return {"name": name} if column is None else {"column": column}


def source_lines(sources: Sequence[Mapping[str, Any]]) -> list[str]:
    """The table, a line for each data set. sources: as the manifest of a corpus has them."""
    sets = [list(files) for _, files in groupby(sources, key=_same)]
    cells = [_HEAD, *map(_cells, sets[:_MOST_LINES])]
    width = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [_line(row, width) for row in cells]
    if len(sets) > _MOST_LINES:
        rows = sum(file["rows"] for files in sets[_MOST_LINES:] for file in files)
        lines.append(f"... and {len(sets) - _MOST_LINES:,} more ({rows:,} rows)")
    return [*lines, *dict.fromkeys(_reasons(sources))]


def one_task_advice(sources: Sequence[Mapping[str, Any]]) -> str:
    """What to do where all rows are one task, and nobody asked for that; else nothing."""
    if len({file["set"] for file in sources}) != 1 or any(
        file["task"].get("name") != file["set"] for file in sources
    ):
        return ""
    return (
        "no column names tasks, so all rows are one and there is nothing to weigh: name a "
        "column of tasks or topics in `task_column`, or give a source for each, or have tasks "
        "found by what the rows are about: `tasks` auto"
    )


def _same(file: Mapping[str, Any]) -> Any:
    """Files of one data set that are read in one way share a line."""
    return file["set"], file["columns"], *(file[role] for role in _NAMED)


def _cells(files: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    first = files[0]
    name = first["name"] if len(files) == 1 else f"{first['set']} ({len(files):,} files)"
    columns = [column for role, column in first["columns"].items() if role not in _NAMED]
    texts = (name, f"{sum(file['rows'] for file in files):,}", ", ".join(columns))
    return tuple(map(_short, (*texts, *(_origin(first[role]) for role in _NAMED))))


def _origin(named: Mapping[str, str]) -> str:
    return f"column {named['column']}" if "column" in named else named["name"] or "-"


def _short(text: str) -> str:
    text = plain(text).replace("\n", "\\n")
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 3]}..."


def _line(cells: Sequence[str], width: Sequence[int]) -> str:
    padded = [
        cell.rjust(size) if place == 1 else cell.ljust(size)
        for place, (cell, size) in enumerate(zip(cells, width, strict=True))
    ]
    return "  ".join(padded).rstrip()


def _reasons(sources: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for file in sources:
        for reason in file.get("why", ()):
            yield plain(f"{file['set']}: {reason}")
