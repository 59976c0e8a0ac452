"""From runs to the page: the blocks of docs/evidence.md and its pictures.

The prose of the page is written by hand; what stands between `<!-- table: NAME -->` and
`<!-- end -->` is replaced, so that no figure is typed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from quality import tables
from quality.effects import Effect, Findings, findings
from quality.measured import of_suite
from quality.outcomes import OUTCOMES, PRIMARY, Run, Sample, Suite, read, suites
from quality.trust import Beside, beside
from smartx.errors import InputError

PAGE = "evidence.md"
SHOWN = (  # proxies that have a picture: one of each kind
    "coverage, unseen", "coverage, pool", "copied, unseen", "neighbours, unseen", "probe", "twins",
    "effective tasks", "target tokens",
)  # fmt: skip
_BLOCK = re.compile(r"(<!-- table: (?P<name>[\w-]+) -->\n)(?P<body>.*?)(<!-- end -->)", re.DOTALL)


def render(runs_folder: Path, docs: Path) -> list[Path]:
    """Write the page and the pictures of the runs of a folder. Returns the files.

    docs/evidence.md keeps its prose; where there is no such page, one of all blocks is written.
    Raises InputError where the page asks for a block that does not exist.
    """
    told = Told(*read(runs_folder), runs_folder)
    made = blocks(told)
    page = docs / PAGE
    text = page.read_text(encoding="utf-8") if page.exists() else bare(made)
    docs.mkdir(parents=True, exist_ok=True)
    page.write_text(filled(text, made, page), encoding="utf-8")
    return [page, *pictures(told, docs / "evidence")]


class Told:
    """All that is said of the runs of a folder, computed once for tables and pictures."""

    def __init__(self, runs: Sequence[Run], sample: Sample, folder: Path) -> None:
        found = suites(runs, sample)
        if not found:
            raise InputError(
                "there are no runs", place=str(folder / "runs.jsonl"),
                fix="make some: python bench/evidence.py run --out DIR",
            )  # fmt: skip
        self.folder = folder
        self.suite = next((s for s in found if s.setting.get("matched") == "all"), found[0])
        self.others = [suite for suite in found if suite is not self.suite]
        self.findings = {o.name: findings(self.suite, o) for o in OUTCOMES}
        self.beside = {name: self._beside(name) for name in ("held", "seen")}

    def _beside(self, name: str) -> Beside | str:
        """An outcome beside the proxies, or why there is no such thing."""
        outcome = next(outcome for outcome in OUTCOMES if outcome.name == name)
        try:
            return beside(self.suite, of_suite(self.folder, self.suite), outcome=outcome)
        except InputError as fault:
            return f"Not measured: {fault.fault}."

    @property
    def primary(self) -> Findings:
        return self.findings[PRIMARY.name]


def blocks(told: Told) -> dict[str, list[str]]:
    """Lines of each block, by its name."""
    first = told.primary
    return {
        "setting": tables.setting(told.suite),
        "in-short": tables.in_short(first),
        "main": tables.main(first),
        "further": tables.further(first),
        "secondary": tables.secondary([f for n, f in told.findings.items() if n != PRIMARY.name]),
        "folds": tables.by_fold(first),
        "costs": tables.costs(told.suite, first),
        "proxies": tables.proxies(told.beside["held"], told.beside["seen"]),
        "power": tables.power([told.findings[name] for name in ("held", "seen", "bigbench")]),
        "controls": tables.controls(first),
        "others": _others(told.suite, told.others),
    }


def _others(own: Suite, others: Sequence[Suite]) -> list[str]:
    """The main contrasts of suites with other settings."""
    if not others:
        return [tables.NONE]
    lines: list[str] = []
    for suite in others:
        differ = ", ".join(
            f"{name} {value}"
            for name, value in sorted(suite.setting.items())
            if own.setting.get(name) != value
        )
        lines += [f"**{differ}** ({len(suite.runs)} runs)", "", *tables.main(findings(suite)), ""]
    return lines[:-1]


def filled(text: str, made: Mapping[str, Sequence[str]], page: Path) -> str:
    """The page with every block replaced."""

    def block(match: re.Match[str]) -> str:
        name = match["name"]
        if name not in made:
            raise InputError(
                f'there is no block "{name}"', place=str(page),
                fix=f"name one of {', '.join(made)}",
            )  # fmt: skip
        return match[1] + "\n" + "\n".join(made[name]) + "\n\n" + match[4]

    if text.count("<!-- table: ") != len(_BLOCK.findall(text)):
        raise InputError(
            "a block has no end, or a name that is none", place=str(page),
            fix="write <!-- table: NAME -->, a line end, and later <!-- end -->",
        )  # fmt: skip
    return _BLOCK.sub(block, text)


def bare(made: Mapping[str, Sequence[str]]) -> str:
    """A page of nothing but blocks."""
    parts = (f"## {name}\n\n<!-- table: {name} -->\n<!-- end -->\n" for name in made)
    return "# Evidence\n\n" + "\n".join(parts)


def pictures(told: Told, folder: Path) -> list[Path]:
    """The pictures that the runs have numbers for. Needs matplotlib."""
    from quality import pictures as draw

    first, made = told.primary, []
    if not first.chosen:
        return made
    made.append(draw.forest([(PRIMARY.words, first.chosen, first.twice)], folder / "held.svg"))
    made.append(draw.forest(_panels(told), folder / "outcomes.svg"))
    made.append(draw.data_sets(first.chosen, folder / "data_sets.svg"))
    seconds = tables.choosing_seconds(told.suite)
    made.append(draw.costs(first.chosen, first.twice, seconds, folder / "costs.svg"))
    if isinstance(held := told.beside["held"], Beside):
        panels = [(name, held.means[name]) for name in SHOWN if name in held.means]
        made.append(draw.proxies(panels, first.chosen, folder / "proxies.svg"))
    return made


def _panels(told: Told) -> list[tuple[str, Sequence[Effect], Effect | None]]:
    """Every outcome that all the arms have."""
    several = len(told.primary.chosen)
    return [
        (found.outcome.words, found.chosen, found.twice)
        for found in told.findings.values()
        if len(found.chosen) == several
    ]
