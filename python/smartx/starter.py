"""A YAML file to begin with: every field of the configuration, explained, most of them commented
out.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path

import yaml

from smartx.config import RunConfig
from smartx.errors import ConfigError
from smartx.flags import PANELS

_EXAMPLES = {"sources": ["data/*.jsonl"], "rows": 25_000, "out": "mix"}  # what a run needs
_HEAD = """\
# What `smartx run --config THIS_FILE` does. Flags of the command line win over the file, and
# relative paths are seen from it. A line that begins with "# name:" is off; without the "# " it
# counts. `smartx strategies` lists what `weights`, `ranker` and `tasks` take.
"""


def write_starter(path: Path) -> Path:
    """Write the file. Raises ConfigError where one is there already, or none can be."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(starter())
    except OSError as problem:
        fault = "it is there already, and stays as it is"
        if not isinstance(problem, FileExistsError):
            fault = f"it cannot be written ({problem.strerror})"
        raise ConfigError(fault, place=str(path), fix="name another file") from None
    return path


def starter() -> str:
    """The text of the file: a configuration that needs nothing but its sources to be right."""
    return _HEAD + "".join(_sections())


def _sections() -> Iterator[str]:
    yield "\n# ---- What comes in ----\n\n" + _field("sources")
    for title, fields in PANELS.items():
        yield f"\n# ---- {title} ----\n\n" + "\n".join(_field(name) for name in fields)


def _field(name: str) -> str:
    """What a field means, and its line."""
    field = RunConfig.model_fields[name]
    words = textwrap.fill(str(field.description), 98, initial_indent="# ", subsequent_indent="# ")
    value = _EXAMPLES.get(name, field.default)
    shown = (
        "" if value is None else " " + yaml.safe_dump(value, default_flow_style=True).split("\n")[0]
    )
    off = "" if name in _EXAMPLES else "# "
    return f"{words}\n{off}{name}:{shown}\n"
