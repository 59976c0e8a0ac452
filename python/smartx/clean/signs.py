"""What the characters of a text say of it: its encoding and its language."""

from __future__ import annotations

import re
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from typing import Any

from smartx.errors import MissingPackageError

PACKAGES = ("ftfy", "py3langid", "textstat", "rensa")  # of the extra; all that decide a number
REPLACEMENT = "\ufffd"
_READ = 300  # characters by which a language is told; more cost time and tell little more
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def check_packages() -> None:
    """Raise MissingPackageError where one is not installed."""
    for package in PACKAGES:
        if find_spec(package) is None:
            raise MissingPackageError(package, needed_for="cleaning", extra="clean")


def versions() -> dict[str, str]:
    """Of the packages that decide a number: another one may tell otherwise."""
    return {package: metadata.version(package) for package in PACKAGES}


def controls(text: str) -> int:
    """Control characters (C0, C1, DEL) besides tab, line feed and carriage return."""
    return len(_CONTROL.findall(text))


def is_mojibake(text: str) -> bool:
    """Whether a text looks like UTF-8 read in another encoding, and can be repaired."""
    if text.isascii():
        return False
    from ftfy import fix_encoding
    from ftfy.badness import is_bad

    return is_bad(text) and fix_encoding(text) != text


def repaired(text: str) -> str:
    """A text as it was meant, by ftfy: read in its own encoding, without control characters."""
    from ftfy import fix_encoding
    from ftfy.fixes import fix_c1_controls, remove_control_chars

    return remove_control_chars(fix_c1_controls(fix_encoding(text)))


def letters(text: str) -> int:
    """How many letters a text has."""
    return sum(map(str.isalpha, text))


def language(text: str) -> tuple[str, float]:
    """(ISO 639 code, how sure, 0..1); ("zxx", ...) is no language."""
    name, sure = _identifier().classify(text[:_READ])
    return str(name), float(sure)


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
