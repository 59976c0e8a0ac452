"""The proxies of runs that are done, kept beside them: what was chosen is chosen again.

proxies.jsonl has one line for each choice. What it holds is not measured again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from quality.arms import UNTUNED
from quality.proxies import held_of, proxies_of, with_answers
from quality.sample import Sample
from quality.suites import Key, Suite
from smartx.errors import InputError

PROXIES_FILE = "proxies.jsonl"
# What a choice depends on: the other settings are those of training.
OF_CHOICE = ("corpus", "arm", "fold", "seed", "tokens", "matched", "share")


def measure(folder: Path, sample: Sample) -> Iterator[tuple[int, int]]:
    """Measure the choices of all runs of a folder that have no proxies yet, about two seconds each.

    Yields how many are done, of how many. Raises InputError where an arm chooses other rows than
    its run had.
    """
    # They load torch, which reading needs not.
    from quality.one_run import Setting, choice_of, pool_of
    from quality.runs import done

    known, left = set(measured(folder)), {}
    for line in done(folder):
        key = key_of(line["setting"])
        if line["setting"]["arm"] != UNTUNED and key not in known:
            left[key] = line
    # Choices from one pool together: what greedy does there is found once.
    ordered = sorted(left.values(), key=lambda line: _pool(line["setting"]))
    last: tuple[Any, ...] = ()
    for count, line in enumerate(ordered, 1):
        told = {field.name: line["setting"][field.name] for field in fields(Setting)}
        setting = Setting(**told)
        if _pool(told) != last:
            last = _pool(told)
            pool, held = (
                with_answers(pool_of(sample, setting), sample),
                held_of(sample, setting.fold),
            )
        choice = choice_of(setting, pool)
        digest = choice.facts()["digest"]
        if digest != line["chosen"]["digest"]:
            raise InputError(
                f"the arm chose {line['chosen']['digest']} when it was trained, and {digest} now",
                place=f"arm {setting.arm}, fold {setting.fold}, seed {setting.seed}",
                fix="measure with the version of smartx and the sample that the run was made with",
            )
        found = {name: round(value, 6) for name, value in proxies_of(choice, pool, held).items()}
        kept = {"setting": {name: told[name] for name in OF_CHOICE}, "proxies": found}
        with (folder / PROXIES_FILE).open("a") as file:
            file.write(json.dumps(kept, separators=(",", ":")) + "\n")
        yield count, len(ordered)


def measured(folder: Path) -> dict[str, dict[str, float]]:
    """The proxies of each choice that was measured, by `key_of` its setting."""
    path = folder / PROXIES_FILE
    if not path.exists():
        return {}
    held = path.read_text()
    whole = held[: held.rfind("\n") + 1]
    if whole != held:  # a line that was under way
        path.write_text(whole)
    lines = map(json.loads, whole.splitlines())
    return {key_of(line["setting"]): line["proxies"] for line in lines}


def of_suite(folder: Path, suite: Suite) -> dict[Key, dict[str, float]]:
    """The proxies of the runs of a suite that were measured, as `trust.beside` takes them."""
    known = measured(folder)
    keys = {key: key_of(run.setting) for key, run in suite.runs.items()}
    return {key: known[text] for key, text in keys.items() if text in known}


def key_of(setting: Any) -> str:
    """Of what a choice depends on, as a text."""
    return json.dumps([setting.get(name) for name in OF_CHOICE])


def _pool(setting: Any) -> tuple[Any, ...]:
    return tuple(setting[name] for name in ("fold", "seed", "share"))
