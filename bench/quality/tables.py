"""What came out as Markdown: one function for each table of docs/evidence.md.

A difference is always arm less random rows: below zero the loss is lower, which is better.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from quality.arms import SELECTIONS, UNTUNED
from quality.cells import AGAIN, NONE, interval, markdown, percent, probability, runs, seconds
from quality.effects import Effect, Findings, effects_of
from quality.power import Parts, parts_of
from quality.suites import Run, Suite

RUNS = "folds × seeds"
THESE, NEW = "these data sets, 95 %", "new data sets, 95 %"


def main(found: Findings) -> list[str]:
    """The contrasts that were named before the runs; A/A first."""
    return _contrasts(found, found.main)


def further(found: Findings) -> list[str]:
    """The other arms, corrected among themselves."""
    return _contrasts(found, found.further)


def _contrasts(found: Findings, effects: Sequence[Effect]) -> list[str]:
    if not effects:
        return [NONE]
    higher = found.outcome.higher
    head = [
        "arm", "right" if higher else "loss", "difference", "points" if higher else "%", THESE, NEW,
        "two random draws differ by", "p", "Holm", "better", RUNS,
    ]  # fmt: skip
    rows = [found.twice] if found.twice else []
    return markdown(head, (_contrast(effect) for effect in (*rows, *effects)))


def _contrast(effect: Effect) -> list[str]:
    again = effect.arm == "random b"
    return [
        AGAIN if again else effect.arm, f"{effect.value:.4f}", f"{effect.difference:+.4f}",
        percent(effect), interval(effect, effect.these), interval(effect, effect.new),
        "not run" if effect.chance is None else f"± {effect.shown(effect.chance):.2f}",
        probability(effect.p), probability(effect.holm), f"{effect.better}/{effect.tasks}",
        runs(effect),
    ]  # fmt: skip


def matched(suite: Suite, others: Sequence[Suite]) -> list[str]:
    """The main contrasts with target tokens matched, beside the same runs with all tokens matched:
    the same folds, seeds and random rows to compare with on both sides.
    """
    other = next((one for one in others if one.setting.get("matched") == "response"), None)
    if other is None:
        return [NONE]
    sides = {"all tokens": suite.only(other.runs), "target tokens": other.only(suite.runs)}
    found = {name: effects_of(side, SELECTIONS) for name, side in sides.items()}
    body = [
        [effect.arm, name, _targets(sides[name], effect), *_contrast(effect)[3:6],
         *_contrast(effect)[7:]]
        for arm in SELECTIONS
        for name, effects in found.items()
        for effect in effects
        if effect.arm == arm
    ]  # fmt: skip
    head = ["arm", "matched in", "target tokens, % of random rows'", "%", THESE, NEW, "p", "Holm",
            "better", RUNS]  # fmt: skip
    return markdown(head, body) if body else [NONE]


def _targets(suite: Suite, effect: Effect) -> str:
    """How many target tokens the arm's runs of a contrast have, for 100 of its base."""

    def taken(arm: str) -> float:
        chosen = [suite.runs[arm, f, s].chosen for f in effect.folds for s in effect.seeds]
        return float(np.mean([one["target_tokens"] for one in chosen if one]))

    return f"{100 * taken(effect.arm) / np.mean([taken(arm) for arm in effect.base]):.0f}"


def costs(suite: Suite, found: Findings) -> list[str]:
    """What a selection takes and gives: rows, tokens, tasks, seconds, beside its effect."""
    arms = [*suite.random, *(effect.arm for effect in (*found.chosen, *found.controls))]
    effects = {effect.arm: effect for effect in (*found.chosen, *found.controls)}
    rows = []
    for arm in arms:
        of = [run for run in of_arm(suite, arm) if run.chosen]
        if not of:
            continue
        effect = effects.get(arm)
        rows.append(
            [
                arm, seconds(_choosing(of)), percent(effect) if effect else "-",
                interval(effect, effect.these) if effect else "-",
                f"{mean(of, 'rows'):,.0f}", f"{mean(of, 'tokens'):,.0f}",
                f"{mean(of, 'target_tokens'):,.0f}", f"{mean(of, 'tasks'):.1f}",
                f"{mean(of, 'effective_tasks'):.1f}",
                f"{np.mean([run.trained['cpu_seconds'] for run in of if run.trained]):.0f} s",
            ]
        )  # fmt: skip
    head = ["arm", "to choose, CPU", "effect, %", THESE, "rows", "tokens",
            "target tokens", "tasks", "effective tasks", "to train, CPU"]  # fmt: skip
    return markdown(head, rows) if rows else [NONE]


def choosing_seconds(suite: Suite) -> dict[str, float]:
    """Mean seconds of processor time that each arm took to choose."""
    kept = {arm: [run for run in of_arm(suite, arm) if run.chosen] for arm in suite.arms}
    return {arm: _choosing(of) for arm, of in kept.items() if of}


def _choosing(of: Sequence[Run]) -> float:
    kept = [run.chosen for run in of if run.chosen]
    return float(np.mean([chosen.get("cpu_seconds", chosen["seconds"]) for chosen in kept]))


def secondary(all_found: Sequence[Findings]) -> list[str]:
    """Every outcome besides: one column each, with the interval for these data sets."""
    arms = {effect.arm: None for found in all_found for effect in found.chosen}
    if not arms:
        return [NONE]
    lines = [(AGAIN, [found.twice for found in all_found])]
    by_outcome = [{effect.arm: effect for effect in found.chosen} for found in all_found]
    lines += [(arm, [effects.get(arm) for effects in by_outcome]) for arm in arms]
    body = [[name, *map(_small, effects), _most(effects)] for name, effects in lines]
    units = ("points" if found.outcome.higher else "%" for found in all_found)
    words = (f"{f.outcome.words}, {u}" for f, u in zip(all_found, units, strict=True))
    return markdown(["arm", *words, RUNS], body)


def _most(effects: Sequence[Effect | None]) -> str:
    """Of the outcome that has the most runs: a fold may have none of the worst data sets."""
    there = [effect for effect in effects if effect is not None]
    return runs(max(there, key=lambda effect: effect.runs)) if there else "-"


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
            body.append([fact, "-", "-", "-", "-", "-", "not run"])
            continue
        body.append(
            [fact, f"{effect.value:.4f}", percent(effect), interval(effect, effect.these),
             interval(effect, effect.new), runs(effect), _seen(effect)]
        )  # fmt: skip
    head = ["known fact", "loss", "against random rows, %", THESE, NEW, RUNS, "seen?"]
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


def power(all_found: Sequence[Findings]) -> list[str]:
    """Which differences these outcomes would have shown, with so many seeds and other numbers.

    The variance is that of the arms with the most seeds.
    """
    tests, body = max((len(found.main) for found in all_found), default=0), []
    for found in all_found:
        most = max((len(effect.seeds) for effect in found.main), default=0)
        same = [effect for effect in found.main if len(effect.seeds) == most]
        same = [effect for effect in same if effect.folds == same[0].folds]
        if most < 2 or found.outcome.higher:
            continue
        parts = parts_of([effect.differences for effect in same])
        for count in sorted({most, *DESIGNS}):
            body.append(_power(same[0], parts, count, tests))
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


def of_arm(suite: Suite, arm: str) -> list[Run]:
    return [run for (name, _, _), run in sorted(suite.runs.items()) if name == arm]


def mean(of: Sequence[Run], name: str) -> float:
    """Of what was chosen."""
    return float(np.mean([run.chosen[name] for run in of if run.chosen]))
