"""What a report adds to the making of its mixture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from smartx.corpus import Corpus
from smartx.costs import StagePlan
from smartx.report.material import MAPPED_BYTES
from smartx.report.points import room_of

SECONDS = 1.0  # templates, and what is read of the mixture
TASK_SECONDS = 2e-3  # its map, and the rows to look at: 3.2 s of 1,840 tasks
VALUE_SECONDS = 4e-8  # of the vectors on the maps
ROW_SECONDS = 3e-7  # of the corpus: its lengths, and its place in the ranking
TASK_DISK = 2_300  # bytes of the page: 4.2 MB of 1,840 tasks


def with_report(mix: StagePlan, corpus: Corpus, dimensions: int) -> StagePlan:
    """A plan of a mixture with the time and disk of its report.

    dimensions: of the vectors, or 0. Its memory is less than what writing the rows takes, which
    is given back before.
    """
    rows = corpus.groups.tasks().rows
    seconds = SECONDS + TASK_SECONDS * len(rows) + ROW_SECONDS * corpus.num_rows
    if 2 * corpus.num_rows * dimensions <= MAPPED_BYTES and len(rows):
        shown = int(np.minimum(rows, room_of(len(rows))).sum())
        seconds += VALUE_SECONDS * shown * dimensions
    known = None if mix.seconds is None else mix.seconds + seconds
    return replace(mix, seconds=known, disk=mix.disk + TASK_DISK * len(rows))
