"""The pictures of docs/how_smart_works.md, and the numbers that the page quotes.

    python docs/pictures/draw.py               # all; makes the demo's mixture first: minutes, once
    python docs/pictures/draw.py --made-up     # those of made-up points alone: seconds

Every value is computed by smartx: what is drawn is what its functions return. Points in the plane
get vectors whose cosine is exp(-distance^2 / 2), so that near points are alike; real tasks and rows
are those of `smartx demo`. Writes SVG and numbers.json beside this file. Needs matplotlib (the
extra `evidence`), and what the demo needs.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "bench"))

from quality.pictures import BAND, BETTER, FAINT, INK, PAPER, WORSE, sheet  # noqa: E402

import smartx  # noqa: E402

Floats = NDArray[np.float64]
FL, GC = smartx.FacilityLocation(), smartx.GraphCut(penalty=0.4)
PICKS = (1, 2, 3, 5)  # panels of the first picture
ROWS_TOTAL = 150  # rows that the drawn tasks share
RANDOM_DRAWS = 50
NAMES = (  # tasks of the demo that are drawn: two families, and some that stand alone
    "bulgarian-exams-qa", "croatian-exams-qa", "serbian-exams-qa", "italian-exams-qa",
    "french-lexicon", "spanish-lexicon", "dutch-lexicon", "linear_equations", "determinant",
    "chess", "poker_analysis", "heart-disease",
)  # fmt: skip
TASKS = len(NAMES)


def lifted(points: Floats, spread: float = 1.0) -> Floats:
    """(n, d) vectors of (n, 2) points: their cosines are exp(-distance^2 / 2 spread^2), nearly.

    A value for each place of a grid: how near the point is to it.
    """
    step = spread / 2
    low, high = points.min(axis=0) - 3 * spread, points.max(axis=0) + 3 * spread
    x, y = (np.arange(a, b + step, step) for a, b in zip(low, high, strict=True))
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    squares = ((points[:, None] - grid) ** 2).sum(axis=-1)
    return np.exp(-squares / spread**2)


def clumps() -> Floats:
    """71 points: three clumps of very different size, and a few by themselves."""
    draw = np.random.default_rng(4)
    parts = [
        draw.normal((0, 0), 0.75, (40, 2)),
        draw.normal((4.6, 1.2), 0.55, (18, 2)),
        draw.normal((2.2, 3.9), 0.4, (8, 2)),
        draw.uniform((-1, -1), (6, 5), (5, 2)),
    ]
    return np.concatenate(parts)


def covering(numbers: dict[str, Any], out: Path) -> None:
    """Facility location over points: what each pick covers, and the gains."""
    points = clumps()
    vectors = lifted(points)
    chosen = smartx.maximize(FL, vectors, 20)
    near = _cosines(vectors)
    with sheet(out / "covering.svg", 7.4, 2.3) as figure:
        axes = figure.subplots(1, len(PICKS), sharex=True, sharey=True)
        for axis, count in zip(axes, PICKS, strict=True):
            picked = chosen.indices[:count]
            _covered(axis, points, near, picked)
            value = smartx.evaluate(FL, vectors, picked) / len(points)
            axis.set_title(f"{count} {'row' if count == 1 else 'rows'}: {value:.2f}")
    numbers["covering"] = {"points": len(points), "gains": _rounded(chosen.gains[:8])}
    chance = _chance(vectors, 20)
    numbers["covering"] |= {
        "value_of_5": round(sum(chosen.gains[:5]) / len(points), 3),
        "random_5": round(float(chance[:, 4].mean()), 3),
    }
    with sheet(out / "gains.svg", 7.4, 2.5) as figure:
        left, right = figure.subplots(1, 2)
        places = np.arange(1, 21)
        left.bar(places, chosen.gains, color=BETTER, width=0.7)
        left.set_title("what each pick adds (marginal gain)")
        left.set_xlabel("pick")
        _beside_chance(right, chosen.gains / len(points), chance)
        right.set_title("all points, mean similarity to the nearest pick")
        right.set_xlabel("picks")


def _covered(axis: Any, points: Floats, near: Floats, picked: NDArray[np.int32]) -> None:
    """Each point joined to the nearest pick, darker where it is covered better."""
    nearest = picked[near[:, picked].argmax(axis=1)]
    for point, to in enumerate(nearest):
        strength = float(near[point, to])
        if strength < 0.02:
            continue
        line = points[[point, to]].T
        axis.plot(*line, color=BETTER, lw=0.9, alpha=max(strength, 0.05), zorder=1)
    axis.plot(*points.T, "o", ms=3, color=FAINT, mew=0, zorder=2)
    for order, row in enumerate(picked):
        axis.plot(*points[row], "o", ms=11, color=WORSE, mec=PAPER, mew=0.8, zorder=3)
        axis.annotate(
            str(order + 1), points[row], ha="center", va="center_baseline", color=PAPER,
            fontsize=7.5, weight="bold", zorder=4,
        )  # fmt: skip
    _bare(axis)


def _beside_chance(axis: Any, gains: Floats, chance: Floats) -> None:
    """Values of greedy's prefixes, those of random sets as a line and a band."""
    places = np.arange(1, len(gains) + 1)
    low, high = np.quantile(chance, (0.05, 0.95), axis=0)
    axis.fill_between(places, low, high, color=BAND, lw=0)
    axis.plot(places, chance.mean(axis=0), color=INK, lw=1.2, ls="--")
    axis.plot(places, np.cumsum(gains), color=BETTER, lw=1.8)
    at = len(gains) * 2 // 3
    axis.annotate("facility location", (at, np.cumsum(gains)[at]), (0, 5), color=BETTER,
                  textcoords="offset points", ha="right", fontsize=8)  # fmt: skip
    axis.annotate("random rows", (at, chance.mean(axis=0)[at]), (0, -22), color=INK,
                  textcoords="offset points", fontsize=8)  # fmt: skip
    axis.set_ylim(0, 1.02)


def _chance(vectors: Any, budget: int) -> Floats:
    """(draws, budget) value / n of random sets of 1..budget rows."""
    near = _cosines(vectors)
    kept = []
    for seed in range(RANDOM_DRAWS):
        order = np.random.default_rng(seed).permutation(len(near))[:budget]
        best = np.maximum.accumulate(np.maximum(near[:, order], 0), axis=1)
        kept.append(best.mean(axis=0))
    return np.array(kept)


def templates(numbers: dict[str, Any], out: Path) -> None:
    """One task, 25 questions in 3 templates each: ranked by template, and by task in turns."""
    draw = np.random.default_rng(3)
    questions = draw.uniform(0, 5, (25, 2))
    shifts = np.array([[0.0, 0.14], [-0.13, -0.08], [0.13, -0.08]])
    points = (questions[:, None] + shifts).reshape(-1, 2)
    of, question = np.tile(np.arange(3), 25), np.repeat(np.arange(25), 3)
    ways = {"template": "each template by itself", "task": "the whole task, templates in turn"}
    numbers["templates"] = {}
    with sheet(out / "templates.svg", 6.6, 3.2) as figure:
        for axis, (per, title) in zip(figure.subplots(1, 2), ways.items(), strict=True):
            chosen = smartx.select(
                lifted(points), budget=12, templates=of, weights="equal",
                ranker=f"facility-location:per={per}",
            )  # fmt: skip
            picked = chosen.indices
            different = len(set(question[picked]))
            for template, mark in enumerate("o^s"):
                mine = of == template
                taken = picked[mine[picked]]
                axis.plot(*points[mine].T, mark, ms=4, color=FAINT, mew=0)
                axis.plot(*points[taken].T, mark, ms=7, color=WORSE, mec=PAPER, mew=0.6)
            axis.set_title(f"{title}:\n12 rows, {different} different questions")
            _bare(axis)
            counts = np.bincount(of[picked], minlength=3).tolist()
            numbers["templates"][per] = {"questions": different, "of_templates": counts}


@dataclass(frozen=True)
class Demo:
    """rows: (n, d) int16 vectors of the demo's rows; means: (t, d) of its tasks; sizes: (t,)."""

    rows: NDArray[np.int16]
    means: Floats
    sizes: NDArray[np.int64]
    names: list[str]


def demo_of(folder: Path) -> Demo:
    """The demo's corpus and vectors; `smartx demo` makes them where they are not there."""
    from smartx.config import RunConfig
    from smartx.demo import run_demo
    from smartx.means import task_means
    from smartx.progress import Silent

    if not (folder / "manifest.json").exists():
        run_demo(RunConfig(out=folder), Silent())
    run = smartx.open_run(folder.with_name(folder.name + ".run"))
    corpus = run.corpus()
    vectors, of = run.embeddings(corpus), corpus.groups.tasks()
    rows = vectors.rows(0, corpus.num_rows)
    return Demo(rows, task_means(vectors, of), of.rows, of.task)


def tasks(demo: Demo, numbers: dict[str, Any], out: Path) -> None:
    """A few tasks: similarities, greedy gains, weights, rows."""
    some = [demo.names.index(name) for name in NAMES]
    means, sizes = demo.means[some], demo.sizes[some]
    names = [demo.names[task] for task in some]
    greedy = smartx.task_gains(means, GC)
    weights = smartx.TaylorSoftmax().weights(greedy.gains)
    rows = smartx.task_budgets(greedy.gains, sizes[greedy.items], ROWS_TOTAL)
    order = greedy.items
    with sheet(out / "tasks.svg", 8.6, 3.1) as figure:
        heat, *bars = figure.subplots(1, 4, width_ratios=(1.5, 1, 1, 1.15))
        _kernel(heat, _cosines(means)[np.ix_(order, order)], [names[task] for task in order])
        shown = (greedy.gains, weights * 100, rows)
        titles = ("2. gains", "3. shares, %", f"4. rows of {ROWS_TOTAL}")
        for axis, values, title in zip(bars, shown, titles, strict=True):
            axis.barh(range(TASKS), values, color=BETTER, height=0.65)
            axis.set_title(title)
            axis.set_ylim(TASKS - 0.5, -0.5)
            axis.set_yticks([])
        bars[-1].plot(sizes[order], range(TASKS), "|", color=INK, ms=9, mew=1.6)
        bars[-1].set_xlabel("| rows that the task has", fontsize=8)
    numbers["tasks"] = {
        "greedy": [names[task] for task in order],
        "gains": _rounded(greedy.gains),
        "weights": _rounded(weights),
        "rows": rows.tolist(),
        "sizes": sizes[order].tolist(),
    }
    everything = {}
    for name, function in {
        "graph cut": GC,
        "facility location": FL,
        "log-det": smartx.LogDet(ridge=1.0),
    }.items():
        shares = smartx.TaylorSoftmax().weights(smartx.task_gains(demo.means, function).gains)
        everything[name] = {
            "largest": round(float(shares.max()), 4),
            "effective": round(float(1 / (shares**2).sum()), 1),
        }
    numbers["all_tasks"] = {"tasks": len(demo.means)} | everything


def _kernel(axis: Any, cosines: Floats, names: list[str]) -> None:
    """Cosines as cells: darker is nearer. Drawn as paths, so that dark schemes exchange colours."""
    for (row, column), value in np.ndenumerate(cosines):
        axis.fill_between(
            (column - 0.5, column + 0.5), row - 0.5, row + 0.5, color=BETTER,
            alpha=float(np.clip(value, 0, 1)), lw=0,
        )  # fmt: skip
    axis.set(xlim=(-0.5, TASKS - 0.5), ylim=(TASKS - 0.5, -0.5), xticks=[])
    axis.set_yticks(range(TASKS), names, fontsize=7.5)
    axis.tick_params(length=0)
    axis.set_title("1. similarity of tasks")


def lazy(demo: Demo, numbers: dict[str, Any], out: Path) -> None:
    """All rows of the demo as one ground set: gains, beside random rows, and what lazy saves."""
    budget = 500
    chosen = smartx.maximize(FL, demo.rows, budget)
    naive = smartx.maximize(FL, demo.rows, budget, optimizer="naive")
    assert naive.indices.tolist() == chosen.indices.tolist()
    chance = _chance(demo.rows, budget)
    n = len(demo.rows)
    numbers["rows"] = {
        "rows": n,
        "budget": budget,
        "naive": naive.evaluations,
        "lazy": chosen.evaluations,
        "gain_1": round(float(chosen.gains[0]), 1),
        "gain_50": round(float(chosen.gains[49]), 1),
        "gain_500": round(float(chosen.gains[-1]), 2),
        "value": round(chosen.value / n, 3),
        "random": round(float(chance[:, -1].mean()), 3),
        "random_needs": _needed(chosen.gains / n, float(chance[:, -1].mean())),
    }
    with sheet(out / "rows.svg", 7.4, 2.5) as figure:
        left, right = figure.subplots(1, 2)
        left.plot(np.arange(1, budget + 1), chosen.gains, color=BETTER, lw=1.6)
        left.set(yscale="log", title="what each pick adds (marginal gain)", xlabel="pick")
        _beside_chance(right, chosen.gains / n, chance)
        right.set_title("all rows, mean cosine to the nearest pick")
        right.set_xlabel("picks")


def _needed(gains: Floats, value: float) -> int:
    """How many of greedy's picks are worth `value`."""
    return int(np.searchsorted(np.cumsum(gains), value)) + 1


def _cosines(vectors: Any) -> Floats:
    rows = np.asarray(vectors, dtype=np.float64)
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return np.clip(rows @ rows.T, -1.0, 1.0)


def _rounded(values: Floats) -> list[float]:
    return [round(float(value), 3) for value in values]


def _bare(axis: Any) -> None:
    axis.set(xticks=[], yticks=[], aspect="equal")
    for spine in axis.spines.values():
        spine.set_visible(False)


def main() -> None:
    """Draw, and keep the numbers."""
    parser = argparse.ArgumentParser(description="the pictures of docs/how_smart_works.md")
    parser.add_argument("--out", type=Path, default=HERE)
    parser.add_argument("--demo", type=Path, default=Path("build/pictures/demo"))
    parser.add_argument("--made-up", action="store_true", help="without the demo's corpus")
    asked = parser.parse_args()
    numbers: dict[str, Any] = {}
    covering(numbers, asked.out)
    templates(numbers, asked.out)
    if not asked.made_up:
        demo = demo_of(asked.demo)
        tasks(demo, numbers, asked.out)
        lazy(demo, numbers, asked.out)
    kept = asked.out / "numbers.json"
    before = json.loads(kept.read_text()) if kept.exists() else {}
    kept.write_text(json.dumps(before | numbers, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(numbers, indent=1))


if __name__ == "__main__":
    main()
