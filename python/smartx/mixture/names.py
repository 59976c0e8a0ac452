"""Names from a corpus, made fit to be shown: they may hold anything."""

from __future__ import annotations

import re
import unicodedata

_MARKUP = re.compile(r"([\\`*_{}\[\]()#+\-.!|~$:@])")


def shown(text: str, limit: int = 80) -> str:
    """One line without control or direction characters, cut to `limit` characters."""
    line = "".join(
        " " if unicodedata.category(char) in _INVISIBLE else char for char in text[: 4 * limit]
    )
    line = " ".join(line.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def markdown(text: str, limit: int = 80) -> str:
    """`shown` text as Markdown that renders as exactly that text, also inside a table."""
    plain = shown(text, limit).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKUP.sub(_escaped, plain)


def _escaped(match: re.Match[str]) -> str:
    """A `_`, `-` or `.` inside a word stays: Markdown does not look at it there.

    But for the `.` behind `www`, which makes a link of what follows.
    """
    char, text, place = match.group(1), match.string, match.start()
    inside = 0 < place < len(text) - 1 and text[place - 1].isalnum() and text[place + 1].isalnum()
    link = char == "." and text[:place].lower().endswith("www")
    return char if char in "_-.:()+" and inside and not link else "\\" + char


# controls, format characters (direction overrides among them), surrogates, line ends
_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
