"""What smartx raises. Every error names the place, the fault and the fix, and carries them as
fields.
"""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Mapping

# Controls, format characters (those that turn the direction of text among them), halves of a
# character (file names that are no text), line ends of Unicode.
_UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def plain(text: str) -> str:
    """Text as a terminal may have it: what is not seen is written out, a line end may stay.

    Names come from anybody's files; everything that is shown to a person goes through here.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        char.encode("unicode_escape").decode()
        if unicodedata.category(char) in _UNSEEN and char != "\n"
        else char
        for char in text
    )


def first_line(problem: BaseException) -> str:
    """What an error of a library says, as one line; its kind where it says nothing."""
    return (str(problem).strip().splitlines() or [type(problem).__name__])[0][:200]


class SmartxError(Exception):
    """The base of all errors of smartx.

    place: where it happened (a file and line, an argument, a field), or "" where there is none.
    fault: what is wrong, with the sizes or names involved.
    fix: what to do next, or "" where the fault says it.

    >>> import smartx
    >>> try:
    ...     smartx.select(tasks=["sums"] * 5, budget=9, preset="random")
    ... except smartx.SmartxError as error:
    ...     print(type(error).__name__, error.available)
    BudgetError 5
    """

    def __init__(self, fault: str, *, place: str = "", fix: str = "") -> None:
        self.place, self.fault, self.fix = place, fault, fix
        super().__init__(self._words())

    def renamed(self, names: Mapping[str, str]) -> None:
        """Say it in the caller's words. names: theirs, by ours."""
        for field, text in vars(self).items():
            if isinstance(text, str):
                for ours, theirs in names.items():
                    text = text.replace(ours, theirs)
                setattr(self, field, text)
        self.args = (self._words(),)

    def _words(self) -> str:
        head = f"{self.place}: {self.fault}" if self.place else self.fault
        return plain(f"{head}\n  fix: {self.fix}" if self.fix else head)


class InputError(SmartxError, ValueError):
    """An argument, array or option of the caller is at fault."""


class ConfigError(InputError):
    """A field of the configuration, or a flag of the command line, is at fault."""


class CorpusError(InputError):
    """A source file is at fault. `path` and `line` (1-based, 0 for the whole file) say where."""

    def __init__(
        self, path: str | os.PathLike[str], line: int, fault: str, *, fix: str = ""
    ) -> None:
        self.path, self.line = os.fspath(path), line
        place = f"{self.path}:{line}" if line else self.path
        super().__init__(fault, place=place, fix=fix)


class EncoderError(SmartxError):
    """The sentence encoder cannot be loaded or gave something unusable."""


class ModelError(SmartxError):
    """A causal language model cannot be loaded or gave something unusable."""


class VectorsError(InputError):
    """A file of ready vectors does not fit the corpus or holds an unusable row."""


class BudgetError(InputError):
    """A budget cannot be met. `asked` and `available` say by how much (rows)."""

    def __init__(self, fault: str, *, asked: int, available: int, fix: str = "") -> None:
        self.asked, self.available = asked, available
        super().__init__(fault, fix=fix)


class StoreError(SmartxError):
    """A folder of a run is missing, damaged or belongs to something else."""


class WorkerError(SmartxError):
    """A process or node that was to make a part of the work cannot, or its work ended it."""


class MissingPackageError(SmartxError, ImportError):
    """An optional package is needed. `package` and `extra` say what to install, `note` what to
    know before.
    """

    def __init__(self, package: str, *, needed_for: str, extra: str, note: str = "") -> None:
        self.package, self.extra = package, extra
        met, what = sys.exc_info()[1], "is not installed"
        install = f'pip install "smartx-mix[{extra}]"' + (f" ({note})" if note else "")
        if isinstance(met, ImportError) and not isinstance(met, ModuleNotFoundError):
            what = f"is there and cannot be loaded ({(str(met).splitlines() or [''])[0][:200]})"
            install += ", or give this process more memory (`ulimit -v` limits its addresses)"
        super().__init__(f'{needed_for} needs the package "{package}", which {what}', fix=install)
