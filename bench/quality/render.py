"""From runs to the page: the blocks of docs/evidence.md and its pictures.

The prose of the page is written by hand; what stands between `<!-- table: POOL/NAME -->` and
`<!-- end -->` is replaced, so that no figure is typed. A pool is the corpus that models train on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from quality import sentences, tables, trusted
from quality.cells import NONE
from quality.effects import Effect, Findings, findings
from quality.measured import of_suite
from quality.outcomes import PRIMARY, outcomes_of
from quality.suites import read, suites
from quality.trust import Beside, beside
from smartx.errors import InputError

PAGE = "evidence.md"
POOLS = {"t0": "T0", "bigbench": "BIG-bench"}  # of the page, whose blocks may be empty yet
NAMES = (  # of a pool's blocks
    "in-short", "setting", "main", "matched", "further", "others", "secondary", "folds", "costs",
    "power", "controls", "pictures",
)  # fmt: skip
TRUST = "proxies"  # of all pools together
SHOWN = (  # proxies that have a picture: one of each kind
    "coverage, unseen", "coverage, pool", "copied, unseen", "neighbours, unseen", "probe", "twins",
    "effective tasks", "target tokens",
)  # fmt: skip
_BLOCK = re.compile(r"(<!-- table: (?P<name>[\w/-]+) -->\n)(?P<body>.*?)(<!-- end -->)", re.DOTALL)
Picture = Callable[[Path], Path]


def render(results: Path, docs: Path) -> list[Path]:
    """Write the page and the pictures of a folder of runs, or of the folders in it that have some.
    Returns the files.

    docs/evidence.md keeps its prose; where there is no such page, one of all blocks is written.
    Raises InputError where the page asks for a block that does not exist.
    """
    pools = pools_of(results)
    made = blocks(pools)
    page = docs / PAGE
    text = page.read_text(encoding="utf-8") if page.exists() else bare(made)
    docs.mkdir(parents=True, exist_ok=True)
    page.write_text(filled(text, made, page), encoding="utf-8")
    drawn = [draw(docs / name) for told in pools for name, (_, draw) in pictures(told).items()]
    return [page, *drawn]


class Told:
    """All that is said of the runs of a folder, computed once for tables and pictures."""

    def __init__(self, folder: Path) -> None:
        found = suites(*read(folder))
        if not found:
            raise InputError(
                "there are no runs", place=str(folder / "runs.jsonl"),
                fix="make some: python bench/evidence.py run --out DIR",
            )  # fmt: skip
        self.folder = folder
        self.suite = next((s for s in found if s.setting.get("matched") == "all"), found[0])
        self.others = [suite for suite in found if suite is not self.suite]
        self.findings = {o.name: findings(self.suite, o) for o in outcomes_of(self.suite)}
        self.beside = {name: self._beside(name) for name in ("held", "seen")}

    def _beside(self, name: str) -> Beside | str:
        """An outcome beside the proxies of the runs that have some, or why there is no such
        thing.
        """
        outcome, known = self.findings[name].outcome, of_suite(self.folder, self.suite)
        try:
            return beside(self.suite.only(known), known, outcome=outcome)
        except InputError as fault:
            return f"Not measured: {fault.fault}."

    @property
    def corpus(self) -> str:
        return str(self.suite.setting["corpus"])

    @property
    def words(self) -> str:
        return POOLS.get(self.corpus, self.corpus)

    @property
    def primary(self) -> Findings:
        return self.findings[PRIMARY.name]


def pools_of(results: Path) -> list[Told]:
    """The runs of a folder, or of the folders in it: those of POOLS first.

    Raises InputError where no runs are there, or those of two folders are of one corpus.
    """
    inside = [path.parent for path in sorted(results.glob("*/runs.jsonl"))]
    folders = [results] if (results / "runs.jsonl").exists() or not inside else inside
    found: dict[str, Told] = {}
    for told in map(Told, folders):
        if found.setdefault(told.corpus, told) is not told:
            raise InputError(
                f"{found[told.corpus].folder.name} has runs of {told.corpus}, too",
                place=str(told.folder), fix="render the folders one by one",
            )  # fmt: skip
    return sorted(found.values(), key=lambda told: [*POOLS, told.corpus].index(told.corpus))


def blocks(pools: Sequence[Told]) -> dict[str, list[str]]:
    """Lines of each block, by its name. Of a pool without runs, blocks say so."""
    made = {f"{told.corpus}/{name}": lines for told in pools for name, lines in _of(told).items()}
    empty = {f"{pool}/{name}": [NONE] for pool in POOLS for name in NAMES}
    outcomes = {"held": "held-out", "seen": "trained on"}
    beside = {
        f"{told.words}, {words}": told.beside[name]
        for told in pools
        for name, words in outcomes.items()
    }
    return {**empty, **made, TRUST: trusted.proxies(beside)}


def _of(told: Told) -> dict[str, list[str]]:
    first = told.primary
    besides = [found for name, found in told.findings.items() if name != PRIMARY.name]
    shown = [f"![{title}]({name})\n" for name, (title, _) in pictures(told).items()]
    return {
        "in-short": sentences.in_short(first),
        "setting": sentences.setting(told.suite),
        "main": tables.main(first),
        "matched": tables.matched(told.suite, told.others),
        "further": tables.further(first),
        "others": _others(told),
        "secondary": tables.secondary(besides),
        "folds": tables.by_fold(first),
        "costs": tables.costs(told.suite, first),
        "power": tables.power([told.findings[name] for name in ("held", "seen", "other")]),
        "controls": tables.controls(first),
        "pictures": shown or [NONE],
    }


def _others(told: Told) -> list[str]:
    """The main contrasts of suites of other settings than those that have a table."""
    lines: list[str] = []
    for suite in told.others:
        differ = {k: v for k, v in suite.setting.items() if told.suite.setting.get(k) != v}
        if differ != {"matched": "response"}:
            words = ", ".join(f"{name} {value}" for name, value in sorted(differ.items()))
            found = tables.main(findings(suite))
            lines += [f"**{words}** ({len(suite.runs)} runs)", "", *found, ""]
    return lines[:-1] or [NONE]


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
    """A page of nothing but the blocks that say something."""
    parts = (
        f"## {name}\n\n<!-- table: {name} -->\n<!-- end -->\n"
        for name, lines in made.items()
        if lines != [NONE]
    )
    return "# Evidence\n\n" + "\n".join(parts)


def pictures(told: Told) -> dict[str, tuple[str, Picture]]:
    """By the file's name in the docs: what it shows, and what draws it, which needs matplotlib.
    Those that the runs have numbers for.
    """
    from quality import pictures as draw

    first = told.primary
    if not first.chosen:
        return {}
    panel = (PRIMARY.words, first.chosen, first.twice)
    seconds = tables.choosing_seconds(told.suite)
    found: dict[str, tuple[str, Picture]] = {
        "held": (
            "Held-out data sets: each arm's difference from random rows, with intervals",
            partial(draw.forest, [panel]),
        ),
        "outcomes": (
            "All outcomes: each arm's difference from random rows, with intervals",
            partial(draw.forest, _panels(told)),
        ),
        "data_sets": (
            "Each data set and arm: better or worse than random rows",
            partial(draw.data_sets, first.chosen),
        ),
        "costs": (
            "Seconds to choose, beside the effect",
            partial(draw.costs, first.chosen, first.twice, seconds),
        ),
    }
    if isinstance(held := told.beside["held"], Beside):
        panels = [(name, held.means[name]) for name in SHOWN if name in held.means]
        found["proxies"] = (
            "Each proxy beside the held-out loss",
            partial(draw.proxies, panels, first.chosen),
        )
    return {f"evidence/{told.corpus}-{name}.svg": what for name, what in found.items()}


def _panels(told: Told) -> list[tuple[str, Sequence[Effect], Effect | None]]:
    """Every outcome that all the arms have."""
    several = len(told.primary.chosen)
    return [
        (found.outcome.words, found.chosen, found.twice)
        for found in told.findings.values()
        if len(found.chosen) == several
    ]
