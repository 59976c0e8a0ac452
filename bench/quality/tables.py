"""What came out as Markdown: one function for each table of docs/evidence.md.

A difference is always arm less random rows: below zero the loss is lower, which is better.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from quality.effects import Effect, Findings, Interval
from quality.outcomes import MAIN, UNTUNED, Run, Suite
from quality.power import Parts, parts_of
from quality.proxies import PROXIES
from quality.trust import Beside, correlations, reachable, repeats

NONE = "Not run yet."


def markdown(head: Sequence[str], body: Iterable[Sequence[str]]) -> list[str]:
    """A table; the first column is a name and stands left, the others right. A bar or line end in
    a cell does not end it."""
    rows = [[_cell(cell) for cell in row] for row in body]
    rule = ["---", *["--:"] * (len(head) - 1)]
    return ["| " + " | ".join(row) + " |" for row in ([*map(_cell, head)], rule, *rows)]


def main(found: Findings) -> list[str]:
    """The contrasts that were named before the runs; A/A first."""
    return _contrasts(found, found.main)


def further(found: Findings) -> list[str]:
    return _contrasts(found, found.further)


def _contrasts(found: Findings, effects: Sequence[Effect]) -> list[str]:
    if not effects:
        return [NONE]
    higher = found.outcome.higher
    head = [
        "arm", "right" if higher else "loss", "difference", *(["points"] if higher else ["%"]),
        "these data sets, 95 %", "new data sets, 95 %", "two random draws differ by",
        "p", "Holm", "better",
    ]  # fmt: skip
    chance = f"± {_floor(found.twice):.2f}" if found.twice else "not run"
    rows = [found.twice] if found.twice else []
    return markdown(head, (_contrast(effect, chance) for effect in (*rows, *effects)))


def _floor(twice: Effect) -> float:
    assert twice.floor is not None  # of A/A
    return twice.shown(twice.floor)


def _contrast(effect: Effect, chance: str) -> list[str]:
    name = effect.arm if effect.arm != "random b" else "*random rows, drawn again (A/A)*"
    return [
        name, f"{effect.value:.4f}", f"{effect.difference:+.4f}",
        f"{effect.shown(effect.difference):+.2f}", interval(effect, effect.these),
        interval(effect, effect.new), chance, probability(effect.p),
        probability(effect.holm),
        f"{effect.better}/{effect.tasks}",
    ]  # fmt: skip


def costs(suite: Suite, found: Findings) -> list[str]:
    """What a selection takes and gives: rows, tokens, tasks, seconds, beside its effect."""
    arms = [*suite.random, *(effect.arm for effect in (*found.chosen, *found.controls))]
    effects = {effect.arm: effect for effect in (*found.chosen, *found.controls)}
    rows = []
    for arm in arms:
        runs = [run for run in of_arm(suite, arm) if run.chosen]
        if not runs:
            continue
        effect = effects.get(arm)
        rows.append(
            [
                arm, seconds(_choosing(runs)), percent(effect) if effect else "-",
                interval(effect, effect.these) if effect else "-",
                f"{mean(runs, 'rows'):,.0f}", f"{mean(runs, 'tokens'):,.0f}",
                f"{mean(runs, 'target_tokens'):,.0f}", f"{mean(runs, 'tasks'):.1f}",
                f"{mean(runs, 'effective_tasks'):.1f}",
                f"{np.mean([run.trained['cpu_seconds'] for run in runs if run.trained]):.0f} s",
            ]
        )  # fmt: skip
    head = ["arm", "to choose, CPU", "effect, %", "these data sets, 95 %", "rows", "tokens",
            "target tokens", "tasks", "effective tasks", "to train, CPU"]  # fmt: skip
    return markdown(head, rows) if rows else [NONE]


def choosing_seconds(suite: Suite) -> dict[str, float]:
    """Mean seconds of processor time that each arm took to choose."""
    kept = {arm: [run for run in of_arm(suite, arm) if run.chosen] for arm in suite.arms}
    return {arm: _choosing(runs) for arm, runs in kept.items() if runs}


def _choosing(runs: Sequence[Run]) -> float:
    kept = [run.chosen for run in runs if run.chosen]
    return float(np.mean([chosen.get("cpu_seconds", chosen["seconds"]) for chosen in kept]))


def secondary(all_found: Sequence[Findings]) -> list[str]:
    """Every outcome besides: one column each, with the interval for these data sets."""
    arms = {effect.arm: None for found in all_found for effect in found.chosen}
    if not arms:
        return [NONE]
    body = [["*random rows, drawn again (A/A)*", *(_small(found.twice) for found in all_found)]]
    for arm in arms:
        by_outcome = ({effect.arm: effect for effect in found.chosen} for found in all_found)
        body.append([arm, *(_small(effects.get(arm)) for effects in by_outcome)])
    units = ("points" if found.outcome.higher else "%" for found in all_found)
    head = ["arm", *(f"{f.outcome.words}, {u}" for f, u in zip(all_found, units, strict=True))]
    return markdown(head, body)


def _small(effect: Effect | None) -> str:
    if effect is None:
        return "-"
    if np.isnan(effect.these[0]):
        return percent(effect)
    holm = "" if effect.holm is None else f", Holm {probability(effect.holm)}"
    return f"{percent(effect)} {interval(effect, effect.these)}{holm}"


def by_fold(found: Findings) -> list[str]:
    """The difference on each fold's held-out data sets: whether one fold makes the result."""
    effects = [*([found.twice] if found.twice else []), *found.chosen]
    folds = sorted({fold for effect in effects for fold in effect.by_fold})
    if not folds:
        return [NONE]
    body = [
        [
            "*A/A*" if effect is found.twice else effect.arm,
            *(
                f"{effect.shown(effect.by_fold[fold]):+.2f}" if fold in effect.by_fold else "-"
                for fold in folds
            ),
            percent(effect),
        ]
        for effect in effects
    ]
    return markdown(["arm", *(f"fold {fold}, %" for fold in folds), "all, %"], body)


def proxies(held: Beside | str, seen: Beside | str) -> list[str]:
    """How far each proxy orders the arms as training does: held-out and trained data sets.

    Text in their place says why they are not there.
    """
    if isinstance(held, str):
        return [held]
    of_seen = {} if isinstance(seen, str) else {line.proxy: line for line in correlations(seen)}
    body = []
    for line in correlations(held):
        other = of_seen.get(line.proxy)
        body.append(
            [
                line.proxy, PROXIES[line.proxy].says, number(line.means),
                between(line.means_interval), probability(line.p),
                number(line.within), number(other.means if other else None),
                between(other.means_interval if other else None),
            ]
        )  # fmt: skip
    head = ["proxy", "what it says", "held-out", "95 %", "p", "in one run, held-out",
            "trained on", "95 %"]  # fmt: skip
    same = repeats(held)
    lines = [
        f"Rank correlation (Spearman) with training, over {len(held.arms)} arms, means of "
        f"{len(held.folds)} folds and {len(held.seeds)} seeds; above zero: what the proxy calls "
        "better is better. In one run: the mean of the correlations over the arms of one fold "
        "and seed.",
    ]
    if same is not None:
        lines.append(
            f"The order of the arms themselves repeats from one half of the seeds to the other "
            f"with {number(same)}: a proxy that knew the truth would reach about "
            f"{number(reachable(same))}."
        )
    return [*lines, "", *markdown(head, body)]


def number(value: float | None) -> str:
    return "-" if value is None else f"{value:+.2f}"


def between(interval: Interval | None) -> str:
    return "-" if interval is None else f"[{interval[0]:+.2f}, {interval[1]:+.2f}]"


FACTS = {
    UNTUNED: "training helps: the untuned model is worse",
    "half": "more rows help: half of the tokens are worse",
    "shuffled targets": "right answers matter: targets of other rows are worse",
}


def controls(found: Findings) -> list[str]:
    """Facts that everybody knows; a bench that does not see them sees nothing."""
    effects = {effect.arm: effect for effect in found.controls}
    if not effects:
        return [NONE]
    body = []
    for arm, fact in FACTS.items():
        if (effect := effects.get(arm)) is None:
            body.append([fact, "-", "-", "-", "-", "not run"])
            continue
        verdict = _seen(effect)
        body.append(
            [fact, f"{effect.value:.4f}", percent(effect), interval(effect, effect.these),
             interval(effect, effect.new), verdict]
        )  # fmt: skip
    head = ["known fact", "loss", "against random rows, %", "these data sets, 95 %",
            "new data sets, 95 %", "seen?"]  # fmt: skip
    return markdown(head, body)


def _seen(effect: Effect) -> str:
    """Whether the arm is worse than random rows by more than chance."""
    low, high = effect.these
    if not np.isfinite(low):
        return "no interval with one seed"
    worse = high < 0 if effect.outcome.higher else low > 0
    return "seen" if worse else "**not seen**"


DESIGNS = (3, 5, 10)  # seeds
SMALL = 1.0  # per cent of the loss


def power(all_found: Sequence[Findings], tests: int = len(MAIN)) -> list[str]:
    """Which differences these outcomes would have shown, with so many seeds and other numbers."""
    body = []
    for found in all_found:
        same = [effect for effect in found.main if effect.seeds == found.main[0].seeds]
        if not same or len(same[0].seeds) < 2 or same[0].outcome.higher:
            continue
        parts = parts_of([effect.differences for effect in same])
        for seeds in sorted({len(same[0].seeds), *DESIGNS}):
            body.append(_power(same[0], parts, seeds, tests))
    if not body:
        return [NONE + " Power needs two seeds or more."]
    corrected, one = f"first of {tests} by Holm", f"{SMALL:g} % is seen"
    head = ["outcome", "data sets", "seeds", "these data sets, %", corrected,
            "new data sets, %", corrected, f"{one}, these", f"{one}, new"]  # fmt: skip
    return markdown(head, body)


def _power(effect: Effect, parts: Parts, seeds: int, tests: int) -> list[str]:
    """The smallest true differences that are seen in 80 of 100 benches, and how often 1 % is."""
    smallest = [
        f"{effect.shown(parts.smallest(seeds, new=new, tests=count)):.2f}"
        for new in (False, True)
        for count in (1, tests)
    ]
    small = SMALL / 100 * effect.base_value
    often = [f"{100 * parts.power(small, seeds, new=new):.0f} %" for new in (False, True)]
    run = f"**{seeds}, as run**" if seeds == len(effect.seeds) else str(seeds)
    return [effect.outcome.words, str(effect.tasks), run, *smallest, *often]


def setting(suite: Suite) -> list[str]:
    """What all runs have in common, in one sentence, and what is missing of them."""
    parts = ", ".join(f"{name} {value}" for name, value in sorted(suite.setting.items()))
    rows = suite.sample.facts.get("rows", {})
    counts = ", ".join(f"{name} {count:,}" for name, count in rows.items())
    families = len(set(suite.sample.families.values()))
    lines = [
        f"{len(suite.runs)} runs of {len(suite.arms)} arms, folds "
        f"{', '.join(map(str, suite.folds))}, seeds {', '.join(map(str, suite.seeds))}; "
        f"{len(suite.sample.folds)} data sets in {families} families. Setting: {parts}."
    ]
    if counts:
        lines.append(f"Rows of the sample: {counts}.")
    return [*lines, *missing(suite)]


def missing(suite: Suite) -> list[str]:
    gaps: dict[str, list[str]] = {}
    for arm, fold, seed in suite.missing():
        gaps.setdefault(arm, []).append(f"{fold}/{seed}")
    if not gaps:
        return ["No run is missing."]
    alike: dict[str, list[str]] = {}  # arms that lack the same runs
    for arm, places in gaps.items():
        alike.setdefault(", ".join(places), []).append(arm)
    told = ". ".join(f"{'; '.join(arms)}: {places}" for places, arms in alike.items())
    return [
        f"Missing runs (fold/seed). {told}. Each arm is compared on the folds and seeds that it "
        "and both random draws have whole."
    ]


def in_short(found: Findings) -> list[str]:
    """The result in sentences that the numbers decide."""
    if not found.main:
        return [NONE]
    lines = [_verdict(found), _these(found)]
    best = min(found.main, key=lambda e: e.difference * (-1 if e.outcome.higher else 1))
    last = max(found.main, key=lambda e: e.difference * (-1 if e.outcome.higher else 1))
    lines.append(f"Best: {_told(best)}. Last: {_told(last)}.")
    if found.twice:
        lines.append(
            f"Random rows drawn again: {percent(found.twice)} %; chance alone stays below "
            f"{_floor(found.twice):.2f} % in 95 of 100 such pairs."
        )
    return lines


def _verdict(found: Findings) -> str:
    sign = -1 if found.outcome.higher else 1
    sure = [effect for effect in found.main if effect.holm is not None and effect.holm < 0.05]
    better = [effect.arm for effect in sure if sign * effect.difference < 0]
    worse = [effect.arm for effect in sure if sign * effect.difference > 0]
    several = len(found.main)
    return (
        f"Of {several} selections, {len(better)} are better than random rows on data sets like "
        f"the {found.outcome.words} after Holm's correction ({_list(better)}), {len(worse)} worse "
        f"({_list(worse)}), and {several - len(sure)} cannot be told from random rows."
    )


def _these(found: Findings) -> str:
    """What the intervals for these very data sets exclude, one by one."""
    ends = {effect.arm: effect.shown_interval(effect.these) for effect in found.main}
    below = [arm for arm, (_, high) in ends.items() if high < 0]
    above = [arm for arm, (low, _) in ends.items() if low > 0]
    return (
        "For these very data sets, each arm by itself and uncorrected: the interval lies below "
        f"zero for {len(below)} ({_list(below)}) and above for {len(above)} ({_list(above)})."
    )


def _told(effect: Effect) -> str:
    return (
        f"{effect.arm}, {percent(effect)} % {interval(effect, effect.these)} for these data sets, "
        f"{interval(effect, effect.new)} for new ones, Holm {probability(effect.holm)}"
    )


def _list(names: Sequence[str]) -> str:
    return "; ".join(names) or "none"


def percent(effect: Effect) -> str:
    return f"{effect.shown(effect.difference):+.2f}"


def interval(effect: Effect, native: Interval) -> str:
    low, high = effect.shown_interval(native)
    if np.isnan(low):
        return "-"
    return "endless" if np.isinf(low) or np.isinf(high) else f"[{low:+.2f}, {high:+.2f}]"


def probability(p: float | None) -> str:
    """ "-" where there is none, as with one seed."""
    if p is None or np.isnan(p):
        return "-"
    return "< .001" if p < 0.001 else f"{p:.3f}"


def seconds(value: float) -> str:
    if value < 1:
        return f"{1000 * value:.0f} ms"
    return f"{value:.1f} s" if value < 10 else f"{value:,.0f} s"


def of_arm(suite: Suite, arm: str) -> list[Run]:
    return [run for (name, _, _), run in sorted(suite.runs.items()) if name == arm]


def mean(runs: Sequence[Run], name: str) -> float:
    """Of what was chosen."""
    return float(np.mean([run.chosen[name] for run in runs if run.chosen]))


def _cell(text: str) -> str:
    return " ".join(text.replace("\\", "\\\\").replace("|", "\\|").split())
