"""The fenced blocks of README.md and docs/: which are run, which are not, and why.

A page is run in a folder of its own (page_corpora says what lies there), from top to bottom: blocks
of `sh` by bash, of `python` in one namespace. Comments, which readers do not see, stand before a
block and say what differs:

    <!-- skip: next "needs a GPU" -->          it cannot run here, and why
    <!-- run by: tests/test_recipes.py -->     a test of its own runs it
    <!-- file: mix.yaml -->                    it is a file that later blocks use
    <!-- with: "250" for "25000" -->           it is run with the first text for the second
    <!-- invisible-code-block: sh              a block that is run and not shown
    smartx run data/*.jsonl --rows 100 --out mix
    -->

Blocks of `text`, or of no language, show what is printed. Any other language is a file, or skipped.
`python tests/page_blocks.py` counts them.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

REPOSITORY = Path(__file__).parents[1]
LANGUAGES = ("sh", "python")
SHOWN = ("", "text")
LOOKED_UP = ("pip", "make", "hf")  # page_stand_ins says what is looked up
_COMMENT = re.compile(r"<!--\s*([a-z- ]+?):\s*(.*?)\s*-->", re.DOTALL)
_HIDDEN = re.compile(r"(\w+)\n(.*)", re.DOTALL)
_SWAP = re.compile(r'"([^"]*)" for "([^"]*)"')


@dataclass(frozen=True)
class Block:
    """A block and what becomes of it.

    page: its name in the repository.  line: of its first line there, from 1.
    kind: "run", "looked up" (all its commands are those of LOOKED_UP), "hidden" (run, not shown),
    "file", "elsewhere" (a test of its own runs it), "skipped", or "shown" (no code).
    note: the file's name, the test, or the reason.
    """

    page: str
    line: int
    language: str
    source: str
    kind: str
    note: str = ""

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass
class _Said:
    """What comments say of the block that comes next."""

    kind: str = ""
    note: str = ""
    swaps: list[tuple[str, str]] = field(default_factory=list)


def pages() -> list[Path]:
    """README.md and every page of docs/ that is not of the site alone (docs/site)."""
    docs = REPOSITORY / "docs"
    own = [path for path in docs.rglob("*.md") if docs / "site" not in path.parents]
    return [REPOSITORY / "README.md", *sorted(own)]


def blocks_of(path: Path, name: str = "") -> list[Block]:
    """The blocks of a page, in order. name: for messages. Raises ValueError where one has no kind,
    or a comment has no block.
    """
    name = name or path.relative_to(REPOSITORY).as_posix()
    tokens = MarkdownIt().parse(path.read_text(encoding="utf-8"))
    return list(_blocks(tokens, name))


def _blocks(tokens: list[Token], page: str) -> Iterator[Block]:
    said = _Said()
    for token in tokens:
        line = token.map[0] + 1 if token.map else 0
        if token.type == "html_block":
            for word, text in _COMMENT.findall(token.content):
                if word == "invisible-code-block":
                    language, source = _HIDDEN.fullmatch(text).groups()
                    yield Block(page, line + 1, language, source, "hidden")
                else:
                    _hear(said, word, text, f"{page}:{line}")
        elif token.type == "fence":
            yield _block(token, said, page, line)
            said = _Said()
        elif said != _Said():
            raise ValueError(f"{page}:{line}: the comment before has no block behind it")


def _hear(said: _Said, word: str, text: str, place: str) -> None:
    """Take in a comment; those that are none of ours say nothing."""
    if word == "skip":
        reason = re.fullmatch(r'next "(.+)"', text)
        if reason is None:
            raise ValueError(f'{place}: write it as skip: next "reason"')
        said.kind, said.note = "skipped", reason[1]
    elif word == "run by":
        said.kind, said.note = "elsewhere", text
    elif word == "file":
        said.kind, said.note = "file", text
    elif word == "with":
        said.swaps += _SWAP.findall(text)
        if not said.swaps:
            raise ValueError(f'{place}: write it as with: "what is run" for "what is shown"')


def _block(token: Token, said: _Said, page: str, line: int) -> Block:
    language, source = token.info.strip(), token.content
    source = _swapped(source, said.swaps, f"{page}:{line}")
    kind = said.kind or ("shown" if language in SHOWN else "run")
    if kind == "run" and language not in LANGUAGES:
        raise ValueError(
            f"{page}:{line}: a block of {language}: make it a file, or skip it with a reason"
        )
    if kind == "run" and language == "sh" and all(map(_is_looked_up, source.splitlines())):
        kind = "looked up"
    return Block(page, line + 1, language, source, kind, said.note)


def _is_looked_up(line: str) -> bool:
    return re.match(rf"$|#|(?:\w+=\S* )*(?:{'|'.join(LOOKED_UP)}) ", line) is not None


def _swapped(source: str, swaps: list[tuple[str, str]], place: str) -> str:
    """All at once: what was put in is not replaced again."""
    by_old = {old: new for new, old in swaps}
    for old in by_old:
        if old not in source:
            raise ValueError(f"{place}: there is no {old!r} to replace")
    either = "|".join(map(re.escape, sorted(by_old, key=len, reverse=True)))
    return re.sub(either, lambda found: by_old[found[0]], source) if swaps else source


def main() -> None:
    """Print how many blocks there are of each kind on each page, and why some are skipped."""
    found = [block for page in pages() for block in blocks_of(page)]
    kinds = ("run", "looked up", "file", "elsewhere", "skipped", "shown", "hidden")
    print(f"{'page':<34}" + "".join(f"{kind:>11}" for kind in kinds))
    for page in dict.fromkeys(block.page for block in found):
        counts = Counter(block.kind for block in found if block.page == page)
        print(f"{page:<34}" + "".join(f"{counts[kind] or '':>11}" for kind in kinds))
    counts = Counter(block.kind for block in found)
    print(f"{'all':<34}" + "".join(f"{counts[kind]:>11}" for kind in kinds))
    for block in found:
        if block.kind in ("skipped", "elsewhere"):
            print(f"{block}: {block.kind}: {block.note}")


if __name__ == "__main__":
    sys.exit(main())
