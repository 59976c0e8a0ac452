"""How much is wanted: 5000, 5k, 1.5m, or a part of something, 10%."""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from smartx.options import MOST

ROW_FILES = (".txt", ".csv", ".npy", ".parquet")  # what holds numbers of single rows
_NUMBER = r"\d{1,40}(?:[_,]\d{3})*(?:\.\d{1,18})?"
_SUFFIXES = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9}
_LIKE = "5000, 5k, 1.5m or 10%"


@dataclass(frozen=True)
class Percent:
    """A part of something that is only known later. of_100: above 0, at most 100,000."""

    of_100: Fraction

    def of(self, whole: int) -> Fraction:
        """The part of a whole number, exactly."""
        return whole * self.of_100 / 100

    def __str__(self) -> str:
        """As it is written, and read again."""
        return f"{_decimal(self.of_100)}%"


Amount = int | Percent


def amount(given: Any, *, low: int = 1) -> Amount:
    """A whole number of at least `low`, or a percentage, of a text or a number.

    Raises ValueError, in words for people, for anything else.
    """
    if isinstance(given, Percent):
        return given
    if isinstance(given, bool):
        raise ValueError(f"an amount such as {_LIKE} is needed")
    found = re.fullmatch(rf"\s*({_NUMBER})\s*([kKmMbB%]?)\s*", _text(given))
    if not found:
        raise ValueError(f"an amount such as {_LIKE} is needed")
    number = Fraction(re.sub("[_,]", "", found[1]))
    if found[2] == "%":
        return _percent(number, low)
    number *= _SUFFIXES[found[2].lower()]
    if number.denominator != 1:
        raise ValueError("a part of a row or token cannot be taken: give a whole number, or N%")
    if not low <= number <= MOST:
        raise ValueError(f"it must be at {f'least {low:,}' if number < low else f'most {MOST:,}'}")
    return int(number)


def demands(given: Any) -> dict[str, Amount]:
    """Amounts by pattern: of a mapping, or of texts of the form PATTERN=AMOUNT.

    Raises ValueError where a text has another form or a pattern comes twice.
    """
    pairs = given.items() if isinstance(given, Mapping) else map(_pair, _listed(given))
    found: dict[str, Amount] = {}
    for pattern, value in pairs:
        name = _pattern(pattern)
        if name in found:
            raise ValueError(f'"{name}" is given twice')
        try:
            found[name] = amount(value, low=0)
        except ValueError as problem:
            raise ValueError(f"{name}: {problem}") from None
    return found


def patterns(given: Any) -> tuple[str, ...]:
    """Patterns, of a list or of one text."""
    return tuple(_pattern(one) for one in _listed(given))


def _pattern(given: Any) -> str:
    if not isinstance(given, str) or not given.strip():
        raise ValueError("the name of a source, task or template, or a pattern of names, is needed")
    return given.strip()


def _percent(number: Fraction, low: int) -> Percent:
    if (low and not number) or number > 100_000:
        raise ValueError("a percentage must be above 0" if not number else "it is over 100,000%")
    return Percent(number)


def _text(given: Any) -> str:
    if isinstance(given, str):
        return given
    if isinstance(given, float) and given.is_integer():
        return str(int(given))
    try:
        return str(operator.index(given))
    except TypeError:
        return repr(given)


def _listed(given: Any) -> Iterable[Any]:
    return given if isinstance(given, list | tuple) else [given]


def _pair(text: Any) -> tuple[str, str]:
    """PATTERN and AMOUNT; names may hold = themselves."""
    pattern, sign, value = text.rpartition("=") if isinstance(text, str) else ("", "", "")
    if not sign:
        raise ValueError(f'"{text}" is not of the form PATTERN=AMOUNT, such as math=500')
    return pattern, value


def _decimal(number: Fraction) -> str:
    """A fraction whose denominator is a power of ten, written out; any other one as a float."""
    digits = 0
    while digits < 18 and (number * 10**digits).denominator != 1:
        digits += 1
    scaled = number * 10**digits
    if scaled.denominator != 1:
        return repr(float(number))
    sign = f"{int(scaled):0{digits + 1}d}"
    return f"{sign[:-digits]}.{sign[-digits:]}" if digits else sign
