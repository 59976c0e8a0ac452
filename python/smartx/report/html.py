"""The report as one HTML file that works offline: nothing is loaded from anywhere.

Its style and its script stand in it, and the browser runs no others: the content security policy
names their SHA-256. Plots are SVG that is made here, or drawn by the script on a canvas; a library
for them would be a megabyte or more, and most need `unsafe-eval` or inline styles.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Template
from markupsafe import Markup

from smartx.files import canonical_json
from smartx.mixture.names import shown
from smartx.report.compared import Compared
from smartx.report.examples import examples
from smartx.report.explorer import explorer, script_json
from smartx.report.frame import environment, policy
from smartx.report.glossary import glossary
from smartx.report.lengths import lengths
from smartx.report.material import Material
from smartx.report.numbers import ALL_TASKS, FIRST_TASKS, numbers, order_of
from smartx.report.pictures import budget_curve, histograms
from smartx.report.points import maps_of
from smartx.report.repeat import configuration, encoded_by
from smartx.report.stages import StageLine
from smartx.report.walk import walk

_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Beside:
    """What a mixture's own folder does not know: what its stages took, how others do."""

    stages: list[StageLine]
    compared: Compared | None = None


def render(
    folder: Path,
    facts: dict[str, Any],
    material: Material | None = None,
    beside: Beside | None = None,
) -> str:
    """The report of a mixture, ready for `write_mixture(report=...)`.

    folder: holds the mixture's `data`.  facts: of its manifest.  material: where the rows came
    from; without it there are no maps, curves, lengths and rows passed over.
    beside: what changes on a rerun, so that it is never in a mixture's own report.
    Whatever names and rows hold is shown as text. The same mixture gives the same bytes.
    """
    facts = json.loads(canonical_json(facts))  # as a manifest on disk has them
    css, script = _file("report.css"), _file("report.js")
    return _template().render(
        numbers=numbers(folder, facts),
        first_tasks=FIRST_TASKS,
        configuration=configuration(facts),
        encoded=encoded_by(facts),
        words=glossary(facts),
        ranker=shown(str(facts["ranker"]["name"]), 40),
        shows_source=len({task["source"] for task in facts["tasks"]}) > 1,
        css=Markup(css),
        script=Markup(script),
        policy=policy(css, script),
        stages=beside.stages if beside else [],
        compared=beside.compared if beside else None,
        **_seen(facts, material),
    )


def _seen(facts: dict[str, Any], material: Material | None) -> dict[str, Any]:
    """What the corpus, the ranking and the vectors show."""
    order = order_of(facts["tasks"])[:ALL_TASKS]
    if material is None:
        nothing = ("maps", "curve", "shows_held", "shows_tokens", "shows_rows", "counted_by")
        few = explorer(facts, order)
        return {
            "told": Markup(script_json(few)),
            "shows_gain": few["tasks"]["gain"] is not None,
            "histograms": [],
            "tokens": 0,
            **dict.fromkeys(nothing),
        }
    found, long, maps = walk(material), lengths(material), maps_of(material)
    told = explorer(
        facts,
        order,
        maps=maps,
        found=found,
        rows=examples(material, found, order[:FIRST_TASKS]),
        lengths=long,
    )
    return {
        "told": Markup(script_json(told)),
        "maps": maps is not None,
        "curve": budget_curve(found, facts["rows"], facts.get("value")),
        "histograms": histograms(long),
        "tokens": int(long.tasks.sum()),
        "counted_by": long.counted,
        "shows_held": "held" in told["tasks"],
        "shows_tokens": True,
        "shows_rows": any(told["tasks"]["examples"]),
        "shows_gain": told["tasks"]["gain"] is not None,
    }


@cache
def _file(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


@cache
def _template() -> Template:
    return environment("smartx.report").get_template("report.html.j2")
