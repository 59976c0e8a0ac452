"""Rows that are no good: found by rules, counted, and kept out of what is ranked."""

from smartx.clean.cleaned import (
    Asked,
    Cleaned,
    apart,
    asked_facts,
    asked_of,
    clean_rows,
    cleaned_there,
    open_cleaned,
)
from smartx.clean.rules import INSTRUCTIONS, PUBLISHED, Rules, rules_of
from smartx.clean.run import Result, Wanted

__all__ = [
    "INSTRUCTIONS",
    "PUBLISHED",
    "Asked",
    "Cleaned",
    "Result",
    "Rules",
    "Wanted",
    "apart",
    "asked_facts",
    "asked_of",
    "clean_rows",
    "cleaned_there",
    "open_cleaned",
    "rules_of",
]
