"""Which proxy a user may trust: one table over all pools and outcomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from quality.cells import NONE, between, listed, markdown, number, probability
from quality.proxies import PROXIES
from quality.statistics import holm
from quality.trust import Beside, correlations, reachable, repeats

LEVEL = 0.05


def proxies(pools: Mapping[str, Beside | str]) -> list[str]:
    """How far each proxy orders the arms as training does, a column for each pool and outcome.

    Text in place of numbers says why there are none. Holm corrects for the proxies of a column.
    """
    there = {name: found for name, found in pools.items() if isinstance(found, Beside)}
    lines = [f"{name}: {found}" for name, found in pools.items() if isinstance(found, str)]
    if not there:
        return lines or [NONE]
    columns = {name: _column(found) for name, found in there.items()}
    names = [name for name in PROXIES if any(name in cells for cells in columns.values())]
    above = {name: [c[name].above for c in columns.values() if name in c] for name in names}
    body = [
        [name, PROXIES[name].says, *(c[name].text if name in c else "-" for c in columns.values()),
         f"{sum(above[name])} of {len(above[name])}"]
        for name in names
    ]  # fmt: skip
    always = [name for name in names if all(above[name])]
    sure = [name for name in always if all(c[name].sure for c in columns.values() if name in c)]
    lines += [
        *(f"{name}: {_design(found)}" for name, found in there.items()),
        "",
        f"The interval lies above zero in every column of {len(always)} of {len(names)} proxies "
        f"({listed(always)}); after Holm's correction, too, of {len(sure)} ({listed(sure)}).",
        "",
    ]
    return [*lines, *markdown(["proxy", "what it says", *columns, "above zero"], body)]


@dataclass(frozen=True, slots=True)
class _Cell:
    """above: whether the interval lies above zero.  sure: whether it does after Holm, too."""

    text: str
    above: bool
    sure: bool


def _column(found: Beside) -> dict[str, _Cell]:
    """The cell of each proxy that differs between arms."""
    known = [one for one in correlations(found) if one.p is not None]
    corrected = holm([one.p for one in known if one.p is not None]).tolist()
    cells = {}
    for one, p in zip(known, corrected, strict=True):
        above = one.interval is not None and one.interval[0] > 0
        text = f"{number(one.value)} {between(one.interval)}, Holm {probability(p)}"
        cells[one.proxy] = _Cell(text, above, above and p < LEVEL)
    return cells


def _design(found: Beside) -> str:
    told = f"{len(found.arms)} arms, {len(found.folds)} folds, {len(found.seeds)} seeds"
    same = repeats(found)
    if same is None:
        return f"{told}."
    return (
        f"{told}; the arms' order repeats from half of the seeds to the other with {number(same)}, "
        f"so that a proxy that knew the truth would reach about {number(reachable(same))}."
    )
