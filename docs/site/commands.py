"""Directives that say what the code says: `smartx-commands`, every command with every option, and
`smartx-fields`, the fields of `smartx.RunConfig`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import typer
from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from smartx.cli import app as application
from smartx.config import RunConfig
from smartx.display import flag
from smartx.flags import PANELS

_STYLE = re.compile(r"\[/?(?:bold|dim)?\]")


def plain(text: str) -> str:
    """Markdown that shows the words, without the terminal's marks for bold and dim; what stands in
    backticks stays code.
    """
    pieces = re.split(r"(`[^`]+`)", _STYLE.sub("", text).replace("\\[", "["))
    return "".join(
        piece if piece.startswith("`") else re.sub(r"([*_<>\[\]|`\\])", r"\\\1", piece)
        for piece in pieces
    )


def commands() -> dict[str, Any]:
    """Every command of the application by its name, in the order of `smartx --help`; those of a
    group, such as `features llm`, behind the group.
    """
    found: dict[str, Any] = {}
    for name, command in typer.main.get_command(application).commands.items():
        found[name] = command
        inner = getattr(command, "commands", {})
        found |= {f"{name} {own}": one for own, one in inner.items()}
    return found


def options_of(command: Any) -> dict[str, list[Any]]:
    """Arguments and options of a command under their headings."""
    found: dict[str, list[Any]] = {}
    for parameter in command.params:
        is_option = parameter.param_type_name == "option"
        heading = getattr(parameter, "rich_help_panel", None)
        found.setdefault(heading or ("Options" if is_option else "Arguments"), []).append(parameter)
    return found


def names_of(parameter: Any) -> str:
    """As it is typed: `--rows N`, `--quiet, -q`, `sources...`."""
    if parameter.param_type_name != "option":
        return f"{parameter.name.upper()}{'...' if parameter.nargs == -1 else ''}"
    names = ", ".join((*parameter.opts, *parameter.secondary_opts))
    return f"{names} {parameter.metavar}".strip() if parameter.metavar else names


def default_of(parameter: Any) -> str:
    """What holds where it is not given; its help says so itself where it is a field of a run."""
    default = parameter.default
    told = "default:" in (parameter.help or "")
    return "" if told or default in (None, False, [], "") else f" (default: {default})"


def help_of(text: str) -> Iterator[str]:
    """Paragraphs of a command's help; its examples become one block."""
    examples = []
    for paragraph in text.split("\n\n"):
        begin, example, line = paragraph.partition("Example: ")
        if paragraph.startswith("  smartx"):
            examples.append(paragraph.strip())
        elif example and not begin:
            examples.append(line.strip())
        elif "[bold]Examples" not in paragraph:
            yield plain(" ".join(paragraph.split()))
    if examples:
        yield "\n".join(("```sh", *examples, "```"))


def lines_of(name: str, command: Any) -> Iterator[str]:
    """The section of a command, as Markdown."""
    yield from (f"## smartx {name}", "", "\n\n".join(help_of(command.help or "")), "")
    yield from (f"```{{program}} smartx {name}", "```", "")
    for heading, parameters in options_of(command).items():
        yield from (f"**{heading}**", "")
        for parameter in parameters:
            text = plain(parameter.help or "") + plain(default_of(parameter))
            if parameter.param_type_name == "option":
                yield from (f"````{{option}} {names_of(parameter)}", text, "````", "")
            else:
                yield from (f"`{names_of(parameter)}`: {text}", "")


class Commands(SphinxDirective):
    """Every command, under the headings of `smartx --help`."""

    def run(self) -> list[nodes.Node]:
        text: list[str] = []
        for name, command in commands().items():
            text += lines_of(name, command)
        return self.parse_text_to_nodes("\n".join(text), allow_section_headings=True)


class Fields(SphinxDirective):
    """The fields of RunConfig, under the headings of their flags."""

    def run(self) -> list[nodes.Node]:
        shown = [name for fields in PANELS.values() for name in fields]
        others = [name for name in RunConfig.model_fields if name not in shown]
        text: list[str] = []
        for heading, names in {**PANELS, "Others": others}.items():
            if names:
                text += [f"**{heading}**", "", "| field | flag | default | |", "|---|---|---|---|"]
                text += [*map(_row, names), ""]
        return self.parse_text_to_nodes("\n".join(text))


def _row(name: str) -> str:
    field = RunConfig.model_fields[name]
    default = "" if field.is_required() or field.default is None else f"`{field.default!r}`"
    return f"| `{name}` | `{flag(name)}` | {default} | {plain(str(field.description))} |"


def setup(app: Any) -> dict[str, bool]:
    app.add_directive("smartx-commands", Commands)
    app.add_directive("smartx-fields", Fields)
    return {"parallel_read_safe": True}
