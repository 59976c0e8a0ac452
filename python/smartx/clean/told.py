"""What people see after cleaning: the sheet, where everything is, what to do next."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from smartx.clean.run import Result
from smartx.progress import counted

HEADS = ("rule", "rows before", "part", "rows after", "dropped for it first")


def sheet_rows(result: Result) -> list[tuple[str, ...]]:
    """The rules that any row fails, as cells of a table with HEADS."""
    facts = result.cleaned.manifest
    return [
        (
            one["rule"] if one["drops"] else f"({one['rule']})",
            f"{one['before']:,}",
            f"{one['before'] / max(1, facts['rows']):.3%}",
            f"{one['after']:,}",
            f"{one['dropped']:,}" if one["drops"] else "off",
        )
        for one in result.cleaned.sheet
        if one["before"]
    ]


def lines(result: Result) -> Iterator[str]:
    """What is said below the table."""
    facts: dict[str, Any] = result.cleaned.manifest
    folder = result.cleaned.folder
    dropped = f"{facts['dropped']:,}"
    yield f"\n{dropped} of {counted(facts['rows'], 'row')} dropped, {facts['kept']:,} stay"
    yield f"  look:   {folder / 'report.html'}"
    yield f"  rows:   {folder / 'dropped.parquet'} (file, line, reason)"
    if result.out is not None:
        yield f"  clean:  {result.out}"
