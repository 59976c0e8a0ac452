"""The strategies that a configuration can name: weight laws, rankers, set functions over tasks.

A strategy is a frozen dataclass in a file of its own; its fields are its parameters. It is loaded
when one is made, so that the command line starts without numpy. Others than ours come from
installed packages, by an entry point, or from a file of the user's.
"""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module, metadata
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from smartx.errors import ConfigError, InputError, SmartxError
from smartx.options import Takes, made, parameters_of, spelled

_OF_FILES = "smartx_code_"  # begins the names of modules that are files of the user's


@dataclass(frozen=True, eq=False)
class Table:
    """Strategies of one kind by name.

    kind: what they are, for messages.  base: module and name of the class that they derive from,
    or of a union of them.
    ours: module and name of the dataclass.  group: of entry points, named as the strategies.
    """

    kind: str
    base: str
    ours: Mapping[str, str]
    group: str = ""

    def names(self) -> list[str]:
        """Ours, and those of installed packages."""
        return [*self.ours, *sorted(self._packaged().keys() - self.ours.keys())]

    def find(self, name: str, code: Any = None) -> type:
        """The dataclass of a name. code: the file that has it. Raises ConfigError without one."""
        if code is not None:
            return self._of_file(name, Path(os.path.expanduser(str(code))))
        if name in self.ours:
            found = _at(self.ours[name])
        elif point := self._packaged().get(name):
            with _telling(f"the {self.kind} {name} of an installed package", place=""):
                found = point.load()
        else:
            names = self.names()
            close = get_close_matches(name, names, 1) or [n for n in names if n.startswith(name)]
            raise ConfigError(
                f"it must be one of {', '.join(names)}",
                fix=f"did you mean {close[0]}?" if name and close else "",
            )
        return self._checked(found, name)

    def made(self, given: Any, **usual: Any) -> Any:
        """The strategy that is given: by its name, as a text with parameters (`spelled`), as a
        mapping of `name`, parameters and, for one in a file, `code`, or itself.

        usual: what holds where nothing is said, for parameters of these names; `name` too.
        Raises ConfigError with the parameter at fault and those that there are.
        """
        if not isinstance(given, str | Mapping):
            self._checked(type(given), "")
            return given
        options = spelled(given) if isinstance(given, str) else dict(given)
        name = options.pop("name", usual.pop("name", None))
        if not isinstance(name, str):
            raise ConfigError(f"the name of a {self.kind} is needed", place="name")
        kind = self.find(name, options.pop("code", None))
        fields = {field.name for field in dataclasses.fields(kind)}
        return made(kind, name, {**{n: v for n, v in usual.items() if n in fields}, **options})

    def takes(self, usual: str) -> Takes:
        """What a parameter takes that is one of these; `usual` is meant where only its parameters
        are given.
        """
        return Takes(f"a {self.kind}", lambda given: self.made(given, name=usual))

    def _packaged(self) -> dict[str, Any]:
        found = metadata.entry_points(group=self.group) if self.group else ()
        return {point.name: point for point in found}

    def _of_file(self, name: str, path: Path) -> type:
        module, base = _loaded(path), _at(self.base)
        there = {
            str(getattr(member, "name", "")): member
            for member in vars(module).values()
            if inspect.isclass(member)
            and member.__module__ == module.__name__
            and issubclass(member, base)
        }
        if name not in there:
            raise ConfigError(
                f'{path} has no {self.kind} "{name}"',
                place="code",
                fix=f"there: {', '.join(there)}" if there else self._should_be(),
            )
        return self._checked(there[name], name)

    def _checked(self, kind: Any, name: str) -> type:
        if dataclasses.is_dataclass(kind) and issubclass(cast(type, kind), _at(self.base)):
            with _telling(f"what the parameters of {name} are", place=""):
                parameters_of(cast(Any, kind))
            return cast(type, kind)
        what = name or getattr(kind, "__name__", repr(kind))
        raise ConfigError(f"{what} is no {self.kind}", fix=self._should_be())

    def _should_be(self) -> str:
        return f"a {self.kind} is a dataclass of the kind {self.base.replace(':', '.')}"


def _at(place: str) -> Any:
    module, _, member = place.partition(":")
    return getattr(import_module(module), member)


def _loaded(path: Path) -> ModuleType:
    """The module in a file of the user's. It runs what stands there; once for the same content,
    whose digest is its name. Compiled from just these bytes: Python's own loader looks at the time
    and size of a file, and may take an edited one for the old one.
    """
    try:
        text = path.read_bytes()
    except OSError as problem:
        raise ConfigError(f"{path} cannot be read ({problem.strerror})", place="code") from None
    name = _OF_FILES + _digest(text)
    if name not in sys.modules:
        module = sys.modules[name] = ModuleType(name)
        module.__file__ = str(path)
        try:
            with _telling(str(path), place="code"):
                exec(compile(text, str(path), "exec"), module.__dict__)
        except ConfigError:
            del sys.modules[name]
            raise
    return sys.modules[name]


@contextmanager
def _telling(what: str, *, place: str) -> Iterator[None]:
    """Whatever goes wrong in code that is not ours becomes a ConfigError."""
    try:
        yield
    except Exception as problem:
        fault = f"{what} cannot be loaded ({type(problem).__name__}: {problem})"
        raise ConfigError(fault, place=place) from problem


def facts_of(strategy: Any) -> dict[str, Any]:
    """Name and parameters, as keys and manifests have them; of a strategy that is not ours also a
    digest of the file that it stands in.
    """
    facts = {"name": strategy.name, **strategy.parameters()}
    module = type(strategy).__module__
    if module.startswith(_OF_FILES):
        facts["code"] = module.removeprefix(_OF_FILES)
    elif module.partition(".")[0] != "smartx":
        with suppress(OSError, TypeError):  # typed at a prompt: there is no file
            facts["code"] = _digest(Path(inspect.getfile(type(strategy))).read_bytes())
    return facts


@contextmanager
def at_work(strategy: Any) -> Iterator[None]:
    """Whatever goes wrong in a strategy that is not ours is an InputError that names it."""
    try:
        yield
    except SmartxError:
        raise
    except Exception as problem:
        if type(strategy).__module__.partition(".")[0] == "smartx":
            raise
        raise InputError(
            f"{strategy.name} failed ({type(problem).__name__}: {problem})",
            place=str(getattr(sys.modules[type(strategy).__module__], "__file__", "")),
        ) from problem


def check_together(law: Any, ranker: Any) -> None:
    """Raise ConfigError for a weight law that a ranker cannot serve."""
    if law.follows_ranking and ranker.per != "corpus":
        raise ConfigError(
            f"{law.name} takes the first rows of a ranking of the whole corpus, and {ranker.name} "
            f"ranks each {ranker.per} by itself",
            place="weights",
            fix=f"give `ranker` {ranker.name}:per=corpus",
        )


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()[:16]


TASK_FUNCTIONS = Table(
    "function over tasks",
    "smartx.weights.greedy:TaskFunction",
    {
        "graph-cut": "smartx.engine:GraphCut",
        "facility-location": "smartx.engine:FacilityLocation",
        "log-det": "smartx.engine:LogDet",
        "scaled-graph-cut": "smartx.weights.greedy:ScaledGraphCut",
        "random": "smartx.weights.greedy:RandomTasks",
    },
)

TASKS = Table(
    "way to find tasks",
    "smartx.tasks:AutoTasks",
    {"auto": "smartx.tasks.auto:AutoTasks"},
)

RANKERS = Table(
    "ranker",
    "smartx.rankers:Ranker",
    {
        "facility-location": "smartx.rankers.submodular:FacilityLocationRanker",
        "graph-cut": "smartx.rankers.submodular:GraphCutRanker",
        "log-det": "smartx.rankers.submodular:LogDetRanker",
        "random": "smartx.rankers.random:RandomRanker",
        "saturated-coverage": "smartx.rankers.saturated_coverage:SaturatedCoverageRanker",
        "feature-based": "smartx.rankers.feature_based:FeatureBasedRanker",
        "k-center": "smartx.rankers.k_center:KCenterRanker",
        "length": "smartx.rankers.score:LengthRanker",
        "score": "smartx.rankers.score:ScoreRanker",
        "semdedup": "smartx.rankers.semantic_duplicates:SemDeDupRanker",
        "d4": "smartx.rankers.semantic_duplicates:D4Ranker",
        "density": "smartx.rankers.density:DensityRanker",
        "deita": "smartx.rankers.deita:DeitaRanker",
        "qdit": "smartx.rankers.qdit:QditRanker",
        "novel-select": "smartx.rankers.novel_select:NovelSelectRanker",
        "seed": "smartx.rankers.seed:SeedRanker",
        "mig": "smartx.rankers.mig:MigRanker",
        "s2l": "smartx.rankers.s2l:S2lRanker",
        "influence": "smartx.rankers.influence:InfluenceRanker",
        "tagcos": "smartx.rankers.tagcos:TagcosRanker",
        "lobass": "smartx.rankers.learnability:LobassRanker",
        "rds": "smartx.rankers.rds:RdsRanker",
        "flqmi": "smartx.rankers.mutual_information:FlqmiRanker",
        "flvmi": "smartx.rankers.mutual_information:FlvmiRanker",
        "gcmi": "smartx.rankers.mutual_information:GcmiRanker",
        "tsds": "smartx.rankers.tsds:TsdsRanker",
    },
    "smartx.rankers",
)

LAWS = Table(
    "weight law",
    "smartx.weights:WeightLaw",
    {
        "taylor-softmax": "smartx.weights.taylor_softmax:TaylorSoftmax",
        "scale-free": "smartx.weights.scale_free:ScaleFree",
        "coverage-mass": "smartx.weights.coverage_mass:CoverageMass",
        "proportional": "smartx.weights.proportional:Proportional",
        "equal": "smartx.weights.equal:Equal",
        "power": "smartx.weights.power:Power",
        "temperature": "smartx.weights.power:Temperature",
        "chameleon": "smartx.weights.chameleon:Chameleon",
        "cali-budget": "smartx.weights.cali_budget:CaliBudget",
        "mixmin": "smartx.weights.mixmin:MixMin",
        "given": "smartx.weights.given:Given",
        "random-rows": "smartx.weights.random_rows:RandomRows",
        "as-ranked": "smartx.weights.as_ranked:AsRanked",
    },
    "smartx.laws",
)
