"""Pictures of what came out, as SVG: small, the same bytes each time, light and dark.

Text stays text. Every picture has a paper of its own, and colours that a reader's dark scheme
exchanges (`_DARK`); blue and orange are told apart by colour-blind readers, and nothing is told by
colour alone. Needs matplotlib (the extra `evidence`).
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quality.cells import seconds as seconds_in_words
from quality.effects import Effect
from quality.statistics import Interval
from smartx.errors import MissingPackageError

PAPER, INK, FAINT, BAND = "#ffffff", "#1f2328", "#8b949e", "#e4e7eb"
BETTER, WORSE = "#0b62b5", "#c2570c"
_DARK = {PAPER: "#0d1117", INK: "#e6edf3", FAINT: "#7d8590", BAND: "#2a3038",
         BETTER: "#58a6ff", WORSE: "#f0883e"}  # fmt: skip
_STYLE = {
    "svg.hashsalt": "smartx", "svg.fonttype": "none", "font.size": 9,
    "font.family": "DejaVu Sans", "text.color": INK, "axes.edgecolor": FAINT,
    "axes.labelcolor": INK, "axes.facecolor": PAPER, "figure.facecolor": PAPER,
    "xtick.color": INK, "ytick.color": INK, "axes.titlesize": 9, "axes.titlelocation": "left",
    "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.8,
}  # fmt: skip


Panel = tuple[str, Sequence[Effect], Effect | None]
COLUMNS = 3  # panels side by side
LABELLED = 60  # data sets whose names are written


def forest(panels: Sequence[Panel], path: Path) -> Path:
    """One panel for each outcome: (title, effects, A/A), all of the same arms.

    A point is the difference from random rows; thick is the interval for these data sets, thin for
    new ones. The band is what two draws of random rows may differ by.
    """
    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    names = [effect.arm for effect in panels[0][1]]
    height = rows * (1.1 + 0.22 * len(names))
    with sheet(path, 2.4 + (3.4 if columns == 1 else 2.3 * columns), height) as figure:
        grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
        for axis in grid.ravel()[len(panels) :]:
            axis.set_visible(False)
        for axis, (title, effects, twice) in zip(grid.ravel(), panels, strict=False):
            _forest(axis, effects, twice)
            axis.set_title(fill(title, 34))
            axis.set_xlabel(_better(effects[0]), fontsize=8)
        for axis in grid[:, 0]:
            axis.set_yticks(range(len(names)), names)
            axis.set_ylim(len(names) - 0.4, -0.6)
    return path


def _forest(axis: Any, effects: Sequence[Effect], twice: Effect | None) -> None:
    if twice is not None:
        half = twice.shown(twice.chance or 0.0)
        axis.axvspan(-half, half, color=BAND, lw=0, zorder=0)
    axis.axvline(0, color=FAINT, lw=0.8, zorder=1)
    for place, effect in enumerate(effects):
        colour = _colour(effect)
        axis.plot(_both(effect, effect.new), (place, place), color=colour, lw=1, zorder=2)
        axis.plot(
            _both(effect, effect.these), (place, place), color=colour, lw=3.2, zorder=3,
            solid_capstyle="butt",
        )  # fmt: skip
        axis.plot(
            [effect.shown(effect.difference)], [place], "o", ms=6, zorder=4, mec=PAPER, mew=0.8,
            color=colour,
        )  # fmt: skip
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)


def data_sets(effects: Sequence[Effect], path: Path) -> Path:
    """Every data set with every arm: how much better or worse than random rows, and if that is
    more than seeds do (a dot: more than twice its standard error over seeds).

    Of more than LABELLED data sets, lines are low and have no names.
    """
    families = {task: family for e in effects for task, family in e.families.items()}
    tasks = sorted(families, key=lambda task: (families[task], task))
    shown = np.array([[e.shown(e.by_task.get(task, np.nan)) for e in effects] for task in tasks])
    sure = np.array(
        [[abs(e.by_task.get(t, 0.0)) > 2 * e.errors.get(t, np.inf) for e in effects] for t in tasks]
    )
    limit = max(float(np.nanquantile(np.abs(shown), 0.97)), 1e-9)
    named = len(tasks) <= LABELLED
    height = 1.9 + (0.165 if named else 0.05) * len(tasks)
    with sheet(path, 2.4 + 0.36 * len(effects), height) as figure:
        axis = figure.subplots()
        _cells(
            axis,
            shown / limit * (-1 if effects[0].outcome.higher else 1),
            sure,
            2.2 if named else 1,
        )
        axis.set_xticks(
            range(len(effects)), [e.arm for e in effects], rotation=40, ha="left",
            rotation_mode="anchor",
        )  # fmt: skip
        axis.xaxis.tick_top()
        axis.set_yticks(range(len(tasks)) if named else (), tasks if named else (), fontsize=7.5)
        axis.tick_params(length=0)
        axis.set_xlabel(_key(limit, None if named else len(tasks), shown), fontsize=8)
        for spine in axis.spines.values():
            spine.set_visible(False)
    return path


def _key(limit: float, unnamed: int | None, shown: NDArray[np.float64]) -> str:
    lines = [
        f"blue: better than random rows, orange: worse, full colour at {limit:.1f} %",
        "of the mean loss; a dot: more than twice the standard error over seeds",
    ]
    if np.isnan(shown).any():
        lines.append("crossed out: not run")
    if unnamed:
        lines.append(f"{unnamed} data sets, a line each")
    return "\n".join(lines)


def _cells(axis: Any, depth: NDArray[np.float64], sure: NDArray[np.bool_], dot: float) -> None:
    """depth: (rows, columns), -1 is best and 1 is worst; drawn as colour over the paper. NaN: the
    arm was not run there, and the cell is crossed out.  dot: points.
    """
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path as Outline

    alike: dict[int, list[tuple[int, int]]] = {}  # cells of one colour are one shape: a small file
    for cell, value in np.ndenumerate(depth):
        if np.isfinite(value):
            alike.setdefault(round(20 * float(np.clip(value, -1, 1))), []).append(cell)
    square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]]) * (0.47, 0.45)
    for level, cells in sorted(alike.items()):
        corners = [square + np.array((column, row)) for row, column in cells]
        codes = [Outline.MOVETO, *[Outline.LINETO] * 3, Outline.CLOSEPOLY] * len(cells)
        shape = Outline(np.concatenate(corners), codes)
        colour = WORSE if level > 0 else BETTER
        axis.add_patch(PathPatch(shape, lw=0, alpha=abs(level) / 20, fc=colour))
    gaps = [(row, column) for row, column in np.argwhere(np.isnan(depth)).tolist()]
    if gaps:
        lines = [np.array((c, r)) + square[[0, 2, 1, 3]] for r, c in gaps]
        codes = [Outline.MOVETO, Outline.LINETO] * 2 * len(gaps)
        cross = Outline(np.concatenate(lines), codes)
        axis.add_patch(PathPatch(cross, lw=0.5, fc="none", ec=FAINT))
    rows, columns = np.nonzero(sure)
    axis.plot(columns, rows, "o", ms=dot, color=INK, mew=0)
    axis.set_xlim(-0.5, depth.shape[1] - 0.5)
    axis.set_ylim(depth.shape[0] - 0.5, -0.5)


def costs(
    effects: Sequence[Effect], twice: Effect | None, seconds: Mapping[str, float], path: Path
) -> Path:
    """What choosing takes (log scale) beside what it does; the cheapest arm first."""
    effects = sorted(effects, key=lambda effect: seconds[effect.arm])
    with sheet(path, 7.2, 1.2 + 0.25 * len(effects)) as figure:
        left, right = figure.subplots(1, 2, sharey=True)
        places = range(len(effects))
        taken = [seconds[effect.arm] for effect in effects]
        left.set_xscale("log")
        left.plot(taken, places, "o", ms=5, color=INK)
        for place, value in zip(places, taken, strict=True):
            left.annotate(
                seconds_in_words(value),
                (value, place),
                (6, 0),
                va="center",
                fontsize=8,
                textcoords="offset points",
            )
        left.xaxis.set_major_formatter("{x:g}")
        left.xaxis.set_minor_formatter("")
        left.margins(x=0.3)
        left.set_xlabel("processor time to choose (s),\nonce the vectors exist", fontsize=8)
        left.set_yticks(places, [effect.arm for effect in effects])
        left.set_ylim(len(effects) - 0.4, -0.6)
        left.tick_params(axis="y", length=0)
        left.grid(axis="y", color=BAND, lw=0.8)
        left.set_axisbelow(True)
        _forest(right, effects, twice)
        right.set_xlabel(_better(effects[0]), fontsize=8)
    return path


def proxies(
    panels: Sequence[tuple[str, Mapping[str, float]]], effects: Sequence[Effect], path: Path
) -> Path:
    """Each proxy (title, its number by arm) beside the trained outcome; arms are numbered, and
    lines cross where random rows are.
    """
    columns = min(len(panels), 4)
    rows = -(-len(panels) // columns)
    with sheet(path, 1.0 + 2.15 * columns + 1.9, 0.5 + 2.1 * rows) as figure:
        axes = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
        for axis in axes[len(panels) :]:
            axis.set_visible(False)
        for axis, (title, values) in zip(axes, panels, strict=False):
            _scatter(axis, values, effects)
            axis.set_title(title, fontsize=8)
        for axis in axes[::columns]:
            axis.set_ylabel(_better(effects[0]), fontsize=8)
        key = "\n".join(f"{number}  {effect.arm}" for number, effect in enumerate(effects, 1))
        figure.text(1.0, 0.5, key, fontsize=8, va="center", linespacing=1.5)
    return path


def _scatter(axis: Any, values: Mapping[str, float], effects: Sequence[Effect]) -> None:
    axis.axhline(0, color=FAINT, lw=0.8)
    random = [values[arm] for arm in effects[0].base if arm in values]
    if random:
        axis.axvline(float(np.mean(random)), color=FAINT, lw=0.8)
    for number, effect in enumerate(effects, 1):
        if effect.arm in values:
            place = values[effect.arm], effect.shown(effect.difference)
            axis.plot(*place, alpha=0)  # so that the scale holds it
            axis.annotate(
                str(number), place, ha="center", va="center", color=_colour(effect), fontsize=8
            )
    axis.margins(0.12)
    axis.locator_params(nbins=4)
    axis.tick_params(labelsize=7.5)


def _colour(effect: Effect) -> str:
    """Ink where the interval for these data sets holds zero."""
    low, high = effect.these
    if low > 0 or high < 0:
        return BETTER if (high < 0) != effect.outcome.higher else WORSE
    return INK


def _both(effect: Effect, interval: Interval) -> Interval:
    """An interval that does not end is not drawn."""
    low, high = effect.shown_interval(interval)
    return (low, high) if np.isfinite(low) and np.isfinite(high) else (np.nan, np.nan)


def _better(effect: Effect) -> str:
    if effect.outcome.higher:
        return "points against random rows\n(more is better)"
    return "% of loss against random rows\n(less is better)"


@contextmanager
def sheet(path: Path, width: float, height: float) -> Iterator[Any]:
    """A figure of so many inches, written when its block ends. No state of matplotlib changes."""
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingPackageError(
            "matplotlib", needed_for="drawing the evidence", extra="evidence"
        ) from None
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        kept = io.StringIO()
        figure.savefig(
            kept, format="svg", bbox_inches="tight", pad_inches=0.12,
            metadata={"Date": None, "Creator": None},
        )  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_with_dark_scheme(kept.getvalue()), encoding="utf-8")


def _with_dark_scheme(svg: str) -> str:
    """A rule for each colour that a dark scheme exchanges; who knows no such rules sees light."""
    rules = "".join(
        f'[style*="{kind}: {light}"]{{{kind}:{dark}!important}}'
        for light, dark in _DARK.items()
        for kind in ("fill", "stroke")
    )
    style = f"<style>@media(prefers-color-scheme:dark){{{rules}}}</style>"
    return re.sub(r"(<svg [^>]*>)", rf"\1\n {style}", svg, count=1)
