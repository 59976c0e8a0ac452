"""The YAML file of a configuration: plain values by name, and paths as seen from the file."""

from __future__ import annotations

import os
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from smartx.amounts import ROW_FILES
from smartx.errors import ConfigError
from smartx.options import spelled

_MOST = 1 << 20  # bytes of a file
_STRATEGIES = ("weights", "ranker", "tasks")
_SOURCES = ("sources", "leave_out", "trained")  # files, globs, names of the Hub, also NAME=PATH
_FOLDERS = ("out", "run_dir", "vectors")  # always paths
_ROWS = ("include_rows", "exclude_rows")  # paths, or columns
_MAYBE_PATHS = ("encoder", "tokenizer", "clean")  # paths, or names
_ENCODER_KINDS = ("student", "hybrid")
_HUB = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")


def read_fields(path: Path) -> dict[str, Any]:
    """The fields of a YAML file, relative paths joined to its folder.

    Raises ConfigError where it cannot be read or is not a mapping. Aliases are refused: a few lines
    of them unfold to gigabytes.
    """
    place = os.fspath(path)
    try:
        with path.open("rb") as file:
            text = file.read(_MOST + 1)
        if len(text) > _MOST:
            raise ConfigError("it has more than 1 MiB", place=place, fix="name a YAML file")
        content = yaml.load(text, _Loader)
    except OSError as problem:
        raise ConfigError(f"it cannot be read ({problem.strerror})", place=place) from None
    except (yaml.YAMLError, ValueError, RecursionError) as problem:
        if isinstance(problem, ConfigError):
            raise
        raise ConfigError(f"it is not YAML: {problem}", place=place) from None
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise ConfigError(
            "it must be a mapping of field names to values",
            place=place,
            fix="write lines such as `rows: 25000`",
        )
    return {name: _seen_from(path.parent, name, value) for name, value in content.items()}


def split_encoder(encoder: str) -> tuple[str, str]:
    """("student", NAME) of student:NAME, ("", NAME) of the name of an encoder."""
    kind, colon, name = encoder.partition(":")
    return (kind, name) if colon and kind in _ENCODER_KINDS else ("", encoder)


class _Loader(yaml.SafeLoader):
    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            line = self.peek_event().start_mark.line + 1  # type: ignore[no-untyped-call]
            raise yaml.YAMLError(f"line {line}: aliases (*) are not read")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key, _ in node.value:
            if key.value in seen:
                line = key.start_mark.line + 1
                raise yaml.YAMLError(f'line {line}: "{key.value}" stands there twice')
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def _seen_from(folder: Path, name: str, value: Any) -> Any:
    if (place := _LISTS.get(name)) and value is not None:
        if isinstance(value, dict):
            value = [f"{key}={one}" for key, one in value.items()]
        given = value if isinstance(value, list) else [value]
        return [place(folder, one) if isinstance(one, str) else one for one in given]
    if name in _STRATEGIES and value is not None:
        options = spelled(value) if isinstance(value, str) else value
        if isinstance(options, dict) and isinstance(options.get("code"), str):
            value = {**options, "code": str(folder / os.path.expanduser(options["code"]))}
        return value
    if not isinstance(value, str) or not value or value.startswith("~"):
        return value
    if name == "encoder" and (kind := split_encoder(value)[0]):
        return f"{kind}:{_seen_from(folder, name, split_encoder(value)[1])}"
    joined = folder / value
    maybe = name in _MAYBE_PATHS and joined.exists()
    maybe |= name in _ROWS and joined.suffix.lower() in ROW_FILES
    return str(joined) if name in _FOLDERS or maybe else value


def _named(folder: Path, given: str) -> str:
    """The path in NAME=PATH, as seen from the YAML file."""
    name, sign, path = given.partition("=")
    return f"{name}={folder / path}" if sign and path and not path.startswith("~") else given


def _file(folder: Path, given: str) -> str:
    """A path, as seen from the YAML file."""
    return given if not given or given.startswith("~") else str(folder / given)


def _source(folder: Path, source: str) -> str:
    """A file, folder or glob beside the YAML file; NAME=PATH, and names of the Hub, stay."""
    joined = str(folder / source)
    if source.startswith("~") or "://" in source or os.path.exists(joined):
        return source if source.startswith("~") or "://" in source else joined
    name, sign, path = source.partition("=")
    if sign and "/" not in name:
        return f"{name}={_source(folder, path)}"
    return source if _HUB.fullmatch(source) and not any(c in source for c in "*?[") else joined


_LISTS = {  # fields of many paths, and how each is read
    **dict.fromkeys(_SOURCES, _source),
    "feature": _named,
    "leave_out_vectors": _file,
}
