"""From our plain docstrings to what autodoc reads.

A docstring has a sentence, then lines `name: what it is` that may go on, then `Returns`, `Raises`,
`Source:`, then examples. Lines become lists, `words in backticks` code; stars, bars mean nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_NAME = r"\w+(?:, \w+)*"
_ITEM = re.compile(rf"(?P<names>{_NAME}): (?P<text>.*)")
_NEXT = re.compile(rf" {{2,}}(?={_NAME}: )")
_NEW = ("Returns ", "Raises ", "Source: ", "Sources: ")


def reworded(text: str) -> str:
    """Plain words as reStructuredText."""
    pieces = re.split(r"(`[^`]+`)", text)
    return "".join(
        f"`{piece}`"
        if piece.startswith("`")
        else re.sub(r"([*|\\]|(?<=\w)_(?!\w))", r"\\\1", piece)
        for piece in pieces
    )


def items(paragraph: list[str]) -> Iterator[list[str]]:
    """A paragraph's statements: [text], or [names, text]."""
    statement: list[str] = []
    for line in (part for whole in paragraph for part in _NEXT.split(whole)):
        found = _ITEM.fullmatch(line)
        if found and not line.startswith(_NEW):
            if statement:
                yield statement
            statement = [found["names"], found["text"]]
        elif line.startswith(_NEW) or not statement:
            if statement:
                yield statement
            statement = [line]
        else:
            statement[-1] += f" {line}"
    if statement:
        yield statement


def as_source(docstring: list[str]) -> Iterator[str]:
    """The lines that autodoc gets."""
    for block in "\n".join(docstring).split("\n\n"):
        lines = block.strip("\n").splitlines()
        if block.lstrip().startswith(">>>") or all(line.startswith("    ") for line in lines):
            yield from (*([] if ">>>" in block else ["::", ""]), *lines, "")
            continue
        for statement in items([line.strip() for line in lines]):
            if len(statement) == 2:
                names = ", ".join(f"**{name}**" for name in statement[0].split(", "))
                yield f"- {names}: {reworded(statement[1])}"
            else:
                yield from ("", reworded(statement[0]), "")
        yield ""


def process(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    del app, what, name, thing, options
    lines[:] = [*as_source(lines)]


def setup(app: Any) -> dict[str, bool]:
    app.connect("autodoc-process-docstring", process)
    return {"parallel_read_safe": True}
