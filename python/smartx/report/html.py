"""The report as one HTML file that works offline: no scripts, nothing loaded from anywhere."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from smartx.progress import counted
from smartx.report.numbers import FIRST_TASKS, numbers


def render(folder: Path, facts: dict[str, Any]) -> str:
    """The report of a mixture, ready for `write_mixture(report=...)`.

    folder: holds the mixture's `data`.  facts: of its manifest. Whatever names and rows hold is
    shown as text.
    """
    return _template().render(numbers=numbers(folder, facts), first_tasks=FIRST_TASKS)


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("smartx.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["whole"] = lambda value: f"{value:,}"
    environment.filters["percent"] = _percent
    environment.filters["counted"] = counted
    return environment.get_template("report.html.j2")


def _percent(part: float) -> str:
    """12 %, 1.2 %, 0.12 %: two digits that count."""
    value = 100 * part
    if value >= 10 or value == 0:
        return f"{value:.0f} %"
    return f"{value:.1f} %" if value >= 1 else f"{value:.2f} %"
