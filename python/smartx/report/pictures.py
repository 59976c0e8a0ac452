"""The curves and bars of a report, as places in a box: layout is the template's."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartx.progress import counted
from smartx.report.lengths import EDGES, Lengths
from smartx.report.scales import Ticks, log_ticks
from smartx.report.walk import Walk
from smartx.report.words import percent


@dataclass(frozen=True)
class Point:
    """A place of a curve, as parts of 1, and what it says."""

    x: float
    y: float
    words: str


@dataclass(frozen=True)
class BudgetCurve:
    """points: budgets, on a log scale, and what they hold.  here: this mixture.  words: to read."""

    points: list[Point]
    here: float
    ticks: Ticks
    words: list[str]


@dataclass(frozen=True)
class Bar:
    """A bin of a histogram: heights of mixture and corpus as parts of the highest, and words."""

    mixture: float
    corpus: float
    words: str


@dataclass(frozen=True)
class Histogram:
    """Of one column. ticks: bins by number, as parts of 1."""

    title: str
    bars: list[Bar]
    ticks: Ticks
    words: str


def budget_curve(found: Walk, rows: int, value: dict[str, Any] | None) -> BudgetCurve | None:
    """What fewer and more rows in the same shares would hold. None where gains say nothing.

    value: of the manifest.
    """
    if not value or len(found.budgets) < 3 or found.values[-1] <= 0:
        return None
    low, high = math.log(found.budgets[0]), math.log(found.budgets[-1])
    whole = float(value["whole"])

    def at(budget: float) -> float:
        return (math.log(budget) - low) / (high - low)

    points = [
        Point(at(budget), worth / whole, f"{budget:,} rows: {percent(worth / whole)}")
        for budget, worth in zip(found.budgets, found.values, strict=True)
    ]
    own = min(max(rows, found.budgets[0]), found.budgets[-1])
    return BudgetCurve(
        points,
        at(own),
        log_ticks(found.budgets[0], found.budgets[-1]),
        _budget_words(found, own, whole),
    )


def _budget_words(found: Walk, rows: int, whole: float) -> list[str]:
    here = _worth(found, rows)
    said = [
        f"To the ranking, these rows are worth {percent(here / whole)} of what all rows are. "
        f"Half of that is in the best {_rows_for(found, here / 2):,} of them, "
        f"90 % in {_rows_for(found, 0.9 * here):,}."
    ]
    less = here - _worth(found, 0.9 * rows)
    if rows < found.budgets[-1]:
        more = _worth(found, min(1.1 * rows, found.budgets[-1])) - here
        said.append(
            f"The last tenth of the rows brought {percent(less / here)} of it; a tenth more would "
            f"add {percent(more / here)}, twice as many "
            f"{percent((_worth(found, min(2 * rows, found.budgets[-1])) - here) / here)}."
        )
        enough = _rows_for(found, 0.95 * found.values[-1])
        said.append(
            f"95 % of what can be had in these shares takes about {enough:,} rows: "
            + ("this mixture has them." if enough <= rows else "beyond that, rows add little.")
        )
    else:
        said.append(f"The last tenth of the rows brought {percent(less / here)} of it.")
    return said


def _worth(found: Walk, budget: float) -> float:
    """Between the budgets of the curve, along straight lines."""
    ends = [(0, 0.0), *zip(found.budgets, found.values, strict=True)]
    for (a, low), (b, high) in pairwise(ends):
        if budget <= b:
            return low + (high - low) * (budget - a) / (b - a)
    return found.values[-1]


def _rows_for(found: Walk, worth: float) -> int:
    ends = [(0, 0.0), *zip(found.budgets, found.values, strict=True)]
    for (a, low), (b, high) in pairwise(ends):
        if worth <= high and high > low:
            return math.ceil(a + (b - a) * (worth - low) / (high - low))
    return found.budgets[-1]


def histograms(found: Lengths) -> list[Histogram]:
    """Of prompts and of responses."""
    return [_histogram(found, column, title) for column, title in enumerate(("prompt", "response"))]


def _histogram(found: Lengths, column: int, title: str) -> Histogram:
    corpus, mixture = found.corpus[column], found.mixture[column]
    used = [i for i in range(len(EDGES)) if corpus[i]] or [0]
    first, last = used[0], used[-1]
    parts = [
        (int(mixture[i]) / max(1, int(mixture.sum())), int(corpus[i]) / max(1, int(corpus.sum())))
        for i in range(first, last + 1)
    ]
    highest = max(max(pair) for pair in parts) or 1.0
    bars = [
        Bar(own / highest, all_of / highest, f"{_span(i)}: {percent(own)} of the mixture, "
            f"{percent(all_of)} of the corpus")
        for i, (own, all_of) in enumerate(parts, first)
    ]  # fmt: skip
    count = len(bars)
    pace = max(1, math.ceil(count / 7))
    ticks = [((i - first) / count, f"{int(EDGES[i]):,}") for i in range(first, last + 1, pace)]
    words = f"median {_median(mixture)}, in the corpus {_median(corpus)}"
    return Histogram(title, bars, ticks, words)


def _span(place: int) -> str:
    low = int(EDGES[place])
    high = int(EDGES[place + 1]) - 1 if place + 1 < len(EDGES) else low
    return counted(low, "token") if low == high else f"{low:,} to {high:,} tokens"


def _median(counts: NDArray[np.int64]) -> str:
    if not int(counts.sum()):
        return "none"
    half = (int(counts.sum()) + 1) // 2
    return _span(int(np.searchsorted(np.cumsum(counts), half)))
