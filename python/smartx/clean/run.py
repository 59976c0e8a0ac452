"""Cleaning as the command asks for it, and what it gives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smartx.clean.cleaned import SAMPLE, Cleaned
from smartx.clean.out import check_format, write_cleaned
from smartx.clean.rules import Rules, rules_of
from smartx.clean.signs import check_packages
from smartx.corpus import Corpus
from smartx.errors import ConfigError
from smartx.mixture.out import check_out
from smartx.progress import Progress
from smartx.store import EXPORT


@dataclass(frozen=True)
class Result:
    """What cleaning gave. out: the folder of the rows that stay, where one was asked for."""

    cleaned: Cleaned
    out: Path | None = None


@dataclass(frozen=True)
class Wanted:
    """What the command asks for besides the configuration.

    rules: as `rules_of` takes them.  out, format, overwrite: as `write_cleaned` does.
    sample: dropped rows in the report.
    """

    rules: Any = None
    out: Path | None = None
    format: str = "parquet"
    overwrite: bool = False
    sample: int = SAMPLE

    def checked(self) -> Rules:
        """The rules. Raises what can be known before any work."""
        check_packages()
        check_format(self.format)
        if self.out is None and (self.overwrite or self.format != "parquet"):
            raise ConfigError(
                "it says how rows are written, and none are", place="out", fix="give `out`"
            )
        if self.out is not None:
            check_out(self.out, stage=EXPORT)
        return rules_of(self.rules)

    def write(self, corpus: Corpus, cleaned: Cleaned, progress: Progress) -> Path | None:
        """The rows that stay, where a folder is named for them."""
        if self.out is None:
            return None
        return write_cleaned(
            corpus,
            cleaned,
            self.out,
            format=self.format,
            overwrite=self.overwrite,
            progress=progress,
        )
