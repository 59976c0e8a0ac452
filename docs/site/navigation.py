"""The navigation is docs/index.md: each `## Heading` with a list of links is a part of it.

So that page reads well by itself, and there is one place to add a page to.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_LINK = re.compile(r"^- \[(?P<title>[^\]]+)\]\((?P<page>[\w/.]+)\.md\)", flags=re.MULTILINE)


def parts(text: str) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Every heading with the titles and pages that its list links to."""
    for part in text.split("\n## ")[1:]:
        links = [(found["title"], found["page"]) for found in _LINK.finditer(part)]
        if links:
            yield part.partition("\n")[0], links


def add_tree(app: Any, page: str, source: list[str]) -> None:
    """Append the lists of the first page as Sphinx wants them."""
    if page == app.config.root_doc:
        for heading, links in parts(source[0]):
            lines = "\n".join(f"{title} <{name}>" for title, name in links)
            source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {heading}\n\n{lines}\n```\n"


def setup(app: Any) -> dict[str, bool]:
    app.connect("source-read", add_tree)
    return {"parallel_read_safe": True}
