"""What the words, lines and n-grams of a text say of it: Gopher's measures.

The same numbers as the filters of datatrove 0.10 are made of, for the words that are given; these
are cut at white space here, and every character of a script without spaces is a word of its own.
Source: Rae et al. 2021, arXiv 2112.11446, A.1.1 and Table A1.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

STOP_WORDS = frozenset(("the", "be", "to", "of", "and", "that", "have", "with"))
TOP_GRAMS, REPEATED_GRAMS = (2, 3, 4), (5, 6, 7, 8, 9, 10)

# Thai to Tibetan, Myanmar, Khmer, kana, ideographs: written without spaces.
_UNSPACED = (
    "\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
_SIGN = re.compile(f"([{_UNSPACED}])")
_LINES, _PARAGRAPHS = re.compile("\n+"), re.compile("\n{2,}")
_NO_WORD = frozenset(string.punctuation + "’“”–…ー一»‘・『』「」（）【】、。，：；！？")
_ELLIPSES = ("...", "…")


def words_of(text: str) -> list[str]:
    """The words of a text, in order."""
    if not text.isascii() and _SIGN.search(text):
        text = _SIGN.sub(r" \1 ", text)
    return text.split()


def unspaced_share(text: str) -> float:
    """The part of a text's characters, white space aside, that are of scripts without spaces."""
    if text.isascii():
        return 0.0
    solid = sum(not sign.isspace() for sign in text)
    return len(_SIGN.findall(text)) / solid if solid else 0.0


def quality(text: str, words: Sequence[str]) -> dict[str, float]:
    """Gopher's measures of quality of a text with at least one word, by name of the rule."""
    solid = [word for word in words if any(sign not in _NO_WORD for sign in word)]
    lines = text.splitlines() or [text]
    ends = sum(line.rstrip().endswith(_ELLIPSES) for line in lines)
    bullets = sum(line.lstrip().startswith(("•", "-")) for line in lines)
    shared = unspaced_share(text) <= 0.1  # where a character is a word its length says nothing
    return {
        "word_length": sum(map(len, solid)) / len(solid) if solid and shared else float("nan"),
        "hashes": text.count("#") / len(words),
        "ellipses": sum(map(text.count, _ELLIPSES)) / len(words),
        "ellipsis_lines": ends / len(lines),
        "bullet_lines": bullets / len(lines),
        "alphabetic_words": sum(any(map(str.isalpha, word)) for word in words) / len(words),
        "stop_words": float(len(STOP_WORDS.intersection(words))),
    }


def repetition(text: str, words: Sequence[str]) -> dict[str, float]:
    """Gopher's measures of repetition of a text that is not empty, by name of the rule."""
    lines, paragraphs = _LINES.split(text), _PARAGRAPHS.split(text.strip())
    found = {}
    for name, parts in (("line", lines), ("paragraph", paragraphs)):
        again, characters = _repeated(parts)
        found[f"{name}s"] = again / len(parts)
        found[f"{name}_characters"] = characters / len(text)
    for n in TOP_GRAMS:
        grams = Counter(" ".join(words[i : i + n]) for i in range(len(words) - n + 1))
        gram, times = grams.most_common(1)[0] if grams else ("", 0)
        found[f"top_{n}"] = len(gram) * times / len(text)
    for n in REPEATED_GRAMS:
        found[f"repeated_{n}"] = _repeated_grams(words, n) / len(text)
    return found


def _repeated(parts: Sequence[str]) -> tuple[int, int]:
    """How many parts came before, and how many characters they have."""
    seen: set[str] = set()
    again = characters = 0
    for part in parts:
        if part in seen:
            again, characters = again + 1, characters + len(part)
        seen.add(part)
    return again, characters


def _repeated_grams(words: Sequence[str], n: int) -> int:
    """Characters under runs of n words that came before; runs that are counted do not overlap."""
    seen: set[str] = set()
    characters = at = 0
    while at < len(words) - n + 1:
        gram = "".join(words[at : at + n])
        again = gram in seen
        characters += len(gram) if again else 0
        seen.add(gram)
        at += n if again else 1
    return characters
