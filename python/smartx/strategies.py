"""The strategies that a configuration can name: weight laws, rankers, set functions. Configuration,
flags and the steps of a run read these tables and nothing else.

A strategy is a frozen dataclass in a file of its own. It is loaded when one is made, so that the
command line starts without numpy.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Recipe:
    """How a strategy is made of a configuration.

    where: module and name of the dataclass. Each of its fields is the configuration's field of the
    same name; one that the configuration does not have keeps its default.
    parts: those of its fields that are strategies, too.
    """

    where: str
    parts: Mapping[str, Recipe | Choice] = field(default_factory=dict)

    def kind(self) -> Any:
        """The dataclass itself."""
        module, _, name = self.where.partition(":")
        return getattr(import_module(module), name)

    def made(self, config: Any) -> Any:
        """The strategy that a configuration means."""
        names = [f.name for f in dataclasses.fields(self.kind()) if hasattr(config, f.name)]
        own = {name: getattr(config, name) for name in names if name not in self.parts}
        return self.kind()(**own, **{name: part.made(config) for name, part in self.parts.items()})

    def takes(self) -> frozenset[str]:
        """Names of the fields of a configuration that may matter to it."""
        own = {f.name for f in dataclasses.fields(self.kind())} - set(self.parts)
        return frozenset(own).union(*(part.takes() for part in self.parts.values()))


@dataclass(frozen=True)
class Choice:
    """One strategy of a table, named by a field of the configuration."""

    field: str
    table: Mapping[str, Recipe]

    def made(self, config: Any) -> Any:
        """The strategy that the field names."""
        return self.table[getattr(config, self.field)].made(config)

    def takes(self) -> frozenset[str]:
        """The field, and what the strategies of the table take."""
        return frozenset({self.field}).union(*(recipe.takes() for recipe in self.table.values()))


# Set functions over rows and over tasks.
FUNCTIONS = {
    "facility-location": Recipe("smartx.engine:FacilityLocation"),
    "graph-cut": Recipe("smartx.engine:GraphCut"),
    "log-det": Recipe("smartx.engine:LogDet"),
}
TASK_FUNCTIONS = {**FUNCTIONS, "random": Recipe("smartx.weights.taylor_softmax:RandomTasks")}

RANKERS = {
    **{
        name: Recipe("smartx.rankers.submodular:SubmodularRanker", {"function": function})
        for name, function in FUNCTIONS.items()
    },
    "random": Recipe("smartx.rankers.random:RandomRanker"),
}

LAWS = {
    "taylor-softmax": Recipe(
        "smartx.weights.taylor_softmax:TaylorSoftmax",
        {"function": Choice("task_function", TASK_FUNCTIONS)},
    ),
    "proportional": Recipe("smartx.weights.proportional:Proportional"),
    "equal": Recipe("smartx.weights.equal:Equal"),
    "random-rows": Recipe("smartx.weights.random_rows:RandomRows"),
}
