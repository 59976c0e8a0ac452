"""Flags made from the fields of the configuration: one place says what a flag means."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from smartx.config import LISTS, SIZES, STRATEGIES, RunConfig
from smartx.display import flag, in_flags
from smartx.flags import PANELS, common_options, keyword, sources_argument
from smartx.progress import size

METAVARS = {Path: "PATH", int: "N", float: "X", str: "TEXT"}


def parameters(fields: Sequence[str], *, sources: bool) -> list[inspect.Parameter]:
    """The parameters of a command: SOURCES if it takes them, a flag a field, --config, --quiet."""
    first = [sources_argument()] if sources else []
    return [*first, *map(_option, fields), *common_options()]


def _option(name: str) -> inspect.Parameter:
    field = RunConfig.model_fields[name]
    panel = next(panel for panel, fields in PANELS.items() if name in fields)
    metavar = "" if field.annotation is bool else _metavar(name, field.annotation)
    option = typer.Option(
        flag(name),
        help=_help(name, field),
        rich_help_panel=panel,
        show_default=False,
        metavar=metavar,
    )
    kind: Any = bool if field.annotation is bool else str
    if name in LISTS:
        kind = list[str]
    return keyword(name, Annotated[kind | None, option], None)


def _help(name: str, field: FieldInfo) -> str:
    words, choices = [in_flags(str(field.description))], _choices(field.annotation)
    if name in STRATEGIES:
        choices = [*STRATEGIES[name].ours]
    if choices:
        words.append(f"[dim](one of: {', '.join(choices)})[/]")
    if field.default not in (None, "", []) and field.annotation is not bool:
        default = size(field.default) if name in SIZES else field.default
        default = ",".join(default) if isinstance(default, list) else default
        words.append(f"[dim](default: {default})[/]")
    return " ".join(words)


def _metavar(name: str, annotation: Any) -> str:
    """What stands behind the flag in --help."""
    if name in SIZES:
        return "SIZE"
    if name in STRATEGIES or _choices(annotation):
        return "NAME"
    if name in LISTS:
        return "TEXT"
    kinds = _members(annotation)
    return next(word for kind, word in METAVARS.items() if kind in kinds)


def _choices(annotation: Any) -> list[str]:
    """The values of a Literal; none for other types."""
    literals = (kind for kind in _members(annotation) if get_origin(kind) is Literal)
    return [choice for kind in literals for choice in get_args(kind)]


def _members(annotation: Any) -> tuple[Any, ...]:
    """The types of a union; a single type stands alone."""
    if get_origin(annotation) in (Union, UnionType):
        return get_args(annotation)
    return (annotation,)
