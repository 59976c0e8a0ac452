"""How ingest keeps to the memory it may use.

What grows with the corpus lies in files; what is held is bounded by the shares given out here. A
share never shows in the corpus: the same sources give the same bytes in any room. What does not fit
is refused with the memory that it takes.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from smartx.costs import BASE_BYTES
from smartx.errors import ConfigError, CorpusError
from smartx.progress import size

READING_BYTES = 186 << 20  # a few blocks of a source, as Python values, as columns and packed
LEAST_BYTES = BASE_BYTES + READING_BYTES + (64 << 20)
MOST_BUCKET_BYTES = 128 << 20
_UNLIMITED = 1 << 62
_ROW_COPIES = 8  # of a row's text, in its source, as values, joined, as columns and packed
_VALUE_BYTES = 64  # of a number, a key or an empty list, as a Python value
_PIECE_COPIES = 4  # of what is brought into order, while it is
_REPEAT_BYTES = 80  # to find a row among those that repeat an earlier one
_NAME_BYTES = 600  # of a group besides its names: as keys, sorted, and in the table of groups


@dataclass(frozen=True)
class Room:
    """memory: bytes that the process may take at its peak."""

    memory: int = _UNLIMITED

    def check(self) -> None:
        """Raise ConfigError where not even small rows can be read."""
        if self.memory < LEAST_BYTES:
            raise _too_small("ingest", LEAST_BYTES, self.memory)

    @property
    def _free(self) -> int:
        return max(0, self.memory - BASE_BYTES - READING_BYTES)

    @property
    def bucket_bytes(self) -> int:
        """Text that is brought into order at a time."""
        return min(MOST_BUCKET_BYTES, self._free // _PIECE_COPIES)

    @property
    def repeat_rows(self) -> int:
        """Rows among which repeats are looked for at a time."""
        return max(1, min(self._free, 1 << 30) // _REPEAT_BYTES)

    def check_piece(self, largest: int) -> None:
        """Raise ConfigError where the rows that a file holds together take too much.

        largest: bytes of text of such a piece.
        """
        needed = BASE_BYTES + READING_BYTES + _PIECE_COPIES * largest
        if needed > self.memory:
            raise _too_small("bringing rows as long as these into order", needed, self.memory)

    def check_repeats(self, repeats: int) -> None:
        """Raise ConfigError where the list of rows to be left out takes too much."""
        needed = BASE_BYTES + READING_BYTES + _REPEAT_BYTES * repeats
        if needed > self.memory:
            raise _too_small(f"the list of {repeats:,} duplicates", needed, self.memory)

    def check_row(self, path: os.PathLike[str], line: int, text: int, values: int = 0) -> None:
        """Raise CorpusError where a row of a source takes too much.

        text: its bytes.  values: numbers, keys, lists and objects in it, at most.
        """
        needed = BASE_BYTES + READING_BYTES + _ROW_COPIES * text + _VALUE_BYTES * values
        if needed > self.memory:
            fault = f"this row ({size(text)}) needs about {size(needed)} of memory, "
            fault += f"and {size(self.memory)} may be used"
            raise CorpusError(path, line, fault, fix=_fix(needed))

    def check_batch(self, path: os.PathLike[str], line: int, rows: int, held: int) -> None:
        """Raise CorpusError where rows that can only be read together take too much.

        held: their bytes.
        """
        needed = BASE_BYTES + READING_BYTES + 2 * held
        if needed > self.memory:
            fault = f"{rows:,} rows that are stored together ({size(held)}) need about "
            fault += f"{size(needed)} of memory, and {size(self.memory)} may be used"
            raise CorpusError(path, line, fault, fix=_fix(needed))

    def check_groups(self, path: os.PathLike[str], line: int, groups: int, names: int) -> None:
        """Raise CorpusError where groups are so many that their names take too much.

        names: their bytes.
        """
        needed = BASE_BYTES + READING_BYTES + _NAME_BYTES * groups + 4 * names
        if needed > self.memory:
            fault = f"the names of {groups:,} groups up to this row need about {size(needed)} of "
            fault += f"memory, and {size(self.memory)} may be used"
            fix = "if a row is not meant to be a task of its own, pass `task_column` or `task`; "
            raise CorpusError(path, line, fault, fix=fix + _fix(needed))


UNLIMITED = Room()


def _too_small(what: str, needed: int, memory: int) -> ConfigError:
    fault = f"{what} needs about {size(needed)}, and {size(memory)} may be used"
    return ConfigError(fault, place="memory", fix=_fix(needed))


def _fix(needed: int) -> str:
    return f"pass `memory` {-(-needed >> 20)}M if the machine has it"
