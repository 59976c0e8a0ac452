"""How to make a mixture again: a configuration that `smartx run --config` takes."""

from __future__ import annotations

from typing import Any

import yaml

from smartx.mixture.names import shown


def configuration(facts: dict[str, Any]) -> str:
    """YAML of what a manifest knows. Folders are not in it: they are the user's own."""
    asked = dict(facts.get("budget") or {"rows": facts["rows"]})
    fields: dict[str, Any] = {
        "sources": [str(source.get("name", "")) for source in facts["sources"]],
        **{str(_BUDGET.get(name, name)): value for name, value in asked.items()},
        "seed": facts["seed"],
    }
    if facts["preset"]:
        fields["preset"] = facts["preset"]
    fields |= {"weights": _strategy(facts["weights"]), "ranker": _strategy(facts["ranker"])}
    if found := facts.get("found_tasks"):
        fields["tasks"] = _strategy(found)
    if near := facts.get("near_duplicates"):
        fields["near_duplicates"] = near["threshold"]
        if "within" in near:
            fields["near_duplicates_within"] = near["within"]
    fields["out"] = "mix"
    text = _dumped(fields, plain=True)
    # What cannot be seen, or turns the direction of a line, is written as an escape.
    visible = all(shown(line, len(line)) == " ".join(line.split()) for line in text.split("\n"))
    return text if visible else _dumped(fields, plain=False)


# Names that manifests have for parameters, and what is in them but no parameter.
_PARAMETERS, _NO_PARAMETERS = {"dense_bytes": "dense_limit"}, ("graph_neighbours",)
_BUDGET = {"floors": "floor", "caps": "cap", "pins": "pin", "excludes": "exclude"}


def _strategy(facts: dict[str, Any]) -> dict[str, Any]:
    """A strategy as a configuration has it, its name first, from what a manifest says of it."""
    named = {"name": facts["name"]}
    for name in sorted(facts.keys() - {"name", *_NO_PARAMETERS}):
        value = facts[name]
        named[str(_PARAMETERS.get(name, name))] = _strategy(value) if _is_strategy(value) else value
    return named


def _is_strategy(value: Any) -> bool:
    return isinstance(value, dict) and "name" in value


def _dumped(fields: dict[str, Any], *, plain: bool) -> str:
    text: str = yaml.safe_dump(fields, sort_keys=False, allow_unicode=plain, width=100)
    return text


def encoded_by(facts: dict[str, Any]) -> str:
    """What made the vectors, for a person; nothing where none were looked at."""
    found = facts.get("embedding") or {}
    name = found.get("encoder") or found.get("name") or found.get("vectors") or ""
    return shown(str(name), 120)
