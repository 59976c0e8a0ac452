"""Which strategies are compared: by name, from a text, a mapping or a YAML file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from smartx.config import PRESETS
from smartx.config_file import read_fields
from smartx.errors import ConfigError, SmartxError
from smartx.options import Options, made, number, one_of, spelled
from smartx.rankers import Ranker
from smartx.strategies import LAWS, RANKERS, check_together, facts_of
from smartx.weights import WeightLaw

SMART = "taylor-softmax"
BALANCED = "facility-location:per=task"
USUAL = "defaults"  # stands for the usual list

# What is compared where nothing is named, each a weight law, a ranker, and perhaps what is left out
# as near; presets go by their name.
DEFAULTS: dict[str, tuple[str, ...]] = {
    "random": PRESETS["random"],
    "proportional": PRESETS["proportional"],
    "equal": PRESETS["equal"],
    "square root, random rows": ("power:exponent=0.5", "random"),
    "smart-acl2024": PRESETS["smart-acl2024"],
    "smart-acl2024, no twins": (*PRESETS["smart-acl2024"], "near"),
    "SMART shares, random rows": (SMART, "random"),
    "SMART by facility location": (f"{SMART}:function=facility-location", "facility-location"),
    "SMART by log-det": (f"{SMART}:function=log-det", "facility-location"),
    "SMART shares, balanced": (SMART, BALANCED),
    "coverage mass of 16 tasks": ("coverage-mass:num_tasks=16", "facility-location"),
    "equal, per template": ("equal", "facility-location"),
    "equal, graph cut": ("equal", "graph-cut"),
    "equal, log-det": ("equal", "log-det"),
    "equal, per task": ("equal", f"{BALANCED},balance=no"),
    "equal, balanced": ("equal", BALANCED),
    "equal, graph cut balanced": ("equal", "graph-cut:per=task"),
    "equal, log-det balanced": ("equal", "log-det:per=task"),
    "equal, k-center": ("equal", "k-center:per=task"),
    "equal, saturated coverage": ("equal", "saturated-coverage"),
    "equal, density": ("equal", "density"),
    "equal, SemDeDup": ("equal", "semdedup"),
    "equal, D4": ("equal", "d4"),
    "equal, longest": ("equal", "length"),
    "no tasks": ("as-ranked", "facility-location:per=corpus"),
    "smart-balanced": PRESETS["smart-balanced"],
    "smart-balanced, no twins": (*PRESETS["smart-balanced"], "near"),
}


@dataclass(frozen=True)
class Near(Options):
    """Rows that are left out since a better-ranked one is near: the configuration's fields
    `near_duplicates` and `near_duplicates_within`.
    """

    cosine: Annotated[float, number(1e-6, 1)] = 0.95
    within: Annotated[str, one_of("template", "task", "corpus")] = "task"


@dataclass(frozen=True)
class Candidate:
    """A strategy that is compared, under a name of its own."""

    name: str
    law: WeightLaw
    ranker: Ranker
    near: Near | None = None

    def facts(self) -> dict[str, Any]:
        """Name, weight law and ranker with their parameters, and what is left out as near."""
        return {
            "name": self.name,
            "weights": facts_of(self.law),
            "ranker": facts_of(self.ranker),
            "near_duplicates": self.near and self.near.parameters(),
        }


def candidates(given: Iterable[Any] = (), *, seed: int = 0) -> list[Candidate]:
    """The strategies that are named; the usual ones where none are.

    given: each a text, "NAME=WEIGHTS / RANKER", or "WEIGHTS / RANKER", with "/ near:cosine=0.95"
    behind it if need be, or the name of a preset or of a usual strategy, or "defaults" for all
    usual ones; or a mapping of name, weights, ranker and near; or a Candidate.
    seed: of laws and rankers that draw, where they name none.
    Raises ConfigError that names the strategy at fault, and where two have one name.
    """
    found: list[Candidate] = []
    for one in list(given) or [USUAL]:
        if one == USUAL:
            found += [_made(name, parts, seed) for name, parts in DEFAULTS.items()]
        else:
            found.append(one if isinstance(one, Candidate) else _read(one, seed))
    names = [candidate.name for candidate in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(
            f'two strategies are named "{twice}"',
            place="strategy",
            fix="write NAME=WEIGHTS / RANKER",
        )
    return found


def candidates_in(path: Path) -> list[Any]:
    """What a YAML file lists under `strategies`, as `candidates` takes it."""
    path = Path(os.path.expanduser(path))
    fields = read_fields(path)
    listed = fields.get("strategies")
    if not isinstance(listed, list) or not listed or len(fields) > 1:
        raise ConfigError(
            "it must be a list under the name `strategies`, and nothing else",
            place=os.fspath(path),
            fix="write lines such as `- {name: mine, weights: equal, ranker: random}`",
        )
    return [_seen_from(path.parent, one) for one in listed]


def _read(given: Any, seed: int) -> Candidate:
    if isinstance(given, Mapping):
        return _of_mapping(given, seed)
    text = str(given).strip()
    known: dict[str, tuple[str, ...]] = {**PRESETS, **DEFAULTS}
    if text in known:
        return _made(text, known[text], seed)
    named, sign, rest = text.partition("=")
    if not sign or ":" in named or "/" in named:
        named, rest = text, text
    parts = [part.strip() for part in rest.split(" / ")]
    if not 2 <= len(parts) <= 3:
        raise ConfigError(
            f'"{text}" is no strategy',
            place="strategy",
            fix=f"write WEIGHTS / RANKER, or one of {', '.join(known)}, {USUAL}",
        )
    return _made(named.strip(), parts, seed)


def _of_mapping(given: Mapping[str, Any], seed: int) -> Candidate:
    unknown = given.keys() - {"name", "weights", "ranker", "near"}
    if unknown or not {"weights", "ranker"} <= given.keys():
        raise ConfigError(
            "a strategy has weights, ranker and perhaps a name and near, and here are "
            f"{', '.join(given)}",
            place="strategy",
        )
    parts = [given[part] for part in ("weights", "ranker", "near") if part in given]
    name = given.get("name") or " / ".join(map(_word, parts))
    return _made(str(name), parts, seed)


def _word(part: Any) -> str:
    return str(part.get("name", "near")) if isinstance(part, Mapping) else str(part)


def _made(name: str, parts: Sequence[Any], seed: int) -> Candidate:
    """parts: weights, ranker and perhaps near, each a text or a mapping."""
    try:
        law, ranker = LAWS.made(parts[0], seed=seed), RANKERS.made(parts[1], seed=seed)
        check_together(law, ranker)
        return Candidate(name, law, ranker, _near(parts[2]) if len(parts) > 2 else None)
    except SmartxError as problem:
        place = f"strategy {name}" + (f": {problem.place}" if problem.place else "")
        raise ConfigError(problem.fault, place=place, fix=problem.fix) from None


def _near(given: Any) -> Near:
    options = {"name": "near", **(spelled(given) if isinstance(given, str) else given)}
    if options.pop("name") != "near":
        raise ConfigError(f'"{given}" is not of the form near:cosine=0.95,within=task')
    found: Near = made(Near, "near", options)
    return found


def _seen_from(folder: Path, given: Any) -> Any:
    """A strategy of a YAML file; files of code are seen from the folder of that file."""
    if not isinstance(given, Mapping):
        return given
    found = dict(given)
    for part in ("weights", "ranker"):
        value = found.get(part)
        options = spelled(value) if isinstance(value, str) else value
        if isinstance(options, Mapping) and isinstance(options.get("code"), str):
            found[part] = {**options, "code": str(folder / os.path.expanduser(options["code"]))}
    return found
