"""Whether an answer says what the reference says."""

from __future__ import annotations

import re
import string
from collections.abc import Callable
from decimal import Decimal, InvalidOperation

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?|-?\.\d+")


def normal(text: str) -> str:
    """Lower case, without punctuation (of ASCII), articles (of English) and extra white space.

    Source: the evaluation script of SQuAD (Rajpurkar et al., 2016).
    """
    bare = text.lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split())


def same_text(answer: str, reference: str) -> bool:
    """Whether both are one text after `normal`."""
    return normal(answer) == normal(reference)


def same_number(answer: str, reference: str) -> bool:
    """Whether the last number in both is equal, such as what stands behind a rationale.

    A reference without a number is compared as text.
    """
    wanted = last_number(reference)
    return same_text(answer, reference) if wanted is None else last_number(answer) == wanted


def last_number(text: str) -> Decimal | None:
    """The last number in a text, its thousands separated by commas or not; None: there is none."""
    found = _NUMBER.findall(text)
    try:
        return Decimal(found[-1].replace(",", "")) if found else None
    except InvalidOperation:
        return None


MATCHES: dict[str, Callable[[str, str], bool]] = {"exact": same_text, "number": same_number}
