"""The links of Markdown pages as the repository's page resolves them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.token import Token


@cache
def tokens_of(path: Path) -> tuple[Token, ...]:
    parser = MarkdownIt().enable("table")
    return tuple(parser.parse(path.read_text(encoding="utf-8")))


def anchors(path: Path) -> set[str]:
    """Those of the page's headings: lower case, spaces as dashes, no punctuation."""
    seen: Counter[str] = Counter()
    found = set()
    tokens = tokens_of(path)
    for token, after in pairwise(tokens):
        if token.type == "heading_open":
            words = "".join(part.content for part in after.children or ())
            slug = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
            found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
            seen[slug] += 1
    return found


def links(path: Path) -> Iterator[tuple[int, str]]:
    """Line and target of each link and picture of the page."""
    for token in tokens_of(path):
        for part in token.children or ():
            target = part.attrGet("href") or part.attrGet("src")
            if target:
                yield (token.map[0] + 1 if token.map else 0), unquote(str(target))


def broken(path: Path, root: Path) -> list[str]:
    """What leads nowhere within `root`, with its line; other hosts are not asked."""
    faults = []
    for line, target in links(path):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        if not file.exists() or not file.is_relative_to(root):
            faults.append(f"{path.name}:{line}: {target}: there is no such file")
        elif anchor and anchor not in anchors(file):
            faults.append(f"{path.name}:{line}: {target}: there is no such heading")
    return faults
