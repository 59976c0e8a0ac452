"""Options: frozen dataclasses that say of every parameter what it takes.

    temperature: Annotated[float, number(0, above=True)] = 1.0

From that alone a text or a mapping becomes an object, and errors say what could have been given.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from smartx.errors import ConfigError, SmartxError

MOST = 1 << 53  # of any number: beyond it float64 skips whole numbers


@dataclass(frozen=True)
class Takes:
    """What a parameter takes. words: for people.  read: makes the value of what is given, a text
    too, or raises ValueError or TypeError.
    """

    words: str
    read: Callable[[Any], Any]


def number(low: float = -math.inf, high: float = math.inf, *, above: bool = False) -> Takes:
    """A finite number of low..high; `above`: `low` itself is too low."""
    begin = "" if low == -math.inf else f" {'above' if above else 'from'} {low:g}"
    end = "" if high == math.inf else f" to {high:g}"

    def read(value: Any) -> float:
        found = float(value)
        if isinstance(value, bool) or not math.isfinite(found):
            raise ValueError
        if not low <= found <= high or (above and found == low):
            raise ValueError
        return found

    return Takes(f"a number{begin}{end}", read)


def whole(low: int = -MOST, high: int = MOST) -> Takes:
    """A whole number of low..high."""

    def read(value: Any) -> int:
        found = int(value) if isinstance(value, str) else operator.index(value)
        if isinstance(value, bool) or not low <= found <= high:
            raise ValueError
        return found

    begin = "" if low == -MOST else f" from {low:,}"
    return Takes(f"a whole number{begin}" + ("" if high == MOST else f" to {high:,}"), read)


def size_in_bytes(value: Any) -> int:
    """8G, 512M, 1.5GiB or a number of bytes, as a whole number. Raises ValueError otherwise."""
    found = re.fullmatch(
        r"\s*(\d{1,30}(?:\.\d{1,30})?)\s*([kKmMgGtT]?)(?:[iI]?[bB])?\s*", str(value)
    )
    if not found:
        raise ValueError("a size such as 8G or 512M is needed")
    return int(Fraction(found[1]) * 1024 ** " KMGT".index(found[2].upper() or " "))


def executor(value: Any) -> str:
    """The text this, processes:N, ray or ray:ADDRESS, as it is. Raises ValueError otherwise."""
    text = str(value)
    if not re.fullmatch(r"this|processes:[1-9]\d{0,3}|ray(:[^\s]+)?", text):
        raise ValueError("this, processes:N, ray or ray:ADDRESS is needed")
    return text


def one_of(*names: str) -> Takes:
    """One of some names."""

    def read(value: Any) -> str:
        if value not in names:
            raise ValueError
        return str(value)

    return Takes(f"one of {', '.join(names)}", read)


def optional(takes: Takes) -> Takes:
    """None, or what `takes` takes."""

    def read(value: Any) -> Any:
        return None if value is None or value == "none" else takes.read(value)

    return Takes(f"{takes.words}, or none", read)


def by_name(takes: Takes) -> Takes:
    """A mapping of names to what `takes` takes."""

    def read(value: Any) -> dict[str, Any]:
        return {str(name): takes.read(one) for name, one in dict(value).items()}

    return Takes(f"for each name {takes.words}", read)


def _yes_or_no(value: Any) -> bool:
    return {"yes": True, "true": True, "no": False, "false": False}[str(value).lower()]


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError
    return value


_PLAIN: dict[Any, Takes] = {
    float: number(),
    int: whole(),
    bool: Takes("yes or no", _yes_or_no),
    str: Takes("a text", _text),
}


def _takes(kind: Any) -> Takes:
    """What an annotation says that its parameter takes."""
    origin, inside = get_origin(kind), get_args(kind)
    if origin is Annotated:
        said = [one for one in inside[1:] if isinstance(one, Takes)]
        return said[0] if said else _takes(inside[0])
    if origin in (Union, UnionType) and type(None) in inside:
        return optional(_takes(next(one for one in inside if one is not type(None))))
    if origin is Literal:
        return one_of(*inside)
    return _PLAIN.get(kind, Takes("an object", lambda value: value))


@cache
def parameters_of(kind: Any) -> dict[str, Takes]:
    """The parameters of a dataclass by name, in order."""
    hints = get_type_hints(kind, include_extras=True)
    return {field.name: _takes(hints[field.name]) for field in dataclasses.fields(kind)}


def listed(kind: type) -> str:
    """The parameters of a dataclass, for people."""
    parts = [f"{name} ({takes.words})" for name, takes in parameters_of(kind).items()]
    return ", ".join(parts) or "no parameters"


def first_sentence(kind: type) -> str:
    """What a dataclass is, by its docstring."""
    paragraph = " ".join((inspect.getdoc(kind) or "").partition("\n\n")[0].split())
    return re.split(r"(?<=[.;]) ", paragraph, maxsplit=1)[0].rstrip(";.") + "."


def spellings(kind: type) -> dict[str, str]:
    """PARAMETER=DEFAULT for each parameter of a dataclass, and what it takes."""
    takes = parameters_of(kind)
    found = {}
    for field in dataclasses.fields(kind):
        factory: Any = field.default_factory
        value = field.default if factory is dataclasses.MISSING else factory()
        if value is dataclasses.MISSING:
            word = "..."
        elif dataclasses.is_dataclass(value):
            word = described(value)["name"]
        elif isinstance(value, tuple):
            word = "+".join(map(str, value)) or "none"
        else:
            word = "none" if value is None or value == {} else str(value).lower()
        found[f"{field.name}={word}"] = takes[field.name].words
    return found


def read(name: str, takes: Takes, value: Any) -> Any:
    """The value of a parameter. Raises ConfigError with its name."""
    try:
        return takes.read(value)
    except SmartxError as problem:
        inner = f".{problem.place}" if problem.place else ""
        raise ConfigError(problem.fault, place=name + inner, fix=problem.fix) from None
    except (ValueError, TypeError, OverflowError, KeyError):
        given = repr(value)
        given = given if len(given) <= 60 else given[:59] + "…"
        raise ConfigError(f"{takes.words} is needed (given: {given})", place=name) from None


def made(kind: type, name: str, given: Mapping[str, Any]) -> Any:
    """A dataclass of what is given for its parameters. Raises ConfigError with the one at fault.

    name: of the strategy, for messages. Parameters may be written with - for _.
    """
    known, values = parameters_of(kind), {}
    for written, value in given.items():
        parameter = str(written).replace("-", "_")
        if parameter not in known:
            raise ConfigError(
                f"{name} has no such parameter",
                place=str(written),
                fix=f"{name} takes {listed(kind)}",
            )
        values[parameter] = read(parameter, known[parameter], value)
    try:
        return kind(**values)
    except TypeError:
        lacking = [
            f.name
            for f in dataclasses.fields(kind)
            if f.name not in values
            and f.default is dataclasses.MISSING
            and f.default_factory is dataclasses.MISSING
        ]
        if not lacking:
            raise
        raise ConfigError(
            f"{name} cannot do without it", place=lacking[0], fix=f"{name} takes {listed(kind)}"
        ) from None
    except SmartxError as problem:
        place = problem.place.rpartition(".")[2]
        raise ConfigError(problem.fault, place=place, fix=problem.fix) from None


def spelled(text: str) -> dict[str, Any]:
    """The mapping that a text spells: NAME or NAME:PARAMETER=VALUE,PARAMETER.INNER=VALUE,...

    A parameter that is a strategy itself is named as any value, and its own parameters follow
    behind a dot: function=log-det,function.ridge=3.
    """
    name, _, rest = text.partition(":")
    options: dict[str, Any] = {"name": name.strip()}
    for part in rest.split(",") if rest else []:
        path, sign, value = (piece.strip() for piece in part.partition("="))
        outer, dot, inner = path.partition(".")
        if not sign or not outer or (dot and not inner):
            raise ConfigError(
                f'"{part}" is not of the form PARAMETER=VALUE',
                fix="write NAME:PARAMETER=VALUE,PARAMETER=VALUE",
            )
        at, last = options, outer
        if dot:
            at, last = options.setdefault(outer, {}), inner
            if isinstance(at, str):
                at = options[outer] = {"name": at}
        elif isinstance(at.get(outer), dict):
            at, last = at[outer], "name"
        if last in at:
            raise ConfigError("it is given twice", place=path)
        at[last] = value
    return options


def described(option: Any) -> dict[str, Any]:
    """A frozen dataclass for a manifest: GraphCut() -> name "graph-cut", penalty 0.4."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", type(option).__name__).lower()
    return {"name": name, **dataclasses.asdict(option)}


class Options:
    """A dataclass whose values are read, and thereby checked, as those of texts are."""

    def __post_init__(self) -> None:
        for name, takes in self._takes().items():
            object.__setattr__(self, name, read(name, takes, getattr(self, name)))

    def parameters(self) -> dict[str, Any]:
        """The values by name, as a manifest has them."""
        values = {name: getattr(self, name) for name in self._takes()}
        return {
            name: described(value) if dataclasses.is_dataclass(value) else value
            for name, value in values.items()
        }

    def _takes(self) -> dict[str, Takes]:
        kind: Any = type(self)
        return parameters_of(kind)
