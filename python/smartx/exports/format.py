"""What an export is: files for one reader, and what people must know about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smartx.exports.rows import Rows
from smartx.progress import Progress, Silent

TRAIN, VALIDATION = "train", "validation"


@dataclass
class Job:
    """An export that is being written.

    validation: (n,) which rows are set aside; None: none are.
    folder: where its files go for now.  home: where they will stand.
    misfits: rows that the format has no place for, by reason; they are left out.
    lost: rows that are written, but lose something, by reason.
    written: rows by split.
    """

    rows: Rows
    folder: Path
    home: Path
    validation: NDArray[np.bool_] | None = None
    progress: Progress = field(default_factory=Silent)
    misfits: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    written: Counter[str] = field(default_factory=Counter)

    @property
    def splits(self) -> tuple[str, ...]:
        """Which there are."""
        return (TRAIN,) if self.validation is None else (TRAIN, VALIDATION)

    def of_split(self, split: str, places: slice = slice(None)) -> NDArray[np.bool_]:
        """Which of the rows at some places are of a split."""
        if self.validation is None:
            return np.ones(len(range(*places.indices(len(self.rows)))), dtype=np.bool_)
        aside = self.validation[places]
        return aside if split == VALIDATION else ~aside


@dataclass(frozen=True)
class Format:
    """Files for one reader.

    holds: what is in them, in a few words.
    weight: what the reader does with weights, and what stands there.
    use: what to type; {home} is the folder of the export.
    proven: who loads it in the tests of smartx, or that nobody does.
    write: writes the files into the folder of a job.
    local: whether files say where on this machine the others are.
    columns: names of columns of the mixture that it cannot do without.
    """

    name: str
    holds: str
    weight: str
    use: str
    proven: str
    write: Callable[[Job], None]
    local: bool = False
    columns: tuple[str, ...] = ()
