"""The result, the setting and the gaps as sentences, which the numbers decide."""

from __future__ import annotations

import numpy as np

from quality.cells import NONE, interval, listed, percent, probability
from quality.effects import Effect, Findings
from quality.suites import Suite


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
    return [*lines, *compared(suite)]


def compared(suite: Suite) -> list[str]:
    """With what and on which runs arms are compared, and which arms have fewer runs."""
    if not suite.base:
        return ["There are no random rows to compare arms with."]
    both = len(suite.base) > 1
    lines = [
        f"Each arm is compared with {'the mean of ' if both else ''}{' and '.join(suite.base)}, on "
        f"the folds and seeds that {'all three' if both else 'both'} have whole."
    ]
    alike: dict[str, list[str]] = {}  # arms that lack the same runs
    for arm in suite.arms:
        if lacking := _lacking(suite, arm):
            alike.setdefault(lacking, []).append(arm)
    told = ". ".join(f"{'; '.join(arms)}: without {lacking}" for lacking, arms in alike.items())
    return [*lines, f"Fewer runs than others have: {told}." if told else "No run is missing."]


def _lacking(suite: Suite, arm: str) -> str:
    """The runs that others have and the arm has not: whole seeds, and fold/seed of others."""
    folds = sorted(set(suite.sample.folds.values()))
    gone = {(fold, seed) for name, fold, seed in suite.missing() if name == arm}
    seeds = [seed for seed in suite.seeds if all((fold, seed) in gone for fold in folds)]
    places = [f"{fold}/{seed}" for fold, seed in sorted(gone) if seed not in seeds]
    parts = [f"seed {', '.join(map(str, seeds))}"] if seeds else []
    parts += [f"fold/seed {', '.join(places)}"] if places else []
    return " and ".join(parts)


def in_short(found: Findings) -> list[str]:
    """The result in sentences that the numbers decide."""
    if not found.main:
        return [NONE]
    lines = [_verdict(found), _these(found)]
    sign = -1 if found.outcome.higher else 1
    with_interval = [effect for effect in found.main if not np.isnan(effect.these[0])]
    ordered = sorted(with_interval or found.main, key=lambda effect: sign * effect.difference)
    lines.append(f"Best: {_told(ordered[0])}. Last: {_told(ordered[-1])}.")
    if few := [effect.arm for effect in found.main if np.isnan(effect.these[0])]:
        lines.append(f"With one seed, and so without intervals: {listed(few)}.")
    if found.twice:
        lines.append(
            f"Random rows drawn again: {percent(found.twice)} %; chance alone stays below "
            f"{found.twice.shown(found.twice.chance or 0.0):.2f} % in 95 of 100 such pairs."
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
        f"the {found.outcome.words} after Holm's correction ({listed(better)}), {len(worse)} worse "
        f"({listed(worse)}), and {several - len(sure)} cannot be told from random rows."
    )


def _these(found: Findings) -> str:
    """What the intervals for these very data sets exclude, one by one."""
    ends = {effect.arm: effect.shown_interval(effect.these) for effect in found.main}
    below = [arm for arm, (_, high) in ends.items() if high < 0]
    above = [arm for arm, (low, _) in ends.items() if low > 0]
    return (
        "For these very data sets, each arm by itself and uncorrected: the interval lies below "
        f"zero for {len(below)} ({listed(below)}) and above for {len(above)} ({listed(above)})."
    )


def _told(effect: Effect) -> str:
    return (
        f"{effect.arm}, {percent(effect)} % {interval(effect, effect.these)} for these data sets, "
        f"{interval(effect, effect.new)} for new ones, Holm {probability(effect.holm)}"
    )
